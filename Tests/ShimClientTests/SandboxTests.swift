import CHost
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Testing

/// The walls around a sandboxed process.
@Suite(.timeLimit(.minutes(2)), .enabled(if: Fixture.hasRuntime, "needs root, out/isle-shim and busybox"))
struct SandboxTests {
    private func spec(
        _ fixture: Fixture, _ script: String, binds: [Sandbox.Bind] = [], limits: [Sandbox.Limit] = [],
        seccompFile: String = "", identity: Bool = true
    ) throws -> ShimSpec {
        try fixture.write(fixture.root + "/busybox", readSmallFile("/bin/busybox", limit: 8 << 20), mode: 0o755)
        return ShimSpec(
            directory: fixture.directory, logPath: fixture.logPath,
            identity: identity ? .init(base: Fixture.base) : nil, newNetwork: true,
            launch: .process(
                ShimProcess(
                    arguments: ["/bin/busybox", "sh", "-c", script], environment: ["A=1"], uid: 0, gid: 0,
                    sandbox: Sandbox(
                        hostname: "cell",
                        binds: [
                            .init(source: fixture.root + "/busybox", target: "/bin/busybox", executable: true),
                            .init(source: "/proc", target: "/proc"),
                            .init(source: "/dev/null", target: "/dev/null", readOnly: false),
                        ] + binds, limits: limits, seccompFile: seccompFile))))
    }

    private func run(_ fixture: Fixture, _ spec: ShimSpec) async throws -> (lines: [String], exit: ExitRecord) {
        let shim = try await fixture.spawn(spec)
        _ = try await shim.start()
        let exit = try await shim.wait()
        return (try fixture.log().map(\.text), exit)
    }

    @Test func hasNothingButItsBinds() async throws {
        try await Fixture.with { fixture in
            let script = """
                busybox() { /bin/busybox "$@"; }
                busybox ls /; busybox hostname; echo $$; busybox id -u; busybox env
                echo x > /f || echo readonly; busybox mount -t tmpfs t /bin || echo nomount
                """
            let (lines, exit) = try await run(fixture, spec(fixture, script))
            #expect(exit.code == 0)
            let output = lines.filter { !$0.contains(":") }
            #expect(Array(output.prefix(6)) == ["bin", "dev", "proc", "cell", "1", "0"])
            #expect(lines.contains("A=1"))
            #expect(!lines.contains { $0.hasPrefix("LD_") || $0.hasPrefix("HOME=") })
            #expect(lines.contains("readonly"))
            #expect(lines.contains("nomount"))
        }
    }

    @Test func hasNoCapabilitiesAndTheMappedUser() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(spec(fixture, "exec /bin/busybox sleep 1000"))
            let pid = try await shim.start()
            let status = String(decoding: try readSmallFile("/proc/\(pid)/status"), as: UTF8.self)
            for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                #expect(status.contains("\(name):\t0000000000000000"))
            }
            #expect(status.contains("NoNewPrivs:\t1"))
            #expect(status.contains("Uid:\t300000\t300000\t300000\t300000"))
            #expect(status.contains("Groups:\t\n") || status.contains("Groups:\t \n"))
            for space in ["user", "net", "mnt", "pid", "ipc", "uts"] {
                #expect(try namespace(space, of: pid) != namespace(space, of: getpid()))
            }
            let files = try await ProcessRunner.check("ls", ["/proc/\(pid)/fd"]).outputText
            #expect(files == "0\n1\n2\n")
            try await shim.shutdown()
        }
    }

    @Test func bindsAreReadOnlyOrNot() async throws {
        try await Fixture.with { fixture in
            mkdir(fixture.root + "/data", 0o777)
            chmod(fixture.root + "/data", 0o777)
            mkdir(fixture.root + "/own", 0o700)
            let script = """
                echo a > /ro/x || echo refused; echo b > /rw/x && echo written; echo c > /own/deep/x && echo mapped
                """
            let (lines, _) = try await run(
                fixture,
                spec(
                    fixture, script,
                    binds: [
                        .init(source: fixture.root + "/data", target: "/ro"),
                        .init(source: fixture.root + "/data", target: "/rw", readOnly: false),
                        .init(source: fixture.root + "/own", target: "/own/deep", readOnly: false, idMapped: true),
                    ]))
            #expect(lines.filter { !$0.contains(":") } == ["refused", "written", "mapped"])
            var status = stat()
            #expect(stat(fixture.root + "/own/x", &status) == 0)
            #expect(status.st_uid == 0)
        }
    }

    @Test func aBindDoesNotFollowLinksOfAnEarlierOne() async throws {
        try await Fixture.with { fixture in
            mkdir(fixture.root + "/evil", 0o755)
            symlink("../../etc", fixture.root + "/evil/link")
            let spec = try spec(
                fixture, "true",
                binds: [
                    .init(source: fixture.root + "/evil", target: "/evil", readOnly: false),
                    .init(source: fixture.root + "/busybox", target: "/evil/link/passwd"),
                ])
            let shim = try await fixture.spawn(spec)
            await #expect {
                try await shim.start()
            } throws: {
                "\($0)".contains("/evil/link/passwd")
            }
        }
    }

    @Test(arguments: ["/a/../b", "/", "/a/./b"]) func badTargetsAreRefused(_ target: String) async throws {
        try await Fixture.with { fixture in
            let spec = try spec(fixture, "true", binds: [.init(source: "/tmp", target: target)])
            let shim = try await fixture.spawn(spec)
            await #expect {
                try await shim.start()
            } throws: {
                ($0 as? EngineError)?.code == .invalidArgument && "\($0)".contains(target)
            }
        }
    }

    @Test func limitsHold() async throws {
        try await Fixture.with { fixture in
            let (lines, _) = try await run(
                fixture,
                spec(
                    fixture, "ulimit -n; ulimit -c",
                    limits: [.init(resource: 7, value: 33), .init(resource: 4, value: 0)]))
            #expect(lines == ["33", "0"])
        }
    }

    @Test func theSeccompFilterIsLoaded() async throws {
        try await Fixture.with { fixture in
            // ld [0] (the call's number); jeq uname (63) -> return ERRNO(EPERM); return ALLOW.
            let filter: [UInt8] = [
                0x20, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 0, 1, 63, 0, 0, 0, 0x06, 0, 0, 0, 1, 0, 5, 0, 0x06, 0, 0, 0, 0, 0,
                0xff, 0x7f,
            ]
            try fixture.write(fixture.root + "/filter", filter)
            let (lines, exit) = try await run(
                fixture, spec(fixture, "/bin/busybox uname; exit 5", seccompFile: fixture.root + "/filter"))
            #expect(exit.code == 5)
            #expect(lines == [""], "what busybox prints when uname(2) fails")
        }
    }

    @Test func aBrokenSeccompFilterIsNamed() async throws {
        try await Fixture.with { fixture in
            try fixture.write(fixture.root + "/filter", [1, 2, 3])
            let shim = try await fixture.spawn(spec(fixture, "true", seccompFile: fixture.root + "/filter"))
            await #expect {
                try await shim.start()
            } throws: {
                "\($0)".contains("\(fixture.root)/filter is not a seccomp filter")
            }
        }
    }

    @Test func worksWithoutAUserNamespaceToo() async throws {
        try await Fixture.with { fixture in
            var spec = try spec(fixture, "/bin/busybox id -u; echo x > /f", identity: false)
            guard case .process(var process) = spec.launch else { return }
            process.uid = 65534
            process.gid = 65534
            spec.launch = .process(process)
            let (lines, exit) = try await run(fixture, spec)
            #expect(lines.first == "65534")
            #expect(exit.code != 0)
        }
    }

    @Test func aKilledShimTakesItAlong() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(spec(fixture, "exec /bin/busybox sleep 1000"))
            let process = try Pidfd(try await shim.start())
            kill(shim.shimPID, SIGKILL)
            try await process.ended()
        }
    }

    @Test func aTerminalInTheSandbox() async throws {
        try await Fixture.with { fixture in
            var spec = try spec(fixture, "test -t 0 && echo tty > /dev/stdout; /bin/busybox stty size")
            spec.terminal = true
            spec.columns = 81
            spec.rows = 25
            let (lines, _) = try await run(fixture, spec)
            #expect(lines.contains("25 81\r"))
        }
    }

    private func namespace(_ name: String, of pid: Int32) throws -> String {
        var buffer = [CChar](repeating: 0, count: 100)
        let count = readlink("/proc/\(pid)/ns/\(name)", &buffer, buffer.count)
        guard count > 0 else { throw EngineError(.notFound, "namespace \(name) of \(pid)") }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
