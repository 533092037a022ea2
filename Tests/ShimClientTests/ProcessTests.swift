import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Testing

/// Instances whose first process the shim starts itself.
@Suite(.enabled(if: Fixture.canRun, "needs root and out/isle-shim")) struct ProcessTests {
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
