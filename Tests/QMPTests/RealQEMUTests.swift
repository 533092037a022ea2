import FoundationEssentials
import Glibc
import LinuxHost
import Model
import Testing

@testable import QMP

private let qemu = "/usr/bin/qemu-system-x86_64"

/// The client against QEMU itself, without a machine in it.
@Suite(.enabled(if: access(qemu, X_OK) == 0, "\(qemu) is not installed"), .timeLimit(.minutes(1)))
struct RealQEMUTests {
    @Test func talksToQEMU() async throws {
        let path = "/tmp/isle-qemu-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        let child = try Spawn.start(
            qemu,
            [
                "-M", "none", "-nodefaults", "-display", "none", "-chardev",
                "socket,id=q,path=\(path),server=on,wait=off",
            ]
                + ["-mon", "chardev=q,mode=control"])
        defer {
            kill(child.pid, SIGKILL)
            unlink(path)
        }
        let client = try await QMPClient.connect(path)
        let version = try await client.execute("query-version")
        #expect(version["qemu"]?["major"]?.integer ?? 0 >= 5)
        #expect(try await client.execute("query-status")["running"]?.flag == true)
        let error = await #expect(throws: EngineError.self) { try await client.execute("no-such-command") }
        #expect(error?.code == .notFound)
        try await client.execute("quit")
        try await child.ended()
        _ = try child.reap()
        var last = ""
        for await event in client.events { last = event.name }
        #expect(last == "SHUTDOWN")
    }
}
