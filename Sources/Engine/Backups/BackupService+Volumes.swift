import DriverKit
import Glibc
public import Model
import StateStore

/// A volume that a backup can be made into: read and checked, nothing done yet.
public struct VolumeImport: Sendable {
    /// The archive, absolute.
    public var path: String
    public var volume: VolumeRecord
    var snapshots: [VolumeSnapshotRecord]

    /// Where it and its snapshots are in the archive.
    static func place(_ snapshot: String?, _ content: VolumeContent) -> String {
        (snapshot.map { "backup/volume-snapshots/\($0)" } ?? "backup/volume") + (content == .filesystem ? "" : ".img")
    }
}

extension BackupService {
    /// What `create` will make; `invalidArgument`, `alreadyExists` and the like are thrown here, before any work.
    public func prepare(_ request: BackupRequest, volume: VolumeRecord) async throws -> BackupRecord {
        try await checked(request, volume.backupOwner, project: volume.project)
    }

    /// Writes the archive of a volume as it is; instances that write to it meanwhile are not held.
    @discardableResult
    public func create(_ backup: BackupRecord, _ request: BackupRequest, volume: VolumeRecord) async throws
        -> BackupRecord
    {
        try await volumes.locks.withLock(await volumes.key(volume)) {
            let volume = try await volumes.get(volume.name, project: volume.project, pool: volume.pool)
            let pool = try await pools.pool(volume.pool)
            let snapshots = backup.onlyPresent ? [] : await volumes.snapshots(of: volume)
            func part(_ name: VolumeName) -> BackupContent.Part {
                let folder = pool.folder(of: name)
                return .init(
                    VolumeImport.place(name.snapshot, volume.contentType),
                    volume.contentType == .filesystem ? .folder(folder) : .file("\(folder)/root.img"))
            }
            let index = BackupIndex.volume(volume, snapshots: snapshots, pool: try await pools.get(volume.pool))
            let content = BackupContent(
                index: index, parts: snapshots.map { part($0.path) } + [part(volume.path)])
            return try await keep(backup, content, request)
        }
    }

    /// Reads and checks the archive at `path`; errors as of `readInstance`.
    public func readVolume(_ path: String, name: String? = nil, pool: String, project: String = "default") async throws
        -> VolumeImport
    {
        _ = try await projects.get(project)
        _ = try await pools.get(pool)
        let reader = try BackupIndexReader(await archiver.backupIndex(path), types: ["custom"])
        let said = try reader.section("volume")
        let name = name ?? reader.index["name"]?.string ?? said["name"]?.string ?? ""
        try Names.checkVolume(name)
        let type = said["content_type"]?.string ?? ""
        guard let content = VolumeContent(rawValue: type.isEmpty ? "filesystem" : type) else {
            throw EngineError(.invalidArgument, "the backup's content_type \(Names.quoted(type)) is not known")
        }
        func config(_ said: Metadata) throws -> [String: String] {
            let config = try BackupIndexReader.table(said["config"], "config")
                .filter { !$0.key.hasPrefix("volatile.") && !$0.key.hasPrefix("block.") }
            try VolumeOptions.check(config, content)
            return config
        }
        var volume = VolumeRecord(
            project: project, pool: pool, name: name, description: said["description"]?.string ?? "",
            config: try config(said), createdAt: BackupIndexReader.time(said["created_at"]) ?? Clock.now,
            content: content == .filesystem ? nil : content)
        volume.isUsed = true
        try await volumes.refuseTaken(volume)
        let snapshots = try reader.snapshotNames().map { snapshot in
            let said = reader.snapshot(snapshot, in: "volume_snapshots")
            return VolumeSnapshotRecord(
                project: project, pool: pool, volume: name, name: snapshot,
                description: said["description"]?.string ?? "", config: try config(said),
                createdAt: BackupIndexReader.time(said["created_at"]) ?? Clock.now,
                expiresAt: BackupIndexReader.time(said["expires_at"]))
        }
        return VolumeImport(path: path, volume: volume, snapshots: snapshots)
    }

    /// Makes the volume. On an error nothing of it stays.
    public func create(_ wanted: VolumeImport) async throws -> VolumeRecord {
        let scratch = "\(parts.layout.temporary)/import-\(InstanceID.random().raw)"
        try Folders.make(scratch, mode: 0o700)
        do {
            let made = try await unpack(wanted, scratch: scratch)
            try await parts.folders.remove(scratch)
            return made
        } catch {
            try await parts.folders.remove(scratch)
            throw error
        }
    }

    private func unpack(_ wanted: VolumeImport, scratch: String) async throws -> VolumeRecord {
        let content = wanted.volume.contentType
        var targets: [String: BackupTarget] = [:]
        var sources: [String] = []
        for (index, snapshot) in ([nil] + wanted.snapshots.map { $0.name }).enumerated() {
            let folder = "\(scratch)/\(index)"
            try Folders.make(folder, mode: 0o755)
            sources.append(folder)
            targets[VolumeImport.place(snapshot, content)] =
                content == .filesystem ? .folder(folder) : .file("\(folder)/root.img")
        }
        try await archiver.unpackBackup(wanted.path, into: targets)
        return try await volumes.adopt(
            wanted.volume, from: sources[0], wanted.snapshots, from: Array(sources.dropFirst()))
    }
}

extension VolumeService {
    /// Makes a volume with its snapshots out of folders of the host.
    func adopt(
        _ volume: VolumeRecord, from source: String, _ snapshots: [VolumeSnapshotRecord], from sources: [String]
    ) async throws -> VolumeRecord {
        try await locks.withLock(key(volume)) {
            try refuseTaken(volume)
            let pool = try await pools.pool(volume.pool)
            var volume = volume
            do {
                for (snapshot, source) in zip(snapshots, sources) {
                    try await pool.cloneVolume(source, to: snapshot.path)
                }
                try await pool.cloneVolume(source, to: volume.path)
                volume = try await bounded(volume, inherited: volume.config["size"])
                try await add(volume)
            } catch {
                try await pool.removeVolume(volume.path)
                throw error
            }
            for snapshot in snapshots {
                try await store.save(snapshot)
                snapshotRecords[key(volume), default: []].append(snapshot)
            }
            return volume
        }
    }
}
