import DriverKit
import Glibc
import Logging
public import Model
import StateStore

/// What a door asks to be backed up.
public struct BackupRequest: Sendable {
    /// nil: `backup0`, `backup1`, ….
    public var name: String?
    /// Seconds since 1970 at which it is removed by itself; nil: never.
    public var expiresAt: Double?
    /// Leave the snapshots out.
    public var onlyPresent: Bool
    /// In the storage driver's own form.
    public var isOptimized: Bool
    /// `none`, `gzip`, `bzip2`, `xz` or `zstd`, perhaps with a level as `zstd -9`; nil: as
    /// `backups.compression_algorithm` says, else gzip.
    public var compression: String?

    public init(
        name: String? = nil, expiresAt: Double? = nil, onlyPresent: Bool = false, isOptimized: Bool = false,
        compression: String? = nil
    ) {
        self.name = name
        self.expiresAt = expiresAt
        self.onlyPresent = onlyPresent
        self.isOptimized = isOptimized
        self.compression = compression
    }
}

/// Archives of instances and volumes in LXD's form: made, kept, handed out, and made into instances and volumes again.
public actor BackupService {
    let parts: EngineParts
    let instances: InstanceService
    let volumes: VolumeService
    let pools: PoolService
    let projects: ProjectService
    let settings: ServerSettings
    nonisolated let files: BackupFiles

    init(
        parts: EngineParts, files: BackupFiles, instances: InstanceService, volumes: VolumeService, pools: PoolService,
        projects: ProjectService, settings: ServerSettings
    ) {
        self.parts = parts
        self.files = files
        self.instances = instances
        self.volumes = volumes
        self.pools = pools
        self.projects = projects
        self.settings = settings
    }

    // MARK: those that are here

    /// Oldest first.
    public func list(instance name: String, project: String = "default") async throws -> [BackupRecord] {
        try await files.list(.instance(instances.find(name, project).id))
    }

    public func get(_ backup: String, instance name: String, project: String = "default") async throws -> BackupRecord {
        let id = try await instances.find(name, project).id
        return try await files.get(backup, of: .instance(id), shown: "instance \(Names.quoted(name))")
    }

    /// Oldest first.
    public func list(volume: VolumeRecord) async throws -> [BackupRecord] { try await files.list(volume.backupOwner) }

    public func get(_ backup: String, volume: VolumeRecord) async throws -> BackupRecord {
        try await files.get(backup, of: volume.backupOwner, shown: "volume \(Names.quoted(volume.name))")
    }

    /// The archive, absolute.
    public nonisolated func path(_ backup: BackupRecord) -> String { files.path(backup) }

    public func rename(_ backup: BackupRecord, to name: String) async throws {
        try Names.checkSnapshot(name, "backup")
        var backup = backup
        backup.name = name
        try await parts.store.save(backup)
    }

    public func delete(_ backup: BackupRecord) async throws { try await files.remove(backup) }

    /// Removes those whose time has come.
    func removeExpired(_ now: Double) async throws {
        for backup in try await parts.store.backups() {
            guard let expiry = backup.expiresAt, expiry <= now else { continue }
            try await files.remove(backup)
        }
    }

    // MARK: making

    /// Says now what would make `write` fail.
    func checked(_ request: BackupRequest, _ owner: BackupRecord.Owner, project: String) async throws -> BackupRecord {
        try await projects.policy(of: project).checkBackups()
        try archiver.checkCompression(try await compression(request))
        let taken = Set(try await files.list(owner).map(\.name))
        if let name = request.name {
            try Names.checkSnapshot(name, "backup")
            guard !taken.contains(name) else {
                throw EngineError(
                    .alreadyExists, "a backup named \(Names.quoted(name)) exists already",
                    hint: "choose another name or delete it first")
            }
        }
        let free = (0...).lazy.map { "backup\($0)" }.first { !taken.contains($0) } ?? "backup"
        return BackupRecord(
            id: .random(), owner: owner, name: request.name ?? free, createdAt: Clock.now, expiresAt: request.expiresAt,
            onlyPresent: request.onlyPresent)
    }

    /// Writes the archive, then its record.
    func keep(_ backup: BackupRecord, _ content: BackupContent, _ request: BackupRequest) async throws -> BackupRecord {
        try Folders.make(parts.layout.backups, mode: 0o700)
        let path = files.path(backup)
        var backup = backup
        try await archiver.writeBackup(content, compression: try await compression(request), to: path)
        do {
            var status = stat()
            if lstat(path, &status) == 0 { backup.size = Int64(status.st_size) }
            try await parts.store.save(backup)
        } catch {
            unlink(path)
            throw error
        }
        return backup
    }

    var archiver: any BackupArchiver {
        get throws { try parts.imaging(\.backups, for: "make and read backups") }
    }

    private func compression(_ request: BackupRequest) async throws -> String {
        let wanted = request.compression.flatMap { $0.isEmpty ? nil : $0 }
        if let wanted { return wanted }
        return await settings.all()["backups.compression_algorithm"] ?? "gzip"
    }
}

extension VolumeRecord {
    var backupOwner: BackupRecord.Owner { .volume(project: project, pool: pool, name: name) }
}
