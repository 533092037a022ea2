import CHost
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Testing

/// What happens around the instance: setup failures, shims and daemons that die, bad clients.
@Suite(.timeLimit(.minutes(2)), .enabled(if: Fixture.canRun, "needs root and out/isle-shim")) struct LifeTests {
    @Test func aMountThatFailsIsNamedAndNothingIsLeft() async throws {
        try await Fixture.with { fixture in
            var spec = fixture.shell("true")
            spec.mounts = [
                .overlay(
                    lower: [fixture.root + "/layers/a"], upper: fixture.root + "/instance/upper",
                    work: fixture.root + "/nonexistent", target: fixture.directory + "/rootfs", volatile: false)
            ]
            await #expect {
                try await fixture.spawn(spec)
            } throws: {
                let error = $0 as? EngineError
                return error?.code == .notFound && error?.message.contains(fixture.root + "/nonexistent") == true
                    && error?.message.contains("No such file or directory") == true
            }
            let files = try await ProcessRunner.check("ls", ["-A", fixture.directory]).outputText
            #expect(files.split(separator: "\n").allSatisfy { $0 == "rootfs" })
        }
    }

    @Test func aLogThatCannotBeOpenedIsNamed() async throws {
        try await Fixture.with { fixture in
            var spec = fixture.shell("true")
            spec.logPath = fixture.root + "/no/such/log"
            await #expect {
                try await fixture.spawn(spec)
            } throws: {
                "\($0)".contains("opening the log \(fixture.root)/no/such/log")
            }
        }
    }

    @Test func aDamagedSpecIsAnErrorNotACrash() async throws {
        let bytes = ShimSpec(directory: "/x", launch: .runtime(arguments: ["x"], pidFile: "y")).encoded()
        for input in [[], [1, 2, 3], Array(bytes.dropLast()), bytes + [0], [UInt8](repeating: 255, count: 5000)] {
            let result = try await ProcessRunner.run(Fixture.executable, ["/x"], input: input)
            #expect(result.status.code == 1)
            guard case .failed(let failure) = try ShimReply(decoding: result.output) else {
                Issue.record("no failure reported")
                continue
            }
            #expect(failure.kind == .invalid)
        }
    }

    @Test func itIsFoundAgain() async throws {
        try await Fixture.with { fixture in
            let first = try await fixture.spawn(fixture.shell(fixture.waitForRelease + "; exit 9"))
            let pid = try await first.start()
            let second = try #require(try await Shim.connect(directory: fixture.directory))
            #expect(second.shimPID == first.shimPID)
            let found = await second.pid
            #expect(found == pid)
            try fixture.release()
            let exit = try await second.wait()
            #expect(exit.code == 9)
        }
    }

    @Test func theDeathOfItsStarterDisturbsNothing() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.shell(
                    "seq 1 5; \(fixture.waitForRelease); seq 6 10; exit 6", openStdin: true))
            do {
                let client = try await shim.attach(withInput: true)
                _ = try await shim.start()
                _ = try await shim.attach(withInput: false)
                // All ends close here without a word, as when a daemon dies.
                withExtendedLifetime(client) {}
            }
            let parent = try readSmallFile("/proc/\(shim.shimPID)/stat")
            let fields = String(decoding: parent, as: UTF8.self).split(separator: " ")
            #expect(fields[3] != "\(getpid())")
            #expect(fields[5] == "\(shim.shimPID)", "a session of its own")
            try fixture.release()
            let exit = try await shim.wait()
            #expect(exit.code == 6)
            #expect(try fixture.log().map(\.text) == (1...10).map(String.init))
        }
    }

    @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0, "needs python3"))
    func aKilledClientDisturbsNothing() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.shell("seq 1 5; \(fixture.waitForRelease); seq 6 100000; exit 6", openStdin: true))
            // Another process attaches, waits and starts the instance, with the bytes of the protocol, and is killed -9.
            let script = """
                import os, socket, sys, time
                os.chdir(sys.argv[1])
                def ask(data, fds=[]):
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    s.connect("shim.sock")
                    socket.send_fds(s, [bytes(data)], fds)
                    return s
                i, o, e = os.pipe(), os.pipe(), os.pipe()
                a = ask([6, 1], [i[0], o[1], e[1]])
                assert a.recv(100) == bytes([5, 1, 1])
                w = ask([8])
                assert ask([3]).recv(100)[0] == 2
                print("ready", flush=True)
                time.sleep(1000)
                """
            let output = try Spawn.pipe()
            let client = try Spawn.start(
                "/usr/bin/python3", ["-c", script, fixture.directory], streams: Spawn.Streams(output: output.write))
            output.write.close()
            let said = await read(output.read, until: "ready\n")
            #expect(said == "ready\n")
            try client.signal(SIGKILL)
            try await client.ended()
            _ = try client.reap()
            try fixture.release()
            let exit = try await shim.wait()
            #expect(exit.code == 6)
            #expect(try fixture.logText() == (1...100_000).map { "\($0)\n" }.joined())
        }
    }

    @Test func aKilledShimTakesAPlainProcessWithIt() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("exec sleep 1000"))
            let pid = try await shim.start()
            let process = try Pidfd(pid)
            let record = try #require(Shim.recordedProcess("pid", directory: fixture.directory))
            #expect(record.pid == pid)
            #expect(record.startTime == Pidfd.startTime(of: pid))
            kill(shim.shimPID, SIGKILL)
            try await process.ended()
            await #expect {
                try await shim.wait()
            } throws: {
                ($0 as? EngineError)?.code == .unavailable
            }
            let found = try await Shim.connect(directory: fixture.directory)
            #expect(found == nil)
            try await shim.shutdown()
        }
    }

    @Test func aFullRunDirectoryLosesNoExitStatus() async throws {
        try await Fixture.with { fixture in
            try await ProcessRunner.check(
                "mount", ["-t", "tmpfs", "-o", "size=128k,mode=0755", "isle-test", fixture.directory])
            var spec = fixture.shell("cat /dev/zero > \(fixture.directory)/fill; exit 7")
            spec.logPath = ""
            var exit: ExitRecord?
            var record: ExitRecord?
            do {
                let shim = try await fixture.spawn(spec)
                _ = try await shim.start()
                exit = try await shim.wait()
                record = try Shim.exitRecord(directory: fixture.directory)
            } catch {
                Issue.record(error)
            }
            try await ProcessRunner.check("umount", ["-l", fixture.directory])
            #expect(exit?.code == 7)
            #expect(record == exit)
        }
    }

    @Test func manyWaitersAllHear() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("sleep 0.3; exit 2"))
            _ = try await shim.start()
            try await withThrowingTaskGroup(of: Int32.self) { group in
                for _ in 0..<100 { group.addTask { try await shim.wait().code } }
                for try await code in group { #expect(code == 2) }
            }
        }
    }

    @Test func cancelledWaitersLeaveNoTrace() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("sleep 1000"))
            _ = try await shim.start()
            let before = try descriptors(of: shim.shimPID)
            let tasks = (0..<50).map { _ in Task { try await shim.wait() } }
            try await Task.sleep(for: .milliseconds(100))
            for task in tasks { task.cancel() }
            for task in tasks { _ = await task.result }
            try await Task.sleep(for: .milliseconds(100))
            #expect(try descriptors(of: shim.shimPID) == before)
        }
    }

    @Test func badPacketsAreRefusedOneByOne() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("sleep 1000"))
            _ = try await shim.start()
            let before = try descriptors(of: shim.shimPID)
            let folder = OwnedDescriptor(open(fixture.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
            var random = SystemRandomNumberGenerator()
            let fixed: [[UInt8]] = [
                [0], [255], [4], [4, 1], [5, 0], [6, 7], [6, 1], [6, 0], [7], [UInt8](repeating: 7, count: 4096),
                [UInt8](repeating: 1, count: 60_000),
            ]
            let noise = (0..<200).map { _ in
                // Nothing that would be a good request: those have fewer bytes.
                (0..<Int.random(in: 6...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            for packet in fixed + noise {
                let raw = isle_seqpacket_connect(folder.raw, "shim.sock")
                #expect(raw >= 0)
                let socket = OwnedDescriptor(raw)
                _ = isle_send(socket.raw, packet, packet.count, [folder.raw, folder.raw], 2)
                var poller = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
                #expect(poll(&poller, 1, 5000) == 1)
            }
            try await Task.sleep(for: .milliseconds(50))
            #expect(try descriptors(of: shim.shimPID) == before)
            let alive = await shim.pid
            #expect(alive != nil)
        }
    }

    @Test func shutdownBeforeTheStart() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("true"))
            try await shim.shutdown()
            #expect(try Shim.exitRecord(directory: fixture.directory) == nil)
            let found = try await Shim.connect(directory: fixture.directory)
            #expect(found == nil)
            try await shim.shutdown()
        }
    }

    @Test func secondStartIsAConflict() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("sleep 100"))
            _ = try await shim.start()
            await #expect {
                try await shim.start()
            } throws: {
                ($0 as? EngineError)?.code == .conflict
            }
        }
    }

    @Test func leftOverChildrenAreKilledWithTheFirstProcess() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.shell(
                    "setsid sleep 98701 & setsid sh -c 'setsid sleep 98702 & sleep 98703' & sleep 0.3; exit 0"))
            _ = try await shim.start()
            try await Task.sleep(for: .milliseconds(200))
            _ = try await shim.wait()
            try await shim.shutdown()
            let left = try await ProcessRunner.run("pgrep", ["-x", "-f", "sleep 9870[123]"])
            #expect(left.outputText.isEmpty)
        }
    }

    @Test func plainProcessOfAnotherUserHasNoCapabilities() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(
                fixture.shell(
                    "id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs' /proc/self/status; cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l",
                    uid: 65534))
            _ = try await shim.start()
            _ = try await shim.wait()
            let lines = try fixture.log().map(\.text)
            #expect(lines == ["65534", "65534", "65534", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "0", "4"])
        }
    }

    @Test func controlGroupsAreJoined() async throws {
        let parent = access("/sys/fs/cgroup/pids", F_OK) == 0 ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup"
        try await Fixture.with { fixture in
            let group = parent + "/" + fixture.id
            try #require(mkdir(group, 0o755) == 0)
            defer { rmdir(group) }
            var spec = fixture.shell("cat /proc/self/cgroup")
            spec.cgroups = [group]
            let shim = try await fixture.spawn(spec)
            _ = try await shim.start()
            _ = try await shim.wait()
            #expect(try fixture.log().contains { $0.text.hasSuffix("/" + fixture.id) })
            let own = String(decoding: try readSmallFile("/proc/self/cgroup"), as: UTF8.self)
            #expect(!own.contains(fixture.id))
        }
    }

    @Test func itIsSmall() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.shell("seq 1 10000; sleep 1000"))
            let client = try await shim.attach(withInput: false)
            _ = try await shim.start()
            async let text = readToEnd(client.output)
            try await Task.sleep(for: .milliseconds(300))
            let rollup = String(decoding: try readSmallFile("/proc/\(shim.shimPID)/smaps_rollup"), as: UTF8.self)
            var kibibytes = 0
            for line in rollup.split(separator: "\n") where line.hasPrefix("Private_") {
                kibibytes += Int(line.split(separator: " ")[1]) ?? 0
            }
            #expect(kibibytes > 0)
            #expect(kibibytes < 1024, "private memory of the shim in KiB")
            try await shim.shutdown()
            _ = await text
        }
    }

    private func descriptors(of pid: Int32) throws -> Int {
        guard let folder = opendir("/proc/\(pid)/fd") else { throw EngineError(.notFound, "process \(pid)") }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
    }
}
