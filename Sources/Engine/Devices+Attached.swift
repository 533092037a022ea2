import DriverKit
import Glibc
import Model

// Disks that a machine is shown as disks: block volumes, disc images, files and block devices of the host.
extension Devices {
    struct AttachedDisk: Sendable, Hashable {
        var device: String
        /// Absolute path on the host, or the volume's name when `pool` is set.
        var source: String
        var pool: String?
        var readOnly: Bool
        /// The start fails if the source is not there.
        var required = true
        /// Of those that are given one, the disk with the highest is tried first at the boot; the root disk has 1 unless it
        /// says otherwise.
        var bootPriority: Int?
    }

    /// What LXD's clients name as the source of a disk with the machine's cloud-init data.
    static let seedSource = "cloud-init:config"

    /// Reads a disk device without a `path`.
    mutating func addAttached(_ reader: inout KeyReader) throws {
        guard let source = reader.take("source") else {
            throw EngineError(
                .invalidArgument, "disk device \(Names.quoted(reader.device)) has neither 'path' nor 'source'",
                hint: "path=/ is the root disk, path=/… a folder, and a source alone a disk of a machine")
        }
        if source == Self.seedSource {
            _ = try reader.bool("readonly")
            seeds.append(reader.device)
            return
        }
        let pool = reader.take("pool")
        if pool != nil {
            try Names.checkVolume(source)
        } else {
            guard source.hasPrefix("/"), !source.utf8.contains(0) else {
                throw reader.error("source", source, "an absolute path of the host, or a volume's name with 'pool'")
            }
        }
        var disk = AttachedDisk(
            device: reader.device, source: source, pool: pool, readOnly: try reader.bool("readonly"))
        disk.required = try reader.bool("required", unset: true)
        if try reader.bool("optional") { disk.required = false }
        disk.bootPriority = try reader.number("boot.priority").map { Int($0) }
        attached.append(disk)
    }

    /// Refuses what only machines can have.
    func check(kind: InstanceKind) throws {
        if kind != .machine, let device = tpms.first {
            throw EngineError(
                .unsupported, "tpm device \(Names.quoted(device)) cannot be had by a \(kind.rawValue)",
                hint: "machines have TPMs; a device file of the host can be had with the type unix-char")
        }
        guard kind != .machine, let device = (attached.map(\.device) + seeds).sorted().first else { return }
        throw EngineError(
            .invalidArgument, "disk device \(Names.quoted(device)) has no 'path', which only a machine's may lack",
            hint: "say with 'path' where a \(kind.rawValue) is to see it")
    }

    /// As `MachineDisk.bootOrder` counts: lower ones first, the root being 0.
    func bootOrder(of disk: AttachedDisk, kind: MachineDisk.Kind) -> Int? {
        let root = rootPriority ?? 1
        // Without a word of the user's a disc comes after the disks: it starts a machine whose own disk is empty.
        guard let own = disk.bootPriority else { return kind == .optical ? 1000 : nil }
        return own > root ? root - own : root - own + 1
    }
}

extension VolumeService {
    /// The disks of disk devices without a path.
    func disks(_ devices: Devices, only device: String? = nil, project: String) async throws -> [MachineDisk] {
        var disks: [MachineDisk] = []
        for wanted in devices.attached where device == nil || wanted.device == device {
            guard var disk = try await disk(wanted, project: project) else { continue }
            disk.bootOrder = devices.bootOrder(of: wanted, kind: disk.kind)
            disks.append(disk)
        }
        return disks
    }

    private func disk(_ wanted: Devices.AttachedDisk, project: String) async throws -> MachineDisk? {
        guard let pool = wanted.pool else {
            guard access(wanted.source, F_OK) == 0 else {
                if !wanted.required { return nil }
                throw EngineError(
                    .notFound,
                    "the path \(Names.quoted(wanted.source)) of disk device \(Names.quoted(wanted.device)) does not exist on the host"
                )
            }
            return MachineDisk(
                name: wanted.device, path: wanted.source, readOnly: wanted.readOnly,
                kind: wanted.source.lowercased().hasSuffix(".iso") ? .optical : .disk)
        }
        let volume = try get(wanted.source, project: project, pool: pool)
        let path = try await folder(volume) + "/root.img"
        switch volume.contentType {
        case .block: return MachineDisk(name: wanted.device, path: path, readOnly: wanted.readOnly)
        case .iso: return MachineDisk(name: wanted.device, path: path, readOnly: true, kind: .optical)
        case .filesystem:
            throw EngineError(
                .invalidArgument,
                "volume \(Names.quoted(volume.name)) of disk device \(Names.quoted(wanted.device)) holds files, and needs a 'path'",
                hint: "volumes made with --type=block are disks")
        }
    }
}
