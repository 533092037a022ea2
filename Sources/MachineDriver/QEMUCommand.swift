import DriverKit
import Model
import QMP

/// Works out QEMU's command line. Pure: the same machine gives the same line.
///
/// Nothing is left to QEMU's guesses: no defaults, no configuration files, every disk with its format, every file named
/// here and none by what a disk's content says.
struct QEMUCommand: Sendable, Hashable {
    /// A network interface on a tap interface of the host.
    struct Interface: Sendable, Hashable {
        var tap: String
        var mac: String
    }

    /// A further disk.
    struct Disk: Sendable, Hashable {
        var path: String
        var serial: String
        var readOnly: Bool
    }

    /// How the machine comes up.
    enum Boot: Sendable, Hashable {
        case kernel(image: String, initrd: String, commandLine: String)
        case bios
        case uefi(code: String, variables: String)
    }

    /// Folder of the machine's own files: sockets `qmp` and `agent`, links to what it may read.
    var folder: String
    var name: String
    var uuid: String
    var acceleration: Acceleration
    /// Bytes.
    var memory: Int64
    var processors: Int
    var boot: Boot
    var disk: DiskRoot
    var disks: [Disk] = []
    var interfaces: [Interface] = []
    /// Tags of folders of the host, whose servers listen in `folder` under the same names.
    var shares: [String] = []
    /// Name of the agent's port in the guest.
    var agentPort: String
    /// A reset ends QEMU instead of booting again.
    var endsOnReset = false

    /// What every machine has, and the probe's guest too.
    static func base(acceleration: Acceleration, memory: Int64, processors: Int) -> [String] {
        let cpu = acceleration == .kvm ? "host" : "max,la57=off"
        return [
            "-nodefaults", "-no-user-config", "-display", "none", "-machine",
            "q35,accel=\(acceleration.rawValue),usb=off,vmport=off,smm=off,hpet=off,sata=off", "-cpu", cpu, "-m",
            "\(memory)M", "-smp", "\(processors)",
        ]
    }

    var arguments: [String] {
        var list = [
            "-name", "guest=\(QEMUCommand.escaped(name)),process=isle-\(QEMUCommand.escaped(name))", "-uuid", uuid,
        ]
        list += QEMUCommand.base(
            acceleration: acceleration, memory: max(memory >> 20, 32), processors: processors)
        if case .uefi = boot, let index = list.firstIndex(where: { $0.hasPrefix("q35,") }) {
            // OVMF needs more of the chip set than a directly booted kernel.
            list[index] = "q35,accel=\(acceleration.rawValue),usb=off,vmport=off,pflash0=code,pflash1=vars"
        }
        list += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        list += ["-msg", "guest-name=off,timestamp=off", "-rtc", "base=utc"]
        if endsOnReset { list.append("-no-reboot") }
        list += bootArguments
        list += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        list += ["-chardev", "socket,id=qmp,path=\(folder)/qmp,server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
        list += diskArguments
        list += ["-device", "virtio-serial-pci", "-chardev", "socket,id=agent,path=\(folder)/agent,server=on,wait=off"]
        list += ["-device", "virtserialport,chardev=agent,name=\(agentPort)"]
        for (index, interface) in interfaces.enumerated() {
            list += [
                "-netdev", "tap,id=net\(index),ifname=\(interface.tap),script=no,downscript=no", "-device",
                "virtio-net-pci,netdev=net\(index),mac=\(interface.mac)" + (isDirect ? ",romfile=" : ""),
            ]
        }
        if !shares.isEmpty {
            // The servers read and write the guest's memory.
            list += [
                "-object", "memory-backend-memfd,id=memory,size=\(max(memory >> 20, 32))M,share=on", "-machine",
                "memory-backend=memory",
            ]
        }
        for tag in shares {
            list += [
                "-chardev", "socket,id=\(tag),path=\(folder)/\(tag)", "-device",
                "vhost-user-fs-pci,chardev=\(tag),tag=\(tag)",
            ]
        }
        list += ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]
        list += ["-device", "virtio-balloon-pci,id=balloon,deflate-on-oom=on,free-page-reporting=on"]
        return list
    }

    private var isDirect: Bool { if case .kernel = boot { true } else { false } }

    private var bootArguments: [String] {
        switch boot {
        case .kernel(let image, let initrd, let commandLine):
            return ["-kernel", image, "-initrd", initrd, "-append", commandLine]
        case .bios:
            return ["-boot", "order=c,strict=on"]
        case .uefi(let code, let variables):
            return QEMUCommand.blockdev([
                "driver": .string("file"), "node-name": .string("code"), "filename": .string(code),
                "read-only": .bool(true),
            ])
                + QEMUCommand.blockdev([
                    "driver": .string("file"), "node-name": .string("vars"), "filename": .string(variables),
                    "read-only": .bool(false),
                ])
        }
    }

    private var diskArguments: [String] {
        var list = file("root-file", disk.path, readOnly: false)
        var top: [String: JSONValue] = [
            "driver": .string(disk.format.rawValue), "node-name": .string("root"), "file": .string("root-file"),
            "discard": .string("unmap"),
        ]
        if disk.format == .qcow2 {
            // Said in any case: what the disk itself names as its backing file is not followed.
            top["backing"] = .null
            if let backing = disk.backing {
                list += file("base-file", backing.path, readOnly: true)
                var base: [String: JSONValue] = [
                    "driver": .string(backing.format.rawValue), "node-name": .string("base"),
                    "file": .string("base-file"), "read-only": .bool(true),
                ]
                if backing.format == .qcow2 { base["backing"] = .null }
                list += QEMUCommand.blockdev(base)
                top["backing"] = .string("base")
            }
        }
        list += QEMUCommand.blockdev(top)
        list += ["-device", "virtio-blk-pci,drive=root,serial=isle-root" + (isDirect ? "" : ",bootindex=0")]
        for (index, disk) in disks.enumerated() {
            list += file("file\(index)", disk.path, readOnly: disk.readOnly)
            list += QEMUCommand.blockdev([
                "driver": .string("raw"), "node-name": .string("disk\(index)"), "file": .string("file\(index)"),
                "read-only": .bool(disk.readOnly),
            ])
            list += ["-device", "virtio-blk-pci,drive=disk\(index),serial=\(disk.serial)"]
        }
        return list
    }

    private func file(_ node: String, _ path: String, readOnly: Bool) -> [String] {
        QEMUCommand.blockdev([
            "driver": .string("file"), "node-name": .string(node), "filename": .string(path),
            "read-only": .bool(readOnly), "auto-read-only": .bool(false),
            "discard": .string(readOnly ? "ignore" : "unmap"),
        ])
    }

    private static func blockdev(_ values: [String: JSONValue]) -> [String] {
        ["-blockdev", JSONValue.object(values).encoded]
    }

    /// A comma separates QEMU's options; doubled it stands for itself.
    static func escaped(_ text: String) -> String {
        text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
