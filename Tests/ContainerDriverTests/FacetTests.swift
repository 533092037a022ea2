import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

@Suite(.serialized, .enabled(if: Fixture.canRun, Fixture.needs)) struct FacetTests {
    /// Starts the plan, runs `body`, takes it away, and expects nothing to be left.
    private func running(
        _ fixture: Fixture, _ plan: LaunchPlan, _ body: (any InstanceHandle) async throws -> Void
    ) async throws {
        let handle = try await fixture.driver.create(plan)
        do {
            try await handle.start()
            try await body(handle)
        } catch {
            try await handle.delete()
            throw error
        }
        try await handle.delete()
        try await handle.delete()
        #expect(fixture.residue(plan).isEmpty)
    }

    @Test func memoryLimitEndsInAReport() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan(arguments: ["/bin/tail", "/dev/zero"])
            plan.limits.memory = 16 << 20
            let exit = try await fixture.run(plan).exit
            #expect(exit.code == 137)
            #expect(exit.signal == SIGKILL)
            #expect(exit.outOfMemory)
        }
    }

    @Test func limitsChangeWhileItRuns() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("sleep 100 & sleep 100 & echo ready; wait")
            try await running(fixture, plan) { handle in
                while !fixture.log(plan).contains("ready") { try await Task.sleep(for: .milliseconds(5)) }
                let group = try #require(fixture.driver.cgroups.find(plan.id.raw))
                try await handle.limits?.apply(
                    Limits(cpuCount: 1, cpuSet: "0", cpuSharePercent: 50, memory: 64 << 20, processes: 20))
                // Late joined trees have every process.
                let all = Set(group.pids())
                #expect(all.count == 3)
                for folder in try #require(fixture.driver.cgroups.find(plan.id.raw)).joinFolders {
                    let members = String(decoding: try readSmallFile("\(folder)/cgroup.procs"), as: UTF8.self)
                    #expect(Set(members.split(separator: "\n").compactMap { Int32($0) }) == all, "\(folder)")
                }
                let fork = try await handle.run(
                    ["sh", "-c", "i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; wait"])
                #expect(fork.exit.code != 0)
                #expect(fork.error.contains("fork"))
                try await handle.limits?.apply(Limits(memory: 128 << 20))
                try await handle.limits?.apply(Limits(memory: 32 << 20))
                try await handle.limits?.apply(Limits())
                let usage = try await handle.usage?.usage()
                #expect((usage?.memory ?? 0) > 0)
                #expect((usage?.processes ?? 0) >= 3)
                #expect((usage?.cpuNanoseconds ?? 0) > 0)
            }
        }
    }

    @Test func pauseHoldsAndDeleteWorks() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("while true; do echo x; sleep 0.01; done")
            try await running(fixture, plan) { handle in
                let pause = try #require(handle.pause)
                try await Task.sleep(for: .milliseconds(60))
                try await pause.pause()
                #expect(try await pause.isPaused)
                let before = fixture.log(plan).count
                try await Task.sleep(for: .milliseconds(100))
                #expect(fixture.log(plan).count - before <= 2)
                let error = await #expect(throws: EngineError.self) { _ = try await handle.run(["true"]) }
                #expect(error?.code == .conflict)
                try await pause.resume()
                #expect(try await !pause.isPaused)
                try await Task.sleep(for: .milliseconds(60))
                #expect(fixture.log(plan).count > before)
                try await pause.pause()
            }
        }
    }

    @Test func signalsEndIt() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan(
                "trap 'exit 9' TERM; trap 'exit 5' USR1; echo ready; while true; do sleep 0.01; done")
            for (signal, code) in [(nil, Int32(9)), ("SIGUSR1", 5), ("9", 137)] {
                var plan = plan
                plan.id = InstanceID.random()
                plan.runDirectory = "\(fixture.directory)/run/\(plan.id)"
                try await running(fixture, plan) { handle in
                    while !fixture.log(plan).contains("ready") { try await Task.sleep(for: .milliseconds(5)) }
                    try await handle.requestStop(signal: signal)
                    let exit = try await handle.wait()
                    #expect(exit.code == code)
                }
                unlink(plan.log.path)
            }
        }
    }

    @Test func attachSeesOutputAndFeedsInput() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("cat; echo end >&2")
            plan.stdio = StdioOptions(openStdin: true, stdinOnce: true)
            let handle = try await fixture.driver.create(plan)
            let session = try #require(try await handle.attach?.attach(withInput: true))
            try await handle.start()
            let input = try #require(session.streams.input)
            #expect(write(input.raw, "hello\n", 6) == 6)
            input.close()
            let output = await text(session.streams.output)
            #expect(output == "hello\n")
            let error = try #require(session.streams.error)
            let words = await text(error)
            #expect(words == "end\n")
            #expect(try await handle.wait().code == 0)
            try await handle.delete()
        }
    }

    @Test func mountsAndVolumes() async throws {
        try await withFixture { fixture in
            let host = "\(fixture.directory)/private"
            try HostFiles.makeDirectory("\(host)/data", mode: 0o777)
            try HostFiles.makeDirectory("\(host)/volume", mode: 0o755)
            try HostFiles.write("\(host)/file", "content\n", mode: 0o644)
            chmod("\(host)/data", 0o777)
            // The runtime cannot pass here; the shim can.
            chmod(host, 0o700)
            var plan = try fixture.plan(
                "cat /in/file; echo x > /in/file || echo ro1; echo y > /data/ro/new || echo ro2; echo z > /data/new; echo v > /vol/new; stat -c %u /vol /vol/new"
            )
            plan.mounts = [
                MountSpec(source: "\(host)/data", target: "/data/ro", readOnly: true),
                MountSpec(source: "\(host)/data", target: "/data"),
                MountSpec(source: "\(host)/file", target: "/in/file", readOnly: true),
                MountSpec(source: "\(host)/volume", target: "/vol", idMapped: true),
            ]
            let (exit, output) = try await fixture.run(plan)
            #expect(exit.code == 0)
            #expect(output.contains("content"))
            #expect(output.contains("ro1"))
            #expect(output.contains("ro2"))
            #expect(output.contains("0\n0"))
            var status = stat()
            #expect(stat("\(host)/volume/new", &status) == 0)
            #expect(status.st_uid == 0)
            #expect(stat("\(host)/data/new", &status) == 0)
            #expect(status.st_uid == 1_000_000)
        }
    }

    @Test func networkModes() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("ip -o link | busybox wc -l; cat /etc/resolv.conf; ls /sys/class/net")
            let alone = try await fixture.run(plan)
            #expect(alone.exit.code == 0)
            #expect(alone.output.hasPrefix("1\n"))
            #expect(alone.output.contains("lo"))
            plan.id = InstanceID.random()
            plan.runDirectory = "\(fixture.directory)/run/\(plan.id)"
            unlink(plan.log.path)
            plan.network = .host
            let host = try await fixture.run(plan)
            #expect(host.exit.code == 0, "\(host)")
            let own = String(decoding: try readSmallFile("/proc/net/dev"), as: UTF8.self)
            #expect(host.output.hasPrefix("\(own.split(separator: "\n").count - 2)\n"))
        }
    }

    @Test func privilegedRunsAsTheHostsRoot() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("cat /proc/self/uid_map; busybox grep CapEff /proc/self/status; touch /made")
            plan.identity = nil
            plan.security.privileged = true
            let (exit, output) = try await fixture.run(plan)
            #expect(exit.code == 0, "\(output)")
            #expect(output.contains("4294967295"))
        }
    }

    @Test func readOnlyRootAndWorkingFolder() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("pwd; stat -c %u .; touch /x || echo refused; touch /tmp/x || echo refused")
            plan.process.workingDirectory = "/srv/app/data"
            plan.security.readOnlyRoot = true
            let (_, output) = try await fixture.run(plan)
            #expect(output.contains("/srv/app/data\n0\n"))
            #expect(output.split(separator: "\n").filter { $0 == "refused" }.count == 2)
        }
    }
}
