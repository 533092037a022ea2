import Glibc
import LinuxHost
import Model
import Testing

@Suite struct ProcessRunnerTests {
    @Test func capturesBothStreamsAndTheCode() async throws {
        let result = try await ProcessRunner.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 7"])
        #expect(result.status.code == 7)
        #expect(result.outputText == "out\n")
        #expect(result.errorText == "err")
    }

    @Test func findsProgramsInThePath() async throws {
        #expect(try await ProcessRunner.check("true", []).status.isSuccess)
    }

    @Test func missingProgramIsNamed() async throws {
        await #expect {
            try await ProcessRunner.run("/nonexistent/tool", [])
        } throws: {
            let error = $0 as? EngineError
            return error?.code == .notFound && error?.message.contains("/nonexistent/tool") == true
        }
    }

    @Test func feedsInputThatIsLargerThanAPipe() async throws {
        let input = [UInt8](repeating: 65, count: 1_000_000)
        let result = try await ProcessRunner.run("wc", ["-c"], input: input)
        #expect(result.outputText.contains("1000000"))
    }

    @Test func aToolThatReadsNothingIsNoError() async throws {
        let input = [UInt8](repeating: 65, count: 1_000_000)
        #expect(try await ProcessRunner.run("true", [], input: input).status.isSuccess)
    }

    @Test func outputIsBounded() async throws {
        let result = try await ProcessRunner.run("head", ["-c", "300000", "/dev/zero"], limit: 1000)
        #expect(result.output.count == 1000)
        #expect(result.outputTruncated)
        #expect(result.status.isSuccess)
    }

    @Test func timeoutKillsTheWholeGroup() async throws {
        let marker = "isle-runner-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let started = ContinuousClock.now
        await #expect {
            try await ProcessRunner.run(
                "/bin/sh", ["-c", "sleep 300 & : \(marker); wait"], timeout: .milliseconds(300))
        } throws: {
            ($0 as? EngineError)?.code == .timeout
        }
        #expect(ContinuousClock.now - started < .seconds(120))
        let found = try await ProcessRunner.run("pgrep", ["-f", "isle-runner-\(getpid())-[0-9]+; wait"])
        #expect(found.outputText.isEmpty)
    }

    @Test func cancellationKills() async throws {
        let task = Task { try await ProcessRunner.run("sleep", ["300"]) }
        try await Task.sleep(for: .milliseconds(100))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func noDescriptorIsInherited() async throws {
        let (read, write) = try Spawn.pipe()
        _ = fcntl(write.raw, F_SETFD, 0)
        let result = try await ProcessRunner.run("/bin/ls", ["/proc/self/fd"])
        #expect(result.outputText.split(separator: "\n").count == 4)
        withExtendedLifetime((read, write)) {}
    }

    @Test func failureCarriesTheLastWords() async throws {
        await #expect {
            try await ProcessRunner.check("/bin/sh", ["-c", "echo it broke >&2; exit 3"])
        } throws: {
            "\($0)".contains("exited with 3") && "\($0)".contains("it broke")
        }
    }
}

@Suite struct BlockingTests {
    @Test func manyJobsAllEnd() async throws {
        let total = await withTaskGroup(of: Int.self) { group in
            for index in 0..<1000 {
                group.addTask {
                    await runBlocking {
                        usleep(1000); return index
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(total == 499_500)
    }

    @Test func errorsComeThrough() async throws {
        await #expect(throws: EngineError.self) {
            try await runBlocking { throw EngineError(.busy, "no") }
        }
    }

    @Test func ownThreadIsAnotherOne() async throws {
        let main = try readSmallFile("/proc/self/stat")
        let other = try await runOnOwnThread { try readSmallFile("/proc/thread-self/stat") }
        #expect(main.prefix { $0 != 32 } != other.prefix { $0 != 32 })
    }
}

@Suite struct DescriptorEventsTests {
    @Test func readableAfterAWrite() async throws {
        let (read, write) = try Spawn.pipe()
        let task = Task { try await DescriptorEvents.readable(read) }
        try await Task.sleep(for: .milliseconds(20))
        _ = Glibc.write(write.raw, "x", 1)
        try await task.value
    }

    @Test func cancellationEndsAWait() async throws {
        let (read, write) = try Spawn.pipe()
        let task = Task { try await DescriptorEvents.readable(read) }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        withExtendedLifetime(write) {}
    }

    @Test func severalWaitForOneDescriptor() async throws {
        let (read, write) = try Spawn.pipe()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { try await DescriptorEvents.readable(read) } }
            write.close()
            try await group.waitForAll()
        }
    }
}
