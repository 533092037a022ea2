import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

@Suite(.serialized, .enabled(if: Fixture.canRun, Fixture.needs)) struct LifecycleTests {
    @Test func runsAndLeavesNothing() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("echo hello; echo oops >&2; exit 3")
            let (exit, output) = try await fixture.run(plan)
            #expect(exit.code == 3)
            #expect(exit.signal == nil)
            #expect(output.split(separator: "\n").sorted() == ["hello", "oops"])
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test func isUnprivilegedAndConfined() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan(
                """
                id; cat /proc/self/uid_map; hostname; grep -E 'Cap(Inh|Eff|Amb)|NoNewPrivs|^Seccomp:' /proc/self/status
                ls /proc/self/fd; ls -n / | head -3; echo x > /etc/file && echo written; cat /etc/hosts; env
                ls /proc/acpi; echo 1 > /proc/sys/kernel/core_pattern || echo readonly
                """.replacing("grep", with: "busybox grep"))
            plan.process.environment = ["A=1", "A=2"]
            let (exit, output) = try await fixture.run(plan)
            #expect(exit.code == 0, "\(output)")
            #expect(output.contains("uid=0(root) gid=0(root) groups=0(root),55(extra)"))
            #expect(output.contains("1000000      65536"))
            #expect(output.contains("\nbox\n"))
            #expect(output.contains("CapInh:\t0000000000000000"))
            #expect(output.contains("CapAmb:\t0000000000000000"))
            #expect(output.contains("CapEff:\t00000000a80425fb"))
            #expect(output.contains("NoNewPrivs:\t1"))
            #expect(output.contains("Seccomp:\t2"))
            #expect(output.contains("\n0\n1\n2\n3\n"))
            #expect(!output.contains("\n4\n"))
            #expect(output.contains("written"))
            #expect(output.contains("127.0.1.1\tbox"))
            #expect(output.contains("A=2"))
            #expect(!output.contains("A=1"))
            #expect(output.contains("HOME=/root"))
            #expect(output.contains("readonly"))
            var status = stat()
            #expect(stat("\(plan.stateDirectory)/upper/etc/file", &status) == 0)
            #expect(status.st_uid == 0)
        }
    }

    @Test func programErrorsCanBeToldApart() async throws {
        try await withFixture { fixture in
            try fixture.addFile("etc/text", "no program\n")
            try fixture.addFile("etc/garbage", "\u{1}\u{2}", mode: 0o755)
            for (program, code) in [
                ("/bin/nope", EngineError.Code.notFound), ("nope", .notFound), ("/etc", .invalidArgument),
                ("/etc/text", .invalidArgument),
            ] {
                let plan = try fixture.plan(arguments: [program])
                let handle = try await fixture.driver.create(plan)
                let error = await #expect(throws: EngineError.self) { try await handle.start() }
                #expect(error?.code == code, "\(program): \(error.map { "\($0)" } ?? "")")
                try await handle.delete()
                #expect(fixture.residue(plan).isEmpty)
            }
        }
    }

    /// crun lets go of the process just before it executes the program.
    @Test func lastStepOfStartThatFailsIsInTheLog() async throws {
        try await withFixture { fixture in
            try fixture.addFile("etc/garbage", "\u{1}\u{2}", mode: 0o755)
            let (exit, output) = try await fixture.run(try fixture.plan(arguments: ["/etc/garbage"]))
            #expect(exit.code != 0)
            #expect(output.contains("/etc/garbage`: Exec format error"))
        }
    }

    @Test func execRunsFurtherProcesses() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("exec sleep 100")
            plan.process.environment = ["BASE=1"]
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            let first = try await handle.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])
            #expect(first.exit.code == 7)
            #expect(first.output == "out\n")
            #expect(first.error == "err\n")
            let user = try await handle.run(
                ["sh", "-c", "id; echo $HOME $BASE $MORE; pwd"], user: "web", environment: ["MORE=2"], directory: "/tmp"
            )
            #expect(user.output == "uid=33(web) gid=44(www) groups=44(www),55(extra),56(more)\n/srv 1 2\n/tmp\n")
            for (program, code) in [("/bin/nope", EngineError.Code.notFound), ("/etc", .invalidArgument)] {
                let error = await #expect(throws: EngineError.self) { _ = try await handle.run([program]) }
                #expect(error?.code == code, "\(error.map { "\($0)" } ?? "")")
            }
            let folder = await #expect(throws: EngineError.self) {
                _ = try await handle.run(["true"], directory: "/nope")
            }
            #expect(folder?.code == .notFound)
            let nobody = await #expect(throws: EngineError.self) { _ = try await handle.run(["true"], user: "nope") }
            #expect(nobody?.code == .notFound)
            // The runtime sets the size beside the process that it has started.
            let tty = try await handle.run(
                ["sh", "-c", "sleep 0.05; stty size; echo $TERM"],
                stdio: StdioOptions(terminal: true, size: TerminalSize(columns: 91, rows: 23)))
            #expect(tty.output == "23 91\r\nxterm\r\n")
            let confined = try await handle.run([
                "busybox", "grep", "-E", "CapEff|^Seccomp:|NoNew", "/proc/self/status",
            ])
            #expect(confined.output.contains("Seccomp:\t2"))
            #expect(confined.output.contains("00000000a80425fb"))
            try await handle.delete()
            #expect(fixture.residue(plan).isEmpty)
        }
    }
}
