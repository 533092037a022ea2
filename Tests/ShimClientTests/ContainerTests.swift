import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Testing

/// Instances run by a real OCI runtime, in a user namespace on an overlay of idmapped folders.
@Suite(.enabled(if: Fixture.hasRuntime, "needs root, out/isle-shim, crun and busybox")) struct ContainerTests {
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

    @Test func theRuntimesWordsComeThrough() async throws {
        try await Fixture.with { fixture in
            let shim = try await fixture.spawn(fixture.container(["/bin/nonexistent"]))
            await #expect {
                try await shim.start()
            } throws: {
                "\($0)".contains("nonexistent")
            }
            try await shim.shutdown()
            #expect(try Shim.exitRecord(directory: fixture.directory) == nil)
        }
    }
}
