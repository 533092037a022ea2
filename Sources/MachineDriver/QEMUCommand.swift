import DriverKit
import Model
import QMP

/// Works out QEMU's command line. Pure: the same machine gives the same line.
///
/// Nothing is left to QEMU's guesses: no defaults, no configuration files, every disk with its format, every file named
/// here and none by what a disk's content says.
struct QEMUCommand: Sendable, Hashable {
    /// A network interface on a tap interface of the host, which QEMU finds open under a number.
    struct Interface: Sendable, Hashable {
        /// Name of the device, as `eth0`.
        var device: String
        var descriptor: Int32
        var mac: String
    }

    /// A further disk of Isle's own, raw.
    struct Disk: Sendable, Hashable {
        var path: String
        var serial: String
        var readOnly: Bool
    }

    /// A further disk of the user's, which QEMU finds open under a number.
    struct UserDisk: Sendable, Hashable {
        var disk: HotplugDisk
        var descriptor: Int32
    }

    /// How the machine comes up.
    enum Boot: Sendable, Hashable {
        case kernel(image: String, initrd: String, commandLine: String)
        case bios
        case uefi(code: String, variables: String, isSecure: Bool)
    }

    /// Folder of the machine's own files: sockets `qmp` and `agent`, links to what it may read.
    var folder: String
    var name: String
    var uuid: String
    var acceleration: Acceleration
    /// Bytes.
    var memory: Int64
    var processors: Int
    /// Processors that can be there in all, the later ones added while it runs; at least `processors`.
    var maximumProcessors = 0
    var boot: Boot
    var disk: DiskRoot
    var disks: [Disk] = []
    var userDisks: [UserDisk] = []
    var interfaces: [Interface] = []
    /// Tags of folders of the host, whose servers listen in `folder` under the same names.
    var shares: [String] = []
    /// Name of the agent's port in the guest.
    var agentPort: String
    /// A reset ends QEMU instead of booting again.
    var endsOnReset = false
    /// Free places for disks and interfaces that come while it runs.
    var slots = 0
    /// A graphics card, keyboard and mouse, served on the socket `spice` in `folder`.
    var hasScreen = false
    /// A TPM, served on the socket `tpm` in `folder`.
    var hasTPM = false
    /// Its memory is made of the host's huge pages.
    var hasHugePages = false
    /// The user's own, after everything else.
    var further: [String] = []
    /// Waits for a saved state instead of booting.
    var isIncoming = false

    /// What every machine has, and the probe's guest too.
    static func base(acceleration: Acceleration, memory: Int64, processors: String) -> [String] {
        let cpu = acceleration == .kvm ? "host" : "max,la57=off"
        return [
            "-nodefaults", "-no-user-config", "-display", "none", "-machine",
            "q35,accel=\(acceleration.rawValue),usb=off,vmport=off,smm=off,hpet=off,sata=off", "-cpu", cpu, "-m",
            "\(memory)M", "-smp", processors,
        ]
    }

    var arguments: [String] {
        var list = [
            "-name", "guest=\(QEMUCommand.escaped(name)),process=isle-\(QEMUCommand.escaped(name))", "-uuid", uuid,
        ]
        list += QEMUCommand.base(
            acceleration: acceleration, memory: max(memory >> 20, 32),
            processors: maximumProcessors > processors ? "\(processors),maxcpus=\(maximumProcessors)" : "\(processors)")
        if case .uefi(_, _, let isSecure) = boot, let index = list.firstIndex(where: { $0.hasPrefix("q35,") }) {
            // OVMF needs more of the chip set than a directly booted kernel.
            list[index] =
                "q35,accel=\(acceleration.rawValue),usb=off,vmport=off,smm=\(isSecure ? "on" : "off")"
                + ",pflash0=code,pflash1=vars"
            if isSecure {
                // Only code in system management mode, which is the firmware's, may write the variables.
                list += ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
            }
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
        for interface in interfaces {
            let id = HotplugNames.interface(interface.device)
            list += port(of: id)
            list += [
                "-netdev", "tap,id=\(id),fd=\(interface.descriptor)", "-device",
                "virtio-net-pci,id=\(id),netdev=\(id),mac=\(interface.mac)" + bus(of: id)
                    + (isDirect ? ",romfile=" : ""),
            ]
        }
        if !shares.isEmpty || hasHugePages {
            // The servers of folders read and write the guest's memory.
            let kind = (shares.isEmpty ? "" : ",share=on") + (hasHugePages ? ",hugetlb=on" : "")
            list += [
                "-object", "memory-backend-memfd,id=memory,size=\(max(memory >> 20, 32))M\(kind)", "-machine",
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
        if hasTPM { list += TPM.options(folder: folder) }
        if hasScreen {
            list += ["-spice", "unix=on,addr=\(folder)/spice,disable-ticketing=on"]
            list += ["-device", "virtio-vga", "-device", "virtio-tablet-pci"]
        }
        for slot in 0..<slots {
            // Functions of one device of the bus: looked for by the firmware at once.
            list += [
                "-device",
                "pcie-root-port,id=\(HotplugNames.slot(slot)),chassis=\(slot + 1),slot=\(slot + 1),addr=1e.\(slot)"
                    + (slot == 0 ? ",multifunction=on" : ""),
            ]
        }
        if isIncoming { list += ["-incoming", "defer"] }
        return list + further
    }

    /// What can be taken away while it runs has a port of its own: the root of the bus gives nothing back.
    func port(of device: String) -> [String] {
        guard slots > 0, let number = removable.firstIndex(of: device) else { return [] }
        return ["-device", "pcie-root-port,id=\(device)-port,chassis=\(number + 64),slot=\(number + 64)"]
    }

    private func bus(of device: String) -> String { slots > 0 ? ",bus=\(device)-port" : "" }

    private var removable: [String] {
        interfaces.map { HotplugNames.interface($0.device) } + userDisks.map(\.disk.id)
    }

    var isDirect: Bool { if case .kernel = boot { true } else { false } }

    private var bootArguments: [String] {
        switch boot {
        case .kernel(let image, let initrd, let commandLine):
            return ["-kernel", image, "-initrd", initrd, "-append", commandLine]
        case .bios:
            return ["-boot", "order=c,strict=on"]
        case .uefi(let code, let variables, _):
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

    /// A comma separates QEMU's options; doubled it stands for itself.
    static func escaped(_ text: String) -> String {
        text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
