import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import MachineDriver

/// What changes about a machine while it runs, and a machine that goes on from a file.
@Suite(
    .serialized, .enabled(if: MachineFixture.isReady, Comment(rawValue: MachineFixture.needs)), .timeLimit(.minutes(10))
)
struct MovingPartsTests {
    private let fixture: MachineFixture

    init() throws { fixture = try MachineFixture() }

    private func file(_ name: String, _ text: String) throws -> String {
        let root = try RootDirectory(path: fixture.folder.path)
        try root.writeFile(name, Array(text.utf8) + [UInt8](repeating: 0, count: 1 << 20), mode: 0o600, durable: false)
        return "\(fixture.folder.path)/\(name)"
    }

    private func blockDevices(_ handle: any InstanceHandle) async throws -> String {
        try await fixture.run(handle, ["sh", "-c", "cat /sys/block/vd*/serial"]).output
    }

    @Test func disksAndProcessorsComeAndGo() async throws {
        var plan = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        plan.disks = [MachineDisk(name: "first", path: try file("first", "of the plan"), readOnly: true)]
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            #expect(try await blockDevices(handle).contains("isle_first"))
            let hotplug = try #require(handle.hotplug)
            let second = MachineDisk(name: "second", path: try file("second", "came later"))
            try await hotplug.add(second)
            let again = await #expect(throws: EngineError.self) { try await hotplug.add(second) }
            #expect(again?.code == .alreadyExists)
            let content = try await fixture.run(
                handle,
                [
                    "sh", "-c",
                    """
                    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                      for d in /sys/block/vd*; do
                        if test "$(cat $d/serial)" = isle_second; then head -c 10 /dev/${d##*/}; exit; fi
                      done
                      sleep 0.3
                    done
                    """,
                ])
            #expect(content.output == "came later")
            var status = stat()
            #expect(stat(second.path, &status) == 0 && status.st_uid == 0 && status.st_mode & 0o777 == 0o600)
            let state = await #expect(throws: EngineError.self) {
                try await handle.state?.save(to: fixture.folder.path + "/no-state")
            }
            #expect(state?.code == .unsupported && access(fixture.folder.path + "/no-state", F_OK) != 0)
            try await hotplug.removeDisk("second")
            #expect(try await !blockDevices(handle).contains("isle_second"))
            let missing = await #expect(throws: EngineError.self) { try await hotplug.removeDisk("second") }
            #expect(missing?.code == .notFound)

            let processors = ["sh", "-c", "cat /sys/devices/system/cpu/online"]
            #expect(try await fixture.run(handle, processors).output == "0\n")
            if sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 {
                try await handle.limits?.apply(Limits(cpuCount: 2, memory: plan.limits.memory))
                #expect(try await fixture.run(handle, processors).output == "0-1\n")
                if (handle as? MachineHandle)?.record.acceleration == .tcg {
                    let fewer = await #expect(throws: EngineError.self) {
                        try await handle.limits?.apply(Limits(cpuCount: 1, memory: plan.limits.memory))
                    }
                    #expect(fewer?.code == .unsupported && fewer?.message.contains("KVM") == true)
                } else {
                    try await handle.limits?.apply(Limits(cpuCount: 1, memory: plan.limits.memory))
                    #expect(try await fixture.run(handle, processors).output == "0\n")
                }
            }
            let many = await #expect(throws: EngineError.self) {
                try await handle.limits?.apply(Limits(cpuCount: 4000, memory: plan.limits.memory))
            }
            #expect(many?.code == .unsupported)
        }
    }

    @Test func goesOnFromAFile() async throws {
        let disk = try await fixture.busyboxDisk(hasInit: true)
        var plan = try fixture.plan(disk: disk)
        let path = fixture.folder.path + "/state"
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let script = "echo kept >/run/note; cat /proc/sys/kernel/random/boot_id"
            let boot = try await fixture.run(handle, ["sh", "-c", script]).output
            let state = try #require(handle.state)
            try await state.save(to: path)
            #expect(try await handle.pause?.isPaused == true)
            let twice = await #expect(throws: EngineError.self) { try await state.save(to: path) }
            #expect(twice?.code == .alreadyExists)
            // A stateful snapshot goes on.
            try await handle.pause?.resume()
            #expect(try await fixture.run(handle, ["cat", "/run/note"]).output == "kept\n")
            unlink(path)
            // A stateful stop does not.
            try await state.save(to: path)
            try await handle.signal(SIGKILL)
            _ = try await handle.wait()
            try await handle.delete()

            plan.savedState = path
            let again = try await fixture.driver.create(plan)
            do {
                try await again.start()
                #expect(try await again.pause?.isPaused == false)
                #expect(try await fixture.run(again, ["cat", "/run/note"]).output == "kept\n")
                #expect(try await fixture.run(again, ["cat", "/proc/sys/kernel/random/boot_id"]).output == boot)
            } catch {
                try? await again.delete()
                throw error
            }
            try await again.delete()
        }
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600 && status.st_uid == 0)
    }

    @Test func aDamagedStateSaysSo() async throws {
        var plan = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        plan.savedState = try file("damaged", "this is no state of a machine")
        try await fixture.withMachine(plan) { handle in
            let error = await #expect(throws: EngineError.self) { try await handle.start() }
            #expect(error?.message.contains("machine") == true, "\(error.debugDescription)")
        }
    }

    /// A KVM that does not run guests may end QEMU, but later than at the opening of its device.
    @Test(.enabled(if: access("/dev/kvm", F_OK) == 0, "no /dev/kvm"))
    func devicesOfTheHostStayAsTheyAre() async throws {
        func mode(_ path: String) -> mode_t {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode : 0
        }
        let before = ["/dev/kvm", "/dev/net/tun"].map(mode)
        let plan = try fixture.plan(
            disk: try await fixture.busyboxDisk(hasInit: true), config: ["machine.acceleration": "kvm"])
        try await fixture.withMachine(plan) { handle in
            do {
                try await handle.start()
            } catch let error as EngineError {
                #expect(!error.message.contains("Permission denied") && !error.message.contains("Could not access KVM"))
                return
            }
            let pid = try #require(await handle.pid)
            var status = stat()
            #expect(stat("/proc/\(pid)/root/dev/kvm", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600 && status.st_uid == plan.hypervisorUser)
        }
        #expect(["/dev/kvm", "/dev/net/tun"].map(mode) == before)
    }
}
