import DriverKit
import QMP

// The disks of QEMU's command line: the machine's own over its base, Isle's small ones, the user's further ones.
extension QEMUCommand {
    var diskArguments: [String] {
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
        list += [
            "-device",
            "virtio-blk-pci,drive=root,serial=isle-root"
                + (isDirect ? "" : ",bootindex=\(bootOrder.firstIndex(of: "root") ?? 0)"),
        ]
        for (index, disk) in disks.enumerated() {
            list += file("file\(index)", disk.path, readOnly: disk.readOnly)
            list += QEMUCommand.blockdev([
                "driver": .string("raw"), "node-name": .string("disk\(index)"), "file": .string("file\(index)"),
                "read-only": .bool(disk.readOnly),
            ])
            list += ["-device", "virtio-blk-pci,drive=disk\(index),serial=\(disk.serial)"]
        }
        let order = bootOrder
        for (index, user) in userDisks.enumerated() {
            list += ["-add-fd", "fd=\(user.descriptor),set=\(index + 1),opaque=\(user.disk.id)"]
            for node in user.disk.nodes(set: Int64(index + 1)) { list += QEMUCommand.blockdev(node) }
            list += port(of: user.disk.id)
            var bus = slots > 0 ? "\(user.disk.id)-port" : nil
            if user.disk.disk.kind == .optical {
                list += ["-device", "virtio-scsi-pci,id=\(user.disk.id)-bus" + (bus.map { ",bus=\($0)" } ?? "")]
                bus = "\(user.disk.id)-bus.0"
            }
            let device = user.disk.device(bus: bus, bootIndex: order.firstIndex(of: user.disk.id))
            list += ["-device", JSONValue.object(device).encoded]
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

    static func blockdev(_ values: [String: JSONValue]) -> [String] {
        ["-blockdev", JSONValue.object(values).encoded]
    }

    /// Ids of the disks that are tried at the boot, the first first.
    private var bootOrder: [String] {
        let others = userDisks.compactMap { user in user.disk.disk.bootOrder.map { ($0, user.disk.id) } }
        return ([(0, "root")] + others).sorted { $0.0 < $1.0 }.map(\.1)
    }
}
