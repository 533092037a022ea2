import DriverKit
import Glibc
import LinuxHost
import Model
import ShimClient
import Testing

@testable import MachineDriver

/// Machines under real QEMU. Without KVM a boot takes seconds, so each test asks much of one machine.
@Suite(
    .serialized, .enabled(if: MachineFixture.isReady, Comment(rawValue: MachineFixture.needs)), .timeLimit(.minutes(10))
)
struct RealMachineTests {
    private let fixture: MachineFixture

    init() throws { fixture = try MachineFixture() }

    @Test func applicationEndsWithItsProgramsExitCode() async throws {
        let plan = try fixture.plan(
            ["sh", "-c", "echo $GREETING from $(uname -n); id -u; read line; echo got $line; exit 7"],
            disk: try await fixture.busyboxDisk())
        try await fixture.withMachine(plan) { handle in
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
        }
        let left = try RootDirectory(path: plan.runDirectory).list().map(\.name.text)
        #expect(left == [])
    }

    @Test func programsRunBesideTheGuestsInit() async throws {
        let plan = try fixture.plan(disk: try await fixture.busyboxDisk(hasInit: true))
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let hello = try await fixture.run(
                handle, ["sh", "-c", "echo $A; id -u; pwd; cat; echo bad >&2; exit 5"], user: "web", directory: "/tmp",
                input: "from outside\n", environment: ["A=b c"])
            #expect(hello.output == "b c\n33\n/tmp\nfrom outside\n")
            #expect(hello.error == "bad\n" && hello.exit.code == 5)
            // The agent can be faster than the init beside it.
            for _ in 0..<300 where !fixture.log(plan).contains("init is up") {
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect(fixture.log(plan).contains("init is up"), "the guest's own init runs")
            #expect(try await fixture.run(handle, ["cat", "/proc/1/comm"]).output == "init\n")

            let modules = try await fixture.run(handle, ["sh", "-c", "modprobe overlay && cat /proc/filesystems"])
            #expect(modules.output.contains("overlay"), "the kernel's modules are there: \(modules.error)")
            try await failuresAreNamed(handle)
            try await terminalWorks(handle)
            try await muchDataPasses(handle)
            try await pausesAndCounts(handle)
            let again = try await outlivesTheDaemon(handle, plan)

            try await again.requestStop(signal: nil)
            let exit = try await again.wait()
            #expect(exit.code == 0 && exit.signal == nil)
        }
    }

    private func failuresAreNamed(_ handle: any InstanceHandle) async throws {
        let missing = await #expect(throws: EngineError.self) { try await fixture.run(handle, ["no-such-program"]) }
        #expect(missing?.code == .notFound && missing?.message.contains("no-such-program") == true)
        let user = await #expect(throws: EngineError.self) {
            try await fixture.run(handle, ["id"], user: "nobody-here")
        }
        #expect(user?.code == .notFound)
        let folder = await #expect(throws: EngineError.self) { try await fixture.run(handle, ["/etc/passwd"]) }
        #expect(folder?.code == .invalidArgument)
        let huge = await #expect(throws: EngineError.self) {
            try await fixture.run(handle, ["echo", String(repeating: "x", count: 40_000)])
        }
        #expect(huge?.code == .invalidArgument)
    }

    private func terminalWorks(_ handle: any InstanceHandle) async throws {
        let exec = try #require(handle.exec)
        let session = try await exec.exec(
            ProcessSpec(arguments: ["sh", "-c", "stty size; read x; stty size; sleep 60"]),
            stdio: StdioOptions(terminal: true, openStdin: true, size: TerminalSize(columns: 91, rows: 17)))
        #expect(session.streams.error == nil)
        let output = session.streams.output
        #expect(try await fixture.readAll(output, until: "17 91").contains("17 91"))
        try await session.resize(TerminalSize(columns: 40, rows: 12))
        let line = Array("\n".utf8)
        _ = write(session.streams.input?.raw ?? -1, line, line.count)
        #expect(try await fixture.readAll(output, until: "12 40").contains("12 40"))
        // The terminal's own interrupt character.
        let interrupt: [UInt8] = [3]
        _ = write(session.streams.input?.raw ?? -1, interrupt, 1)
        #expect(try await session.wait().code == 130)
    }

    private func muchDataPasses(_ handle: any InstanceHandle) async throws {
        let result = try await fixture.run(handle, ["head", "-c", "3000000", "/dev/zero"])
        #expect(result.output.utf8.count == 3_000_000 && result.exit.code == 0)
        let text = String(repeating: "0123456789abcde\n", count: 3000)
        #expect(try await fixture.run(handle, ["cat"], input: text).output == text)
        let exec = try #require(handle.exec)
        let session = try await exec.exec(ProcessSpec(arguments: ["sleep", "60"]), stdio: StdioOptions())
        try await session.signal(SIGTERM)
        #expect(try await session.wait().signal == SIGTERM)
    }

    private func pausesAndCounts(_ handle: any InstanceHandle) async throws {
        let pause = try #require(handle.pause)
        try await pause.pause()
        #expect(try await pause.isPaused)
        try await pause.resume()
        #expect(try await !pause.isPaused)
        let usage = try #require(try await handle.usage?.usage())
        #expect(usage.cpuNanoseconds ?? 0 > 100_000_000 && usage.memory ?? 0 > 16 << 20 && usage.processes ?? 0 > 1)
        try await handle.limits?.apply(Limits(cpuSet: "0", memory: 192 << 20))
        let error = await #expect(throws: EngineError.self) { try await handle.limits?.apply(Limits(memory: 1 << 40)) }
        #expect(error?.code == .unsupported)
    }

    private func outlivesTheDaemon(_ handle: any InstanceHandle, _ plan: LaunchPlan) async throws
        -> any InstanceHandle
    {
        let pid = await handle.pid
        // A daemon that died has closed its connections.
        await (handle as? MachineHandle)?.disconnect()
        let next = try MachineFixture().driver
        let found = try await next.reattach(
            plan.id, kind: .machine, runDirectory: plan.runDirectory, stateDirectory: plan.stateDirectory)
        guard case .running(let again) = found else {
            throw EngineError(.internal, "not found again: \(found)")
        }
        #expect(await again.pid == pid)
        #expect(try await fixture.run(again, ["echo", "again"]).output == "again\n")
        return again
    }

    /// A whole distribution with systemd, from the root filesystem that system containers use too.
    @Test(.enabled(if: access(MachineFixture.debian, F_OK) == 0, "no Debian root filesystem is there"))
    func debianComesUpWithSystemd() async throws {
        let disk = try await fixture.disk(from: MachineFixture.debian, name: "debian", size: "600M")
        let plan = try fixture.plan(["/sbin/init"], disk: disk, memory: 512 << 20)
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let first = try await fixture.run(handle, ["cat", "/etc/os-release"])
            #expect(first.output.contains("Debian"))
            // systemctl calls a system whose systemd has not set itself up yet offline.
            let script = """
                until [ -S /run/systemd/private ]; do sleep 0.2; done
                systemctl is-system-running --wait; hostname; cat /etc/machine-id; systemctl --failed --no-legend
                """
            let state = try await fixture.run(handle, ["sh", "-c", script])
            #expect(state.output.hasPrefix("running\nguest\n\(plan.id.raw)\(plan.id.raw)\n"), "\(state.output)")
            try await handle.requestStop(signal: nil)
            #expect(try await handle.wait().code == 0)
            #expect(fixture.log(plan).contains("Power down"))
        }
    }

    /// A boot sector that writes to the serial line and halts: what SeaBIOS does with any disk image.
    @Test func diskImageBootsByBIOS() async throws {
        var sector: [UInt8] = [
            0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x15, 0x7c, 0xba, 0xf8, 0x03, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8,
            0xf4, 0xeb, 0xfd,
        ]
        sector += Array("hello from the boot sector\r\n".utf8)
        sector +=
            [UInt8](repeating: 0, count: 510 - sector.count) + [0x55, 0xaa] + [UInt8](repeating: 0, count: 1 << 20)
        try fixture.folder.root.writeFile("bios.img", sector, durable: false)
        let disk = DiskRoot(path: fixture.folder.path + "/bios.img", format: .raw, boot: .bios)
        let plan = try fixture.plan(disk: disk, config: ["cloud-init.user-data": "#cloud-config\n{}\n"])
        try await fixture.withMachine(plan) { handle in
            let session = try #require(try await handle.attach?.attach(withInput: false))
            try await handle.start()
            let text = try await fixture.readAll(session.streams.output, until: "boot sector")
            #expect(text.contains("hello from the boot sector"))
            let error = await #expect(throws: EngineError.self) { try await fixture.run(handle, ["true"]) }
            #expect(error?.code == .unavailable && error?.message.contains("qemu-guest-agent") == true)
            try await handle.requestStop(signal: nil)
            try await handle.signal(SIGKILL)
            #expect(try await handle.wait().signal == SIGKILL)
        }
    }

    @Test(.enabled(if: access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK) == 0, "OVMF is not installed"))
    func diskImageBootsByUEFI() async throws {
        try fixture.folder.root.writeFile("uefi.img", [UInt8](repeating: 0, count: 1 << 20), durable: false)
        let disk = DiskRoot(path: fixture.folder.path + "/uefi.img", format: .raw, boot: .uefi)
        let plan = try fixture.plan(disk: disk)
        try await fixture.withMachine(plan) { handle in
            let session = try #require(try await handle.attach?.attach(withInput: false))
            try await handle.start()
            #expect(try await fixture.readAll(session.streams.output, until: "BdsDxe").contains("BdsDxe"))
            try await handle.signal(SIGKILL)
            _ = try await handle.wait()
        }
        let beside = try RootDirectory(path: fixture.folder.path)
        #expect(try beside.status("uefi-vars.fd")?.user == plan.hypervisorUser, "the variables last")
    }

    @Test func diskWithoutAnInitStaysUpForExec() async throws {
        let plan = try fixture.plan(disk: try await fixture.busyboxDisk())
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            // Orphans of what is executed are reaped by isle-init, which is the first process here.
            _ = try await fixture.run(handle, ["sh", "-c", "(sleep 0.1 &) ; true"])
            let list = try await fixture.run(handle, ["sh", "-c", "sleep 0.3; ps -o stat,comm"])
            #expect(!list.output.contains("Z "), "\(list.output)")
            try await handle.requestStop(signal: nil)
            #expect(try await handle.wait().code == 0)
        }
    }

    @Test func shimThatWasKilledLeavesNothingRunning() async throws {
        let plan = try fixture.plan(disk: try await fixture.busyboxDisk())
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let pid = try #require(await handle.pid)
            let shim = try #require(handle as? MachineHandle).shim.shimPID
            kill(shim, SIGKILL)
            await (handle as? MachineHandle)?.disconnect()
            let found = try await fixture.driver.reattach(
                plan.id, kind: .machine, runDirectory: plan.runDirectory, stateDirectory: plan.stateDirectory)
            if case .running = found { Issue.record("found running without its shim") }
            for _ in 0..<100 where kill(pid, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
            #expect(kill(pid, 0) != 0, "QEMU is gone")
        }
    }

    @Test func whatQEMURefusesIsSaid() async throws {
        let disk = try await fixture.busyboxDisk()
        var plan = try fixture.plan(disk: DiskRoot(path: disk.path, format: .qcow2, boot: .kernel))
        try await fixture.withMachine(plan) { handle in
            let error = await #expect(throws: EngineError.self) { try await handle.start() }
            #expect(error?.message.contains("not in qcow2 format") == true, "\(error.map { "\($0)" } ?? "")")
        }
        plan = try fixture.plan(disk: DiskRoot(path: "/nonexistent/disk", format: .raw, boot: .kernel))
        let missing = await #expect(throws: EngineError.self) { _ = try await fixture.driver.create(plan) }
        #expect(missing?.code == .notFound)
        #expect(try RootDirectory(path: plan.runDirectory).list().isEmpty)
    }

    @Test func checksTheHost() async throws {
        let checks = await fixture.driver.check()
        #expect(checks.first { $0.name == "QEMU" }?.level == .ok)
        #expect(checks.contains { $0.name == "KVM" } && checks.contains { $0.name == "machine kernel" })
    }

    /// Only where nothing of the host's network can be touched: `unshare -n swift test --filter RealMachineTests`.
    @Test(.enabled(if: MachineFixture.hasPrivateNetwork, "runs only in a network namespace of its own: unshare -n"))
    func applicationHasItsAddresses() async throws {
        var plan = try fixture.plan(
            [
                "sh", "-c",
                "ip addr show eth0; ip route; ip -6 route; cat /etc/resolv.conf /etc/hosts; ping -c 1 -W 9 10.9.8.1; for i in 1 2 3 4 5 6 7 8; do ping6 -c 1 -W 2 fd00:9::1 && exit 0; sleep 1; done; exit 1",
            ], disk: try await fixture.busyboxDisk())
        let endpoint = NetworkEndpoint(
            instance: plan.id, hostname: "guest", network: "isle0", device: "eth0", mac: "00:16:3e:0a:0b:0c",
            ipv4: "10.9.8.2", ipv6: "fd00:9::2", configuredByGuest: false, gateway4: "10.9.8.1",
            gateway6: "fd00:9::1", dns: ["10.9.8.1"], searchDomains: ["isle"], prefixLength4: 24, prefixLength6: 64)
        plan.network = .endpoints([endpoint])
        plan.taps = ["eth0": "isletap0"]
        for command in [
            "link set lo up", "tuntap add dev isletap0 mode tap user \(plan.hypervisorUser)",
            "addr add 10.9.8.1/24 dev isletap0", "addr add fd00:9::1/64 dev isletap0 nodad", "link set isletap0 up",
        ] {
            try await ProcessRunner.check("/usr/sbin/ip", command.split(separator: " ").map(String.init))
        }
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let exit = try await handle.wait()
            let log = fixture.log(plan)
            for text in [
                "10.9.8.2/24", "fd00:9::2/64", "default via 10.9.8.1", "default via fd00:9::1", "nameserver 10.9.8.1",
                "search isle", "10.9.8.2\tguest", "1 packets received",
            ] { #expect(log.contains(text), "\(text) in \(log)") }
            #expect(exit.code == 0, "\(log)")
        }
        try await ProcessRunner.check("/usr/sbin/ip", ["link", "delete", "isletap0"])
    }

    @Test(.enabled(if: SharedFolder.program != nil, "virtiofsd is not installed"))
    func foldersOfTheHostAreShared() async throws {
        let folder = fixture.folder
        for name in ["data", "fixed"] {
            try folder.root.makeDirectory(name)
            try folder.root.writeFile("\(name)/greeting", Array("from the host\n".utf8), durable: false)
        }
        var plan = try fixture.plan(
            ["sh", "-c", "cat /srv/data/greeting /fixed/greeting; echo written >/srv/data/new; echo no >/fixed/new"],
            disk: try await fixture.busyboxDisk())
        plan.mounts = [
            MountSpec(source: folder.path + "/data", target: "/srv/data"),
            MountSpec(source: folder.path + "/fixed", target: "/fixed", readOnly: true),
        ]
        try await fixture.withMachine(plan) { handle in
            try await handle.start()
            let exit = try await handle.wait()
            #expect(exit.code == 1, "the read-only folder refuses: \(fixture.log(plan))")
            #expect(fixture.log(plan).split(separator: "\n").filter { $0.hasSuffix("from the host") }.count == 2)
        }
        #expect(try folder.root.readFile("data/new") == Array("written\n".utf8))
        #expect(try !folder.root.exists("fixed/new"))
        plan.mounts = [MountSpec(source: folder.path + "/data/new", target: "/x")]
        let error = await #expect(throws: EngineError.self) { _ = try await fixture.driver.create(plan) }
        #expect(error?.code == .unsupported)
    }

    @Test func applicationOnATerminalIsStoppedByItsSignal() async throws {
        let script =
            "stty size; echo x >/dev/tty; read line; echo got $line; trap 'echo bye; exit 9' TERM; while :; do sleep 0.1; done"
        let plan = try fixture.plan(
            ["sh", "-c", script], disk: try await fixture.busyboxDisk(),
            stdio: StdioOptions(terminal: true, openStdin: true, size: TerminalSize(columns: 91, rows: 17)))
        try await fixture.withMachine(plan) { handle in
            let session = try #require(try await handle.attach?.attach(withInput: true))
            #expect(session.streams.error == nil)
            try await handle.start()
            let output = session.streams.output
            let first = try await fixture.readAll(output, until: "x\r\n")
            #expect(first.contains("17 91"), "\(first)")
            let line = Array("typed\r".utf8)
            _ = write(session.streams.input?.raw ?? -1, line, line.count)
            let echoed = try await fixture.readAll(output, until: "got typed\r\n")
            #expect(echoed.contains("got typed"))
            #expect(try await fixture.run(handle, ["echo", "beside"]).output == "beside\n")
            try await handle.requestStop(signal: nil)
            #expect(try await handle.wait().code == 9)
            #expect(fixture.log(plan).contains("bye"))
        }
    }
}
