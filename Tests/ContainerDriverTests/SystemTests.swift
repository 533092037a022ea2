import DriverKit
import Foundation
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

/// A Debian userland with systemd: `mmdebstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm DIR`.
private let debian =
    ProcessInfo.processInfo.environment["ISLE_TEST_DEBIAN"]
    ?? #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/out/test/debian-sys"
private let debianFolder = debian.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
private let debianName = debian.split(separator: "/").last.map(String.init) ?? ""
private let hasDebian = Fixture.canRun && HostFiles.exists("\(debian)/lib/systemd/systemd")

@Suite(.serialized, .enabled(if: Fixture.canRun, Fixture.needs)) struct SystemTests {
    @Test(.enabled(if: hasDebian, "needs a Debian userland with systemd in ISLE_TEST_DEBIAN"))
    func systemdBootsAndStops() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan(
                arguments: ["/sbin/init"], kind: .system, layers: debianFolder,
                layer: debianName)
            plan.limits = Limits(cpuCount: 2, memory: 512 << 20, processes: 500)
            let clock = ContinuousClock()
            let begin = clock.now
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            let started = clock.now - begin
            var state = ""
            while clock.now - begin < .seconds(20) {
                state = try await handle.run(["systemctl", "is-system-running"]).output
                if state == "running\n" { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            print("systemd: started after \(started), \(state.dropLast()) after \(clock.now - begin)")
            #expect(state == "running\n")
            let facts = try await handle.run(
                [
                    "sh", "-c",
                    "cat /etc/hostname; systemctl --failed --no-legend; cat /proc/self/cgroup; grep Cap /proc/1/status; echo x > /proc/sys/kernel/core_pattern || echo refused",
                ])
            #expect(facts.output.hasPrefix("box\n"))
            #expect(facts.output.contains("0::/isle.exec"))
            #expect(facts.error.contains("core_pattern"))
            let stop = clock.now
            try await handle.requestStop(signal: nil)
            let exit = try await handle.wait()
            print("systemd: stopped after \(clock.now - stop): \(exit)")
            #expect(exit.code == 0)
            try await handle.delete()
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test(.enabled(if: hasDebian, "needs a Debian userland with systemd in ISLE_TEST_DEBIAN"))
    func rebootFromInsideIsReported() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan(
                arguments: ["/sbin/init"], kind: .system, layers: debianFolder,
                layer: debianName)
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            while try await handle.run(["systemctl", "is-system-running"]).output != "running\n" {
                try await Task.sleep(for: .milliseconds(20))
            }
            _ = try await handle.run(["systemctl", "reboot"])
            let exit = try await handle.wait()
            #expect(exit.wantsReboot)
            #expect(exit.code == 0)
            try await handle.delete()
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test func busyboxInitStopsAndReboots() async throws {
        try await withFixture { fixture in
            try fixture.addFile("etc/inittab", "::sysinit:/bin/echo up\n::respawn:/bin/sleep 1000\n")
            for (command, reboots) in [(nil, false), (["reboot"], true), (["poweroff"], false)] as [([String]?, Bool)] {
                let plan = try fixture.plan(arguments: ["/bin/init"], kind: .system)
                let handle = try await fixture.driver.create(plan)
                try await handle.start()
                while !fixture.log(plan).contains("up") { try await Task.sleep(for: .milliseconds(5)) }
                if let command {
                    _ = try await handle.run(command)
                } else {
                    try await handle.requestStop(signal: nil)
                }
                let exit = try await handle.wait()
                #expect(exit.code == 0)
                #expect(exit.wantsReboot == reboots)
                try await handle.delete()
                #expect(fixture.residue(plan).isEmpty)
            }
        }
    }
}
