import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import MachineDriver

/// Machines under real QEMU. Without KVM a boot takes seconds, so each test asks much of one machine.
@Suite(.serialized, .enabled(if: MachineFixture.isReady, Comment(rawValue: MachineFixture.needs)), .timeLimit(.minutes(3)))
struct RealMachineTests {
    private let fixture: MachineFixture

    init() throws { fixture = try MachineFixture() }

    @Test func applicationEndsWithItsProgramsExitCode() async throws {
        let plan = try fixture.plan(
            ["sh", "-c", "echo $GREETING from $(uname -n); id -u; read line; echo got $line; exit 7"],
            disk: try await fixture.busyboxDisk())
        let handle = try await fixture.driver.create(plan)
        let session = try #require(try await handle.attach?.attach(withInput: true))
        try await handle.start()
        #expect(await handle.pid != nil)
        _ = try await fixture.readAll(session.streams.output, until: "0\n")
        let line = Array("typed\n".utf8)
        _ = write(session.streams.input?.raw ?? -1, line, line.count)
        let exit = try await handle.wait()
        #expect(exit.code == 7 && exit.signal == nil, "\(exit)\n\(fixture.log(plan))")
        let log = fixture.log(plan)
        for text in ["hello from guest", "got typed"] { #expect(log.contains(text)) }
        try await handle.delete()
        try await handle.delete()
        #expect(try RootDirectory(path: plan.runDirectory).list().isEmpty)
    }
}
