import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Testing

/// Instances whose first process the shim starts itself.
@Suite(.timeLimit(.minutes(2)), .enabled(if: Fixture.canRun, "needs root and out/isle-shim")) struct ProcessTests {
    @Test func runsLogsAndEnds() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("echo out; echo err >&2; printf part; exit 3"))
            let before = await shim.pid
            #expect(before == nil)
            let pid = try await shim.start()
            #expect(pid > 1)
            let exit = try await shim.wait()
            #expect(exit.code == 3)
            #expect(exit.signal == nil)
            let entries = try fixture.log()
            let output = entries.filter { $0.stream == "stdout" }
            #expect(output.map(\.text) == ["out", "part"])
            #expect(output.map(\.tag) == ["F", "P"])
            #expect(entries.filter { $0.stream == "stderr" }.map(\.text) == ["err"])
            #expect(try Shim.exitRecord(directory: fixture.directory) == exit)
            let again = try await shim.wait()
            #expect(again == exit)
            let found = try await Shim.connect(directory: fixture.directory)
            #expect(found == nil)
        }
    }

    @Test func signalEndsIt() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("exec sleep 1000"))
            _ = try await shim.start()
            try await shim.signal(SIGTERM)
            let exit = try await shim.wait()
            #expect(exit.signal == SIGTERM)
            #expect(exit.code == 143)
        }
    }

    @Test func missingProgramIsNotFoundAndTheInstanceIsAsBefore() async throws {
        try await Fixture.with { fixture in
            var spec = fixture.shell("")
            spec.launch = .process(ShimProcess(arguments: ["/nonexistent/program"]))
            let shim = try await fixture.spawn(spec)
            for _ in 0..<2 {
                await #expect {
                    try await shim.start()
                } throws: {
                    let error = $0 as? EngineError
                    return error?.code == .notFound && error?.message.contains("/nonexistent/program") == true
                }
            }
            try await shim.shutdown()
        }
    }
}

/// Streams of the first process: log, attached clients, terminal.
@Suite(.timeLimit(.minutes(2)), .enabled(if: Fixture.canRun, "needs root and out/isle-shim")) struct StreamTests {
    @Test func attachedBeforeTheStartSeesEverything() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("echo out; echo err >&2"))
            let client = try await shim.attach(withInput: true)
            #expect(client.input == nil)
            _ = try await shim.start()
            async let output = readToEnd(client.output)
            let errorEnd = try #require(client.error)
            async let error = readToEnd(errorEnd)
            #expect(await output == "out\n")
            #expect(await error == "err\n")
        }
    }

    @Test func inputGoesInAndEndsWithItsOnlyClient() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("cat; echo done", openStdin: true, stdinOnce: true))
            let client = try await shim.attach(withInput: true)
            _ = try await shim.start()
            writeText(client.input, "hello\n")
            client.input?.close()
            #expect(await readToEnd(client.output) == "hello\ndone\n")
            let exit = try await shim.wait()
            #expect(exit.code == 0)
        }
    }

    @Test func inputStaysOpenForTheNextClient() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("read a; read b; echo $a $b", openStdin: true))
            _ = try await shim.start()
            let first = try await shim.attach(withInput: true)
            writeText(first.input, "one\n")
            first.input?.close()
            first.output.close()
            try await Task.sleep(for: .milliseconds(50))
            let second = try await shim.attach(withInput: true)
            writeText(second.input, "two\n")
            #expect(await readToEnd(second.output) == "one two\n")
        }
    }

    @Test func largeInputPassesWhole() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("sleep 0.2; wc -c", openStdin: true, stdinOnce: true))
            let client = try await shim.attach(withInput: true)
            _ = try await shim.start()
            let input = try #require(client.input)
            async let written: Void = runBlocking {
                let block = [UInt8](repeating: 0x61, count: 100_000)
                for _ in 0..<30 { _ = write(input.raw, block, block.count) }
                input.close()
            }
            #expect(await readToEnd(client.output).contains("3000000"))
            await written
        }
    }

    @Test func severalClientsSeeTheSame() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("seq 1 20000"))
            let first = try await shim.attach(withInput: false)
            let second = try await shim.attach(withInput: false)
            _ = try await shim.start()
            async let one = readToEnd(first.output)
            async let two = readToEnd(second.output)
            let expected = (1...20000).map { "\($0)\n" }.joined()
            #expect(await one == expected)
            #expect(await two == expected)
        }
    }

    @Test func aClientThatReadsNothingIsDroppedAndTheLogIsWhole() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("seq 1 50000"))
            let stuck = try await shim.attach(withInput: false)
            _ = try await shim.start()
            let started = ContinuousClock.now
            let exit = try await shim.wait()
            #expect(exit.code == 0)
            #expect(ContinuousClock.now - started < .seconds(20))
            #expect(try fixture.logText() == (1...50000).map { "\($0)\n" }.joined())
            withExtendedLifetime(stuck) {}
        }
    }

    @Test func aClientThatVanishesDisturbsNothing() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.shell("for i in $(seq 1 100); do echo $i; done; sleep 0.2; echo end"))
            do {
                let client = try await shim.attach(withInput: false)
                _ = try await shim.start()
                client.output.close()
                client.error?.close()
            }
            let exit = try await shim.wait()
            #expect(exit.code == 0)
            #expect(try fixture.log().last?.text == "end")
        }
    }

    @Test func aHundredThousandLinesAreLoggedInOrder() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("seq 1 100000; seq 1 1000 >&2"))
            _ = try await shim.start()
            _ = try await shim.wait()
            let entries = try fixture.log()
            #expect(entries.filter { $0.stream == "stdout" }.map(\.text) == (1...100_000).map(String.init))
            #expect(entries.filter { $0.stream == "stderr" }.map(\.text) == (1...1000).map(String.init))
            #expect(entries.allSatisfy { $0.tag == "F" && $0.time.utf8.count == 30 && $0.time.hasSuffix("Z") })
            #expect(zip(entries, entries.dropFirst()).allSatisfy { $0.time <= $1.time })
        }
    }

    @Test func rotatedFilesHoldTheNewestEntries() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("seq 1 20000", logMaxSize: 100_000, logFiles: 3))
            _ = try await shim.start()
            _ = try await shim.wait()
            var all: [String] = []
            for path in [fixture.logPath + ".2", fixture.logPath + ".1", fixture.logPath] {
                #expect(try readSmallFile(path, limit: 200_000).count <= 100_000)
                all += try fixture.log(path).map(\.text)
            }
            #expect(access(fixture.logPath + ".3", F_OK) != 0)
            #expect(all.count > 4000)
            #expect(all == (1...20000).suffix(all.count).map(String.init))
        }
    }

    @Test func bytesThatAreNoTextAreKept() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell(#"printf '\377\000\200x\n\303(\n'"#))
            _ = try await shim.start()
            _ = try await shim.wait()
            let lines = try readSmallFile(fixture.logPath).split(separator: 0x0A)
            #expect(lines.count == 2)
            #expect(lines[0].suffix(4) == [0xFF, 0x00, 0x80, 0x78])
            #expect(lines[1].suffix(2) == [0xC3, 0x28])
        }
    }

    @Test func aPromptIsLoggedBeforeItsLineEnds() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("printf 'name: '; \(fixture.waitForRelease); echo bob"))
            _ = try await shim.start()
            let shown = try await fixture.logShows { $0.map(\.text) == ["name: "] }
            #expect(shown)
            try fixture.release()
            _ = try await shim.wait()
            #expect(try fixture.log().map(\.tag) == ["P", "F"])
        }
    }

    @Test func terminalEchoesAndTellsItsSize() async throws {
        try await Fixture.with { fixture in
            var spec = fixture.shell(
                "test -t 0 && test -t 2 && stty size; read a; stty size; echo got $a", terminal: true)
            spec.columns = 90
            spec.rows = 30
            let shim = try await fixture.spawn(spec)
            let client = try await shim.attach(withInput: true)
            #expect(client.error == nil)
            _ = try await shim.start()
            let shown = try await fixture.logShows { $0.first?.text == "30 90\r" }
            #expect(shown)
            try await shim.resize(columns: 120, rows: 40)
            writeText(client.input, "word\n")
            #expect(await readToEnd(client.output) == "30 90\r\nword\r\n40 120\r\ngot word\r\n")
            _ = try await shim.wait()
            #expect(try fixture.log().last?.text == "got word\r")
        }
    }

    @Test func terminalInterruptReachesTheProcess() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("echo ready; exec sleep 100", terminal: true))
            let client = try await shim.attach(withInput: true)
            _ = try await shim.start()
            let shown = try await fixture.logShows { !$0.isEmpty }
            #expect(shown)
            writeText(client.input, "\u{3}")
            let exit = try await shim.wait()
            #expect(exit.signal == SIGINT)
        }
    }

    @Test func terminalOutputIsWholeAtTheEnd() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("seq 1 5000", terminal: true))
            let client = try await shim.attach(withInput: false)
            _ = try await shim.start()
            let output = await readToEnd(client.output)
            #expect(output == (1...5000).map { "\($0)\r\n" }.joined())
            _ = try await shim.wait()
            #expect(try fixture.log().count == 5000)
        }
    }

    @Test func aFullDiskUnderTheLogStopsNothing() async throws {
        try await Fixture.with { fixture in
            var spec = fixture.shell("seq 1 1000; echo last >&2; exit 4")
            spec.logPath = "/dev/full"
            let shim = try await fixture.spawn(spec)
            let client = try await shim.attach(withInput: false)
            _ = try await shim.start()
            #expect(await readToEnd(client.output).hasSuffix("1000\n"))
            let exit = try await shim.wait()
            #expect(exit.code == 4)
        }
    }
}
