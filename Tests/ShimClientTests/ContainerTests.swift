import CHost
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Testing

/// Instances run by a real OCI runtime, in a user namespace on an overlay of idmapped folders.
@Suite(.timeLimit(.minutes(2)), .enabled(if: Fixture.hasRuntime, "needs root, out/isle-shim, crun and busybox"))
struct ContainerTests {
    @Test func runsInItsNamespaces() async throws {
        try await Fixture.with { fixture in
            let script =
                "id -u; cat /proc/self/uid_map; touch /new; stat -c %u /new; ip link show lo; echo bad >&2; exit 5"
            let shim = try await fixture.spawn(fixture.container(["/bin/sh", "-c", script]))
            let network = try await shim.networkNamespace()
            #expect(network != nil)
            _ = try await shim.start()
            let exit = try await shim.wait()
            #expect(exit.code == 5)
            let lines = try fixture.log().filter { $0.stream == "stdout" }.map(\.text)
            #expect(lines.first == "0")
            #expect(lines.dropFirst().first?.split(separator: " ").map(String.init) == ["0", "300000", "65536"])
            #expect(lines.contains("0"))
            #expect(lines.contains { $0.contains("LOOPBACK,UP") })
            #expect(try fixture.log().contains { $0.stream == "stderr" && $0.text == "bad" })
            // Owners on disk are the instance's own.
            var status = stat()
            #expect(stat(fixture.root + "/instance/upper/new", &status) == 0)
            #expect(status.st_uid == 0)
        }
    }

    @Test func nothingOfItsMountsShowsOnTheHost() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "100"]))
            _ = try await shim.start()
            let mounts = String(decoding: try readSmallFile("/proc/self/mountinfo"), as: UTF8.self)
            #expect(!mounts.contains(fixture.root))
            try await shim.shutdown()
            let record = try Shim.exitRecord(directory: fixture.directory)
            #expect(record?.signal == SIGKILL)
        }
    }

    @Test(arguments: [false, true]) func theRuntimesWordsComeThrough(terminal: Bool) async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/nonexistent"], terminal: terminal))
            await #expect {
                try await shim.start()
            } throws: {
                "\($0)".contains("nonexistent")
            }
            try await shim.shutdown()
            #expect(try Shim.exitRecord(directory: fixture.directory) == nil)
        }
    }

    @Test func execHasStreamsAndACode() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            let session = try await shim.exec(
                fixture.exec(["/bin/sh", "-c", "read a; echo got $a; echo bad >&2; exit 42"], openStdin: true))
            writeText(session.input, "line\n")
            let error = try #require(session.error)
            #expect(await readToEnd(session.output) == "got line\n")
            #expect(await readToEnd(error) == "bad\n")
            let exit = try await session.wait()
            #expect(exit.code == 42)
            let again = try await session.wait()
            #expect(again == exit)
        }
    }

    @Test func execInputEnds() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            let session = try await shim.exec(fixture.exec(["/bin/cat"], openStdin: true))
            writeText(session.input, "abc")
            session.input?.close()
            #expect(await readToEnd(session.output) == "abc")
            let exit = try await session.wait()
            #expect(exit.code == 0)
        }
    }

    @Test func execIsSignalled() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            let pid = try await shim.start()
            let session = try await shim.exec(fixture.exec(["/bin/sleep", "1000"]))
            #expect(session.pid != pid)
            try await session.signal(SIGTERM)
            let exit = try await session.wait()
            #expect(exit.signal == SIGTERM)
            let alive = await shim.pid
            #expect(alive == pid)
        }
    }

    @Test func execHasATerminal() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            let session = try await shim.exec(
                fixture.exec(
                    [
                        "/bin/sh", "-c",
                        "until test \"$(stty size 2>/dev/null)\"; do :; done; stty size; read a; stty size; echo got $a; exit 7",
                    ], terminal: true,
                    openStdin: true))
            // The runtime does not wait until its terminal has a size; the process learns of it by SIGWINCH.
            #expect(session.error == nil)
            let first = await read(session.output, until: "\n")
            #expect(first == "22 77\r\n")
            try await session.resize(columns: 100, rows: 50)
            writeText(session.input, "x\n")
            #expect(await readToEnd(session.output) == "x\r\n50 100\r\ngot x\r\n")
            let exit = try await session.wait()
            #expect(exit.code == 7)
        }
    }

    @Test(arguments: [false, true]) func execOfAMissingProgramSaysSo(terminal: Bool) async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            await #expect {
                try await shim.exec(fixture.exec(["/bin/nonexistent"], terminal: terminal))
            } throws: {
                "\($0)".contains("nonexistent")
            }
            let alive = await shim.pid
            #expect(alive != nil)
        }
    }

    @Test func shortExecsLoseNoStatus() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 1...20 {
                    group.addTask {
                        let session = try await shim.exec(fixture.exec(["/bin/sh", "-c", "exit \(number)"]))
                        return try await session.wait().code == Int32(number)
                    }
                }
                for try await same in group { #expect(same) }
            }
        }
    }

    @Test func shortContainersLoseNoStatus() async throws {
        for number in 1...10 {
            try await Fixture.with { fixture in
                let shim = try await fixture.spawn(fixture.container(["/bin/sh", "-c", "exit \(number)"]))
                _ = try await shim.start()
                let exit = try await shim.wait()
                #expect(exit.code == Int32(number))
            }
        }
    }

    @Test func execsEndWithTheContainer() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            let session = try await shim.exec(fixture.exec(["/bin/sleep", "1000"]))
            async let end = session.wait()
            try await shim.signal(SIGKILL)
            let exit = try await shim.wait()
            #expect(exit.signal == SIGKILL)
            #expect(try await end.signal == SIGKILL)
        }
    }

    @Test func execWithoutARuntimeIsTheProgramItself() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            let pid = try await shim.start()
            let session = try await shim.exec(
                ShimExec(arguments: ["/bin/sh", "-c", "kill -0 \(pid) && ls -d \(fixture.directory)/rootfs/bin"]))
            #expect(await readToEnd(session.output) == "\(fixture.directory)/rootfs/bin\n")
            let exit = try await session.wait()
            #expect(exit.code == 0)
            await #expect {
                try await shim.exec(ShimExec(arguments: ["/nonexistent/x"]))
            } throws: {
                ($0 as? EngineError)?.code == .notFound
            }
        }
    }

    @Test func terminalOfAContainer() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.container(
                    [
                        "/bin/sh", "-c",
                        "until test \"$(stty size 2>/dev/null)\"; do :; done; stty size; read a; stty size; echo got $a; exit 3",
                    ], terminal: true,
                    openStdin: true))
            let client = try await shim.attach(withInput: true)
            _ = try await shim.start()
            let shown = try await fixture.logShows { $0.first?.text == "30 90\r" }
            #expect(shown)
            try await shim.resize(columns: 111, rows: 33)
            writeText(client.input, "w\n")
            let text = await readToEnd(client.output)
            #expect(text == "30 90\r\nw\r\n33 111\r\ngot w\r\n", "\(text.debugDescription)")
            let exit = try await shim.wait()
            #expect(exit.code == 3)
        }
    }

    @Test func consoleSurvivesThatNobodyHasItOpen() async throws {
        try await Fixture.with { fixture in
            // As a system's init does between two logins.
            let script = "echo one; exec </dev/null >/dev/null 2>&1; sleep 0.5; echo two > /dev/console; sleep 0.3"
            let shim = try await fixture.spawn(fixture.container(["/bin/sh", "-c", script], terminal: true))
            let client = try await shim.attach(withInput: false)
            _ = try await shim.start()
            #expect(await readToEnd(client.output) == "one\r\ntwo\r\n")
        }
    }

    @Test(.enabled(if: access("/usr/sbin/runc", X_OK) == 0, "needs runc")) func runcWorksToo() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.container(["/bin/sh", "-c", "cat /proc/self/uid_map; exit 8"], runtime: "runc"))
            _ = try await shim.start()
            let exit = try await shim.wait()
            #expect(exit.code == 8)
            #expect(try fixture.log().first?.text.contains("300000") == true)
        }
    }

    @Test func zombiesOfTheContainerAreNotOurs() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            for _ in 0..<5 {
                let session = try await shim.exec(fixture.exec(["/bin/sh", "-c", "sleep 0.05 & exit 0"]))
                _ = try await session.wait()
            }
            try await Task.sleep(for: .milliseconds(200))
            let path = "/proc/\(shim.shimPID)/task/\(shim.shimPID)/children"
            let children = String(decoding: try readSmallFile(path), as: UTF8.self)
            #expect(children.split(separator: " ").count == 1)
        }
    }

    /// The signal lies unread in the shim's socket when the shim answers that the process has ended.
    @Test func aSignalThatComesTooLateDoesNotHideTheEnd() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            let keeper = try Pidfd(shim.shimPID)
            let session = try await shim.exec(fixture.exec(["/bin/sh", "-c", "sleep 0.1; exit 7"]))
            try keeper.signal(SIGSTOP)
            try await Task.sleep(for: .milliseconds(400))
            for _ in 0..<3 { try await session.signal(SIGTERM) }
            try keeper.signal(SIGCONT)
            let exit = try await session.wait()
            #expect(exit.code == 7)
        }
    }

    @Test func aCancelledWaitForAnExecEnds() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            _ = try await shim.start()
            let session = try await shim.exec(fixture.exec(["/bin/sleep", "1000"]))
            let task = Task { try await session.wait() }
            let other = Task { try await session.wait() }
            try await Task.sleep(for: .milliseconds(50))
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await session.signal(SIGKILL)
            let exit = try await other.value
            #expect(exit.signal == SIGKILL)
        }
    }

    @Test func aKilledShimsContainerIsFoundByItsRecord() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/sleep", "1000"]))
            let pid = try await shim.start()
            let container = try Pidfd(pid)
            let keeper = try Pidfd(shim.shimPID)
            try keeper.signal(SIGKILL)
            try await keeper.ended()
            let record = try #require(Shim.recordedProcess("pid", directory: fixture.directory))
            #expect(record.pid == pid)
            #expect(Pidfd.startTime(of: record.pid) == record.startTime)
            try container.signal(SIGKILL)
            try await container.ended()
        }
    }
}
