import DriverKit
import LinuxHost
import Model
import Testing

@testable import MachineDriver

struct QEMUCommandTests {
    private func command(_ disk: DiskRoot, boot: QEMUCommand.Boot = .bios) -> QEMUCommand {
        QEMUCommand(
            folder: "/m", name: "web,1", uuid: "0", acceleration: .tcg, memory: 512 << 20, processors: 2, boot: boot,
            disk: disk, interfaces: [.init(device: "eth0", descriptor: 200, mac: "00:16:3e:00:00:01")],
            agentPort: "org.isle.agent.0")
    }

    private func blockdevs(_ arguments: [String]) -> [String] {
        arguments.indices.filter { arguments[$0] == "-blockdev" }.map { arguments[$0 + 1] }
    }

    @Test func nothingIsProbedOrLeftToDefaults() {
        let arguments = command(DiskRoot(path: "/d/x", format: .qcow2, boot: .bios)).arguments
        for word in ["-nodefaults", "-no-user-config"] { #expect(arguments.contains(word)) }
        #expect(arguments.contains("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"))
        #expect(!arguments.contains("-drive") && !arguments.contains("-hda"))
        #expect(blockdevs(arguments).allSatisfy { $0.contains(#""driver":"#) })
        #expect(arguments.contains("512M") && arguments.contains("2"))
        #expect(arguments.contains { $0.hasPrefix("tap,id=nic-") && $0.hasSuffix(",fd=200") })
        #expect(!arguments.contains { $0.contains("script") || $0.contains("ifname") || $0.contains("vhost") })
    }

    @Test func theNameInsideADiskIsNeverFollowed() {
        let alone = command(DiskRoot(path: "/d/x", format: .qcow2, boot: .bios))
        #expect(blockdevs(alone.arguments).contains { $0.contains(#""backing":null"#) })
        let layered = command(
            DiskRoot(path: "/d/x", format: .qcow2, boot: .bios, backing: .init(path: "/d/base", format: .qcow2)))
        let lines = blockdevs(layered.arguments)
        #expect(lines.contains { $0.contains(#""backing":"base""#) && $0.contains(#""node-name":"root""#) })
        #expect(lines.contains { $0.contains(#""backing":null"#) && $0.contains(#""node-name":"base""#) })
        #expect(lines.contains { $0.contains(#""filename":"/d/base""#) && $0.contains(#""read-only":true"#) })
        let raw = command(DiskRoot(path: "/d/x", format: .raw, boot: .bios, backing: nil))
        #expect(!blockdevs(raw.arguments).contains { $0.contains("qcow2") })
    }

    @Test func commasAndQuotesInNamesStayInside() {
        let arguments = command(
            DiskRoot(path: #"/d/a,b"c"#, format: .raw, boot: .bios), boot: .bios
        ).arguments
        #expect(arguments.contains { $0.contains(#""filename":"/d/a,b\"c""#) })
        #expect(arguments.contains { $0.hasPrefix("guest=web,,1") })
    }

    @Test func memoryOfHugePagesAndTheUsersOwnArguments() {
        var plain = command(DiskRoot(path: "/d/x", format: .raw, boot: .bios))
        #expect(!plain.arguments.contains { $0.contains("memory-backend") })
        plain.hasHugePages = true
        plain.further = ["-device", "intel-hda"]
        #expect(plain.arguments.contains("memory-backend-memfd,id=memory,size=512M,hugetlb=on"))
        #expect(plain.arguments.suffix(2) == ["-device", "intel-hda"])
        plain.shares = ["a"]
        #expect(plain.arguments.contains("memory-backend-memfd,id=memory,size=512M,share=on,hugetlb=on"))
        #expect(plain.arguments.filter { $0.hasPrefix("memory-backend=") }.count == 1)
    }

    @Test func hugePagesMustBeFree() throws {
        let text =
            "MemFree: 1 kB\nHugePages_Total: 300\nHugePages_Free: 260\nHugePages_Rsvd: 4\nHugepagesize: 2048 kB\n"
        try HugePages.check(bytes: 512 << 20, machine: "vm", information: text)
        for (bytes, information, code) in [
            (514 << 20 as Int64, text, EngineError.Code.conflict), (513 << 20, text, .invalidArgument),
            (512 << 20, "MemFree: 1 kB\n", .unsupported),
        ] {
            let error = #expect(throws: EngineError.self) {
                try HugePages.check(bytes: bytes, machine: "vm", information: information)
            }
            #expect(error?.code == code && error?.message.contains("machine vm") == true)
        }
    }

    @Test func bootsThreeWays() {
        let disk = DiskRoot(path: "/d/x", format: .raw, boot: .bios)
        let kernel = command(disk, boot: .kernel(image: "/k", initrd: "/i", commandLine: "quiet")).arguments
        #expect(kernel.contains("-kernel") && kernel.contains("quiet"))
        let uefi = command(disk, boot: .uefi(code: "/c", variables: "/v", isSecure: false)).arguments
        #expect(uefi.contains { $0.contains("pflash0=code,pflash1=vars") })
        #expect(blockdevs(uefi).contains { $0.contains(#""filename":"/c""#) && $0.contains(#""read-only":true"#) })
        #expect(command(disk).arguments.contains("order=c,strict=on"))
    }

    @Test func signedProgramsOnlyNeedsSystemManagementMode() {
        let disk = DiskRoot(path: "/d/x", format: .raw, boot: .uefi)
        let arguments = command(disk, boot: .uefi(code: "/c", variables: "/v", isSecure: true)).arguments
        #expect(arguments.contains { $0.contains("smm=on") && $0.contains("pflash1=vars") })
        #expect(arguments.contains("driver=cfi.pflash01,property=secure,value=on"))
    }

    @Test func furtherDisksAreDescriptorsInTheOrderOfTheBoot() throws {
        let folder = try TemporaryFolder()
        let root = try RootDirectory(path: folder.path)
        try root.writeFile("a", [1], durable: false)
        let path = "\(folder.path)/a"
        var machine = command(DiskRoot(path: "/d/x", format: .raw, boot: .bios))
        machine.userDisks = [
            .init(disk: try HotplugDisk(MachineDisk(name: "data,1", path: path)), descriptor: 201),
            .init(
                disk: try HotplugDisk(MachineDisk(name: "cd", path: path, kind: .optical, bootOrder: -1)),
                descriptor: 202),
            .init(disk: try HotplugDisk(MachineDisk(name: "other", path: path, bootOrder: 5)), descriptor: 203),
        ]
        let arguments = machine.arguments
        #expect(!arguments.contains { $0.contains(path) }, "QEMU opens none of the user's files")
        #expect(arguments.contains { $0.hasPrefix("fd=202,set=2,opaque=vol-") })
        #expect(arguments.contains { $0.contains(#""serial":"isle_data,1""#) && !$0.contains("bootindex") })
        #expect(arguments.contains { $0.contains("scsi-cd") && $0.contains(#""bootindex":0"#) })
        #expect(arguments.contains("virtio-blk-pci,drive=root,serial=isle-root,bootindex=1"))
        #expect(arguments.contains { $0.contains("isle_other") && $0.contains(#""bootindex":2"#) })
        #expect(throws: EngineError.self) { try HotplugDisk(MachineDisk(name: "x", path: "/nowhere")) }
        #expect(throws: EngineError.self) { try HotplugDisk(MachineDisk(name: "x", path: "/dev/null")) }
    }

    @Test func whatCanBeTakenAwayHasAPortOfItsOwn() throws {
        let folder = try TemporaryFolder()
        try RootDirectory(path: folder.path).writeFile("a", [1], durable: false)
        var machine = command(DiskRoot(path: "/d/x", format: .raw, boot: .bios))
        machine.userDisks = [
            .init(disk: try HotplugDisk(MachineDisk(name: "data", path: "\(folder.path)/a")), descriptor: 201)
        ]
        #expect(!machine.arguments.contains { $0.contains("-port") }, "a machine of one program changes nothing")
        machine.slots = 2
        let arguments = machine.arguments
        let (disk, nic) = (HotplugNames.disk("data"), HotplugNames.interface("eth0"))
        #expect(arguments.contains { $0.hasPrefix("pcie-root-port,id=\(disk)-port,") })
        #expect(arguments.contains { $0.contains(#""bus":"\#(disk)-port""#) })
        #expect(arguments.contains { $0.hasPrefix("virtio-net-pci,id=\(nic),") && $0.contains(",bus=\(nic)-port") })
    }

    @Test func longNamesStayTwoNames() {
        let name = String(repeating: "x", count: 60)
        #expect(HotplugNames.disk(name + "1") != HotplugNames.disk(name + "2"))
        #expect((HotplugNames.disk(name) + "-file").utf8.count <= 31)
    }

    @Test func readsTheVersion() {
        #expect(QEMUProgram.version(in: "QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright") == "7.2.22")
        #expect(QEMUProgram.version(in: "nonsense") == "unknown")
    }

    @Test func readsSignals() throws {
        #expect(try Signals.number("SIGTERM") == 15)
        #expect(try Signals.number("kill") == 9)
        #expect(try Signals.number("SIGRTMIN+3") == 37)
        #expect(try Signals.number("1") == 1)
        for text in ["", "SIG", "0", "65", "-1", "SIGRTMIN+99", "TERM;reboot"] {
            #expect(throws: EngineError.self) { try Signals.number(text) }
        }
    }

    @Test func readsProcessorLists() throws {
        #expect(try Affinity.parse("0-2,5") == [0, 1, 2, 5])
        for text in ["", "a", "3-1", "-1", "1-", "0-99999999", "1,,2"] {
            #expect(throws: EngineError.self) { try Affinity.parse(text) }
        }
    }

    @Test func readsUsage() {
        let usage = ProcessUsage.parse(
            stat: "42 (a) b (c) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 0 0",
            status: "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n", ticksPerSecond: 100)
        #expect(usage.cpuNanoseconds == 2_000_000_000)
        #expect(usage.memory == 1 << 20 && usage.memoryPeak == 2 << 20)
    }

    @Test func believesOnlyWholeReports() {
        func report(_ text: String) -> ExitReport? { ExitReport(Array(text.utf8) + [0, 0, 10]) }
        #expect(report("exit 7 0 ")?.code == 7)
        #expect(report("exit 143 15 ")?.signal == 15)
        #expect(report("exit 127 0 program 'x' is not there")?.reason == "program 'x' is not there")
        #expect(report("exit 127 0 a\u{1b}[2Jb")?.reason?.contains("\u{1b}") == false)
        for text in ["", "exit", "exit 7", "exit 7 0", "exit -1 0 ", "exit 256 0 ", "exit 1 99 ", "EXIT 1 0 "] {
            #expect(report(text) == nil)
        }
    }

    @Test func findsInits() {
        for program in ["/sbin/init", "/lib/systemd/systemd", "init"] { #expect(GuestSetup.isInit(program)) }
        for program in ["/bin/sh", "/sbin/initctl", "", "nginx"] { #expect(!GuestSetup.isInit(program)) }
    }
}
