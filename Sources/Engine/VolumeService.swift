import DriverKit
import Glibc
import Logging
public import Model
import StateStore

/// Custom volumes: folders and disks that outlive instances. They keep the ids of the instances inside them (0 is root
/// in each).
public actor VolumeService {
    let store: StateStore
    let events: EventBus
    let pools: PoolService
    let filler: (any VolumeFiller)?
    let logger: Logger
    /// A folder of the state folder for work in progress.
    let temporary: String
    let backups: BackupFiles
    /// One change of a volume at a time.
    let locks = KeyedLock<String>()
    var volumes: [String: VolumeRecord] = [:]
    private var unreadable = UnreadableRecords("volume")
    private var unreadableSnapshots = UnreadableRecords("volume's snapshot")
    /// By the volume's key, oldest first.
    var snapshotRecords: [String: [VolumeSnapshotRecord]] = [:]

    init(
        store: StateStore, events: EventBus, pools: PoolService, filler: (any VolumeFiller)?, temporary: String,
        logger: Logger, backups: BackupFiles
    ) {
        self.store = store
        self.events = events
        self.pools = pools
        self.filler = filler
        self.temporary = temporary
        self.backups = backups
        self.logger = logger
    }

    func load() async throws {
        let (records, broken) = try await store.volumes()
        unreadable.found(broken, logger)
        for volume in records { volumes[key(volume)] = volume }
        let (snapshots, brokenSnapshots) = try await store.volumeSnapshots()
        unreadableSnapshots.found(brokenSnapshots, logger)
        for snapshot in snapshots {
            snapshotRecords[key(snapshot.project, snapshot.pool, snapshot.volume), default: []].append(snapshot)
        }
        for entry in try await store.unfinished() where entry.isOfVolume { await settle(entry) }
    }

    // MARK: looking

    /// - Parameter pool: nil: of all pools.
    public func list(project: String = "default", pool: String? = nil) -> [VolumeRecord] {
        volumes.values.filter { $0.project == project && (pool == nil || $0.pool == pool) }
            .sorted { ($0.name, $0.pool) < ($1.name, $1.pool) }
    }

    /// The volumes of all projects and pools.
    func everything() -> [VolumeRecord] { Array(volumes.values) }

    /// Of all projects.
    public func all(pool: String) -> [VolumeRecord] { volumes.values.filter { $0.pool == pool } }

    public func get(_ name: String, project: String = "default", pool: String = PoolRecord.standard) throws
        -> VolumeRecord
    {
        guard let volume = volumes[key(project, pool, name)] else {
            try unreadable.refuse(key(project, pool, name), as: name)
            throw EngineError(
                .notFound, "volume \(Names.quoted(name)) does not exist in pool \(Names.quoted(pool))",
                hint: "isle volume list")
        }
        return volume
    }

    /// Bytes the volume occupies on disk.
    public func usage(_ name: String, project: String = "default", pool: String = PoolRecord.standard) async throws
        -> Int64
    {
        let volume = try get(name, project: project, pool: pool)
        return try await pools.pool(pool).volumeUsage(volume.path)
    }

    /// Where its files are on the host.
    public func folder(_ volume: VolumeRecord) async throws -> String {
        try await pools.pool(volume.pool).folder(of: volume.path)
    }

    // MARK: changing

    /// `alreadyExists` if the name is taken.
    @discardableResult
    public func create(_ volume: VolumeRecord) async throws -> VolumeRecord {
        try Names.checkVolume(volume.name)
        try VolumeOptions.check(volume.config, volume.contentType)
        return try await locks.withLock(key(volume)) {
            try refuseTaken(volume)
            let pool = try await pools.pool(volume.pool)
            var volume = volume
            let size = VolumeOptions.size(volume.config, volume.contentType)
            if volume.contentType == .block, volume.config["size"] == nil {
                volume.config["size"] = size.map(String.init)
            }
            do {
                try await pool.makeVolume(volume.path, volume.contentType, size: size)
            } catch let error as EngineError where error.code == .alreadyExists && volume.contentType == .filesystem {
                // A crash came between folder and record: the folder is found by its name and used.
            }
            try await add(volume)
            return volume
        }
    }

    /// Replaces description and configuration. A new size takes effect at once.
    public func update(_ volume: VolumeRecord) async throws {
        try VolumeOptions.check(volume.config, volume.contentType)
        try await locks.withLock(key(volume)) {
            let old = try get(volume.name, project: volume.project, pool: volume.pool)
            if old.config["size"] != volume.config["size"] {
                guard volume.contentType != .iso else {
                    throw EngineError(
                        .invalidArgument, "the size of volume \(Names.quoted(volume.name)) is that of its disc")
                }
                try await pools.pool(volume.pool).limitVolume(
                    volume.path, volume.contentType, bytes: volume.config["size"].flatMap(Units.bytes))
            }
            try await store.save(volume)
            volumes[key(volume)] = volume
        }
        events.lifecycle("storage-volume-updated", source(volume), project: volume.project)
    }

    /// - Parameter usedBy: names of the instances that use it; must be empty.
    public func delete(
        _ name: String, project: String = "default", pool: String = PoolRecord.standard, usedBy: [String] = []
    ) async throws {
        let volume = try get(name, project: project, pool: pool)
        try refuseUsed(volume, usedBy)
        try await locks.withLock(key(volume)) {
            try await backups.removeAll(volume.backupOwner)
            try await erase(volume)
        }
    }

    /// To be called under the volume's lock.
    func erase(_ volume: VolumeRecord) async throws {
        // The record goes last: what a crash leaves is still named and can be deleted again.
        try await pools.pool(volume.pool).removeVolume(volume.path)
        try await store.deleteVolume(project: volume.project, pool: volume.pool, name: volume.name)
        volumes[key(volume)] = nil
        snapshotRecords[key(volume)] = nil
        events.lifecycle("storage-volume-deleted", source(volume), project: volume.project)
    }

    /// The mounts of disk devices; a named volume that is missing is made where the device says so, as Docker does, and a
    /// new one filled from the image.
    func mounts(_ disks: [Devices.Disk], project: String, image: ImageRecord?) async throws -> [MountSpec] {
        var mounts: [MountSpec] = []
        for disk in disks {
            if let pool = disk.pool {
                if volumes[key(project, pool, disk.source)] == nil, disk.create {
                    try await create(
                        VolumeRecord(project: project, pool: pool, name: disk.source, createdAt: Clock.now))
                }
                let volume = try get(disk.source, project: project, pool: pool)
                guard volume.contentType == .filesystem else {
                    throw EngineError(
                        .invalidArgument,
                        "volume \(Names.quoted(disk.source)) of disk device \(Names.quoted(disk.device)) is a disk, not a folder",
                        hint: "attach it to a machine, without a path")
                }
                try await fill(volume, at: disk.target, from: image, copies: disk.copy)
                mounts.append(
                    MountSpec(
                        source: try await folder(volume), target: disk.target, readOnly: disk.readOnly, idMapped: true))
            } else {
                if access(disk.source, F_OK) != 0, errno == ENOENT, disk.create {
                    try Folders.makeWithParents(disk.source, mode: 0o755)
                }
                guard access(disk.source, F_OK) == 0 else {
                    if !disk.required { continue }
                    throw EngineError(
                        .notFound,
                        "the path \(Names.quoted(disk.source)) of disk device \(Names.quoted(disk.device)) does not exist on the host",
                        hint: "make it first, or use a named volume")
                }
                mounts.append(
                    MountSpec(
                        source: disk.source, target: disk.target, readOnly: disk.readOnly, idMapped: disk.shift != .no,
                        recursive: disk.recursive, propagation: disk.propagation,
                        isMappingOptional: disk.shift == .auto))
            }
        }
        return mounts
    }

    // MARK: -

    func add(_ volume: VolumeRecord) async throws {
        try await store.save(volume)
        volumes[key(volume)] = volume
        events.lifecycle("storage-volume-created", source(volume), project: volume.project)
    }

    func refuseTaken(_ volume: VolumeRecord) throws {
        try unreadable.refuse(key(volume), as: volume.name)
        guard volumes[key(volume)] == nil else {
            throw EngineError(
                .alreadyExists,
                "volume \(Names.quoted(volume.name)) exists already in pool \(Names.quoted(volume.pool))")
        }
    }

    func refuseUsed(_ volume: VolumeRecord, _ usedBy: [String]) throws {
        guard usedBy.isEmpty else {
            throw EngineError(
                .conflict, "volume \(Names.quoted(volume.name)) is used by \(usedBy.joined(separator: ", "))",
                hint: "remove the device from those instances first")
        }
    }

    func key(_ volume: VolumeRecord) -> String { key(volume.project, volume.pool, volume.name) }
    func key(_ project: String, _ pool: String, _ name: String) -> String { "\(project)/\(pool)/\(name)" }
    func source(_ volume: VolumeRecord) -> String {
        "/1.0/storage-pools/\(volume.pool)/volumes/custom/\(volume.name)"
    }
}

extension VolumeRecord {
    var path: VolumeName { VolumeName(project: project, name: name) }
    /// What it holds; one that does not say holds files.
    public var contentType: VolumeContent { content ?? .filesystem }
}

extension VolumeSnapshotRecord {
    var path: VolumeName { VolumeName(project: project, name: volume, snapshot: name) }
}
