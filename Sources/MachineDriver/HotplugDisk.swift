import CHost
import DriverKit
import Glibc
import LinuxHost
import Model
import QMP

/// A further disk as QEMU knows it: a node of the file, one of the format, a device.
struct HotplugDisk: Sendable, Hashable {
    var disk: MachineDisk
    /// The file is a block device of the host.
    var isBlockDevice: Bool

    /// - Throws: `notFound`, `invalidArgument` if there is neither a file nor a block device.
    init(_ disk: MachineDisk) throws {
        self.disk = disk
        var status = stat()
        guard stat(disk.path, &status) == 0 else {
            throw EngineError(
                .notFound, "\(disk.path), disk \(Names.quoted(disk.name)), cannot be opened: \(String(errno: errno))")
        }
        isBlockDevice = status.st_mode & S_IFMT == S_IFBLK
        guard isBlockDevice || status.st_mode & S_IFMT == S_IFREG else {
            throw EngineError(
                .invalidArgument,
                "\(disk.path), disk \(Names.quoted(disk.name)), is neither a file nor a block device")
        }
    }

    /// The open file, to be handed to QEMU.
    func open() throws -> OwnedDescriptor {
        let raw = Glibc.open(disk.path, (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY)
        guard raw >= 0 else {
            throw EngineError(
                errno == EACCES || errno == EROFS ? .permissionDenied : .internal,
                "opening \(disk.path), disk \(Names.quoted(disk.name)): \(String(errno: errno))")
        }
        return OwnedDescriptor(raw)
    }

    var id: String { HotplugNames.disk(disk.name) }
    var fileNode: String { id + "-file" }
    var isReadOnly: Bool { disk.readOnly || disk.kind == .optical }

    /// The block nodes, lowest first, over the set of descriptors `set` (QEMU, `add-fd`): QEMU itself opens nothing.
    func nodes(set: Int64) -> [[String: JSONValue]] {
        let file: [String: JSONValue] = [
            "driver": .string(isBlockDevice ? "host_device" : "file"), "node-name": .string(fileNode),
            "filename": .string("/dev/fdset/\(set)"), "read-only": .bool(isReadOnly), "auto-read-only": .bool(false),
            "discard": .string(isReadOnly ? "ignore" : "unmap"),
        ]
        var top: [String: JSONValue] = [
            "driver": .string(disk.format.rawValue), "node-name": .string(id), "file": .string(fileNode),
            "read-only": .bool(isReadOnly),
        ]
        // What the disk names below itself is not followed.
        if disk.format == .qcow2 { top["backing"] = .null }
        return [file, top]
    }

    /// The device's properties. A disc needs the bus of a SCSI controller.
    func device(bus: String?, bootIndex: Int? = nil) -> [String: JSONValue] {
        var properties: [String: JSONValue] = ["id": .string(id), "drive": .string(id)]
        if let bus { properties["bus"] = .string(bus) }
        if let bootIndex { properties["bootindex"] = .integer(Int64(bootIndex)) }
        switch disk.kind {
        case .disk:
            properties["driver"] = .string("virtio-blk-pci")
            properties["serial"] = .string("isle_" + String(decoding: disk.name.utf8.prefix(15), as: UTF8.self))
        case .optical:
            properties["driver"] = .string("scsi-cd")
            properties["serial"] = .string("isle_" + String(decoding: disk.name.utf8.prefix(31), as: UTF8.self))
        }
        return properties
    }
}
