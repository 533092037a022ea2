import DriverKit
public import Model
import StateStore

extension VolumeService {
    /// Oldest first.
    public func snapshots(of volume: VolumeRecord) -> [VolumeSnapshotRecord] { snapshotRecords[key(volume)] ?? [] }

    public func snapshot(_ name: String, of volume: VolumeRecord) throws -> VolumeSnapshotRecord {
        guard let snapshot = snapshots(of: volume).first(where: { $0.name == name }) else {
            throw EngineError(
                .notFound, "volume \(Names.quoted(volume.name)) has no snapshot \(Names.quoted(name))",
                resource: "snapshot \(volume.name)/\(name)")
        }
        return snapshot
    }

    /// Keeps a volume as it is now. In a pool of the driver dir its content is copied.
    @discardableResult
    public func createSnapshot(_ volume: VolumeRecord, _ request: SnapshotRequest, description: String = "")
        async throws
        -> VolumeSnapshotRecord
    {
        if let name = request.name { try Names.checkSnapshot(name) }
        return try await locks.withLock(key(volume)) {
            let volume = try get(volume.name, project: volume.project, pool: volume.pool)
            let now = Clock.now
            let taken = snapshots(of: volume).map(\.name)
            let name =
                try request.name
                ?? SnapshotPattern(volume.config["snapshots.pattern"] ?? SnapshotPattern.standard)
                .name(taken: taken, at: now)
            guard !taken.contains(name) else {
                throw EngineError(
                    .alreadyExists, "volume \(Names.quoted(volume.name)) has a snapshot \(Names.quoted(name)) already")
            }
            let expiresAt: Double? =
                switch request.expiry {
                case .standard: try volume.config["snapshots.expiry"].flatMap { try ExpiryText($0).date(after: now) }
                case .never: nil
                case .at(let date): date
                }
            let snapshot = VolumeSnapshotRecord(
                project: volume.project, pool: volume.pool, volume: volume.name, name: name, description: description,
                config: volume.config, createdAt: now, expiresAt: expiresAt)
            let pool = try await pools.pool(volume.pool)
            try refuseForeign(pool.folder(of: snapshot.path))
            try await withReverter { reverter in
                try await pool.cloneVolume(pool.folder(of: volume.path), to: snapshot.path)
                reverter.onFailure("removing the files of the snapshot") {
                    try await pool.removeVolume(snapshot.path)
                }
                try await store.save(snapshot)
            }
            snapshotRecords[key(volume), default: []].append(snapshot)
            events.lifecycle(
                "storage-volume-snapshot-created", source(volume) + "/snapshots/\(name)", project: volume.project)
            return snapshot
        }
    }

    public func deleteSnapshot(_ name: String, of volume: VolumeRecord) async throws {
        try await locks.withLock(key(volume)) {
            let snapshot = try snapshot(name, of: volume)
            try await pools.pool(volume.pool).removeVolume(snapshot.path)
            try await store.delete(snapshot)
            snapshotRecords[key(volume)]?.removeAll { $0.name == name }
        }
        events.lifecycle(
            "storage-volume-snapshot-deleted", source(volume) + "/snapshots/\(name)", project: volume.project)
    }

    /// - Parameter expiresAt: seconds since 1970; nil: never.
    public func updateSnapshot(_ name: String, of volume: VolumeRecord, description: String?, expiresAt: Double?)
        async throws
    {
        try await locks.withLock(key(volume)) {
            var snapshot = try snapshot(name, of: volume)
            snapshot.expiresAt = expiresAt
            if let description { snapshot.description = description }
            try await store.save(snapshot)
            replace(name, snapshot, of: volume)
            events.lifecycle(
                "storage-volume-snapshot-updated", source(volume) + "/snapshots/\(name)", project: volume.project)
        }
    }

    /// Brings a volume that nothing uses back to a snapshot.
    ///
    /// - Parameter usedBy: names of the running instances that use it; must be empty.
    public func restore(_ volume: VolumeRecord, from name: String, usedBy: [String]) async throws {
        guard usedBy.isEmpty else {
            throw EngineError(
                .conflict, "volume \(Names.quoted(volume.name)) is in use by \(usedBy.joined(separator: ", "))",
                hint: "stop those instances first")
        }
        try await locks.withLock(key(volume)) {
            let snapshot = try snapshot(name, of: volume)
            try await pools.pool(volume.pool).restoreVolume(volume.path, from: snapshot.path)
            var volume = volume
            volume.config = snapshot.config
            try await store.save(volume)
            volumes[key(volume)] = volume
        }
        events.lifecycle("storage-volume-restored", source(volume), project: volume.project)
    }

    func replace(_ name: String, _ snapshot: VolumeSnapshotRecord, of volume: VolumeRecord) {
        guard let index = snapshotRecords[key(volume)]?.firstIndex(where: { $0.name == name }) else { return }
        snapshotRecords[key(volume)]?[index] = snapshot
    }
}
