internal import GRDB
public import Model

// Snapshots of instances, and storage pools.
extension StateStore {
    /// Every snapshot, oldest first, and the ids of those whose record could not be read.
    public func snapshots() async throws -> (records: [SnapshotRecord], unreadable: [String]) {
        try await read { db in
            let (records, unreadable) = try Document.readable(
                SnapshotRecord.self, try Row.fetchAll(db, sql: "SELECT id, document FROM snapshot ORDER BY rowid")
            ) { $0["id"] }
            return (records.sorted { $0.createdAt < $1.createdAt }, unreadable)
        }
    }

    /// Stores a new snapshot or replaces the one of the same id. `alreadyExists` if the instance has another of that
    /// name.
    public func save(_ snapshot: SnapshotRecord) async throws {
        try await write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM snapshot WHERE instance = ? AND name = ? AND id <> ?)",
                arguments: [snapshot.instance.id.raw, snapshot.name, snapshot.id.raw])
            guard taken != true else {
                throw EngineError(
                    .alreadyExists, "a snapshot named \(Names.quoted(snapshot.name)) exists already",
                    hint: "choose another name or delete it first")
            }
            try db.execute(
                sql: """
                    INSERT INTO snapshot (id, instance, name, document) VALUES (?, ?, ?, ?)
                    ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document
                    """,
                arguments: [
                    snapshot.id.raw, snapshot.instance.id.raw, snapshot.name, try Document.encode(snapshot),
                ])
        }
    }

    /// Removes a snapshot's record. No error if it is not there.
    public func deleteSnapshot(_ id: InstanceID) async throws {
        try await write { db in
            try db.execute(sql: "DELETE FROM snapshot WHERE id = ?", arguments: [id.raw])
        }
    }

    /// Snapshots of all volumes, oldest first, and `project/pool/volume/name` of those whose record cannot be read.
    public func volumeSnapshots() async throws -> (records: [VolumeSnapshotRecord], unreadable: [String]) {
        try await read { db in
            let (records, unreadable) = try Document.readable(
                VolumeSnapshotRecord.self, try Row.fetchAll(db, sql: "SELECT * FROM volume_snapshot ORDER BY rowid")
            ) { row in
                ["project", "pool", "volume", "name"].map { row[$0] as String }.joined(separator: "/")
            }
            return (records.sorted { $0.createdAt < $1.createdAt }, unreadable)
        }
    }

    /// Stores a snapshot of a volume under its name, in place of an older one.
    public func save(_ snapshot: VolumeSnapshotRecord) async throws {
        try await write { db in try Self.write(snapshot, db) }
    }

    /// Stores a new volume and its snapshots, all or nothing. `alreadyExists` if there is one of its name.
    public func insert(_ volume: VolumeRecord, snapshots: [VolumeSnapshotRecord]) async throws {
        try await write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM volume WHERE project = ? AND pool = ? AND name = ?)",
                arguments: [volume.project, volume.pool, volume.name])
            guard taken != true else {
                throw EngineError(
                    .alreadyExists,
                    "volume \(Names.quoted(volume.name)) exists already in pool \(Names.quoted(volume.pool))")
            }
            try db.execute(
                sql: "INSERT INTO volume (project, pool, name, document) VALUES (?, ?, ?, ?)",
                arguments: [volume.project, volume.pool, volume.name, try Document.encode(volume)])
            for snapshot in snapshots { try Self.write(snapshot, db) }
        }
    }

    /// Gives a snapshot of a volume another name.
    public func rename(_ snapshot: VolumeSnapshotRecord, to new: VolumeSnapshotRecord) async throws {
        try await write { db in
            try db.execute(
                sql: """
                    UPDATE volume_snapshot SET name = ?, document = ?
                    WHERE project = ? AND pool = ? AND volume = ? AND name = ?
                    """,
                arguments: [
                    new.name, try Document.encode(new), snapshot.project, snapshot.pool, snapshot.volume, snapshot.name,
                ])
        }
    }

    private static func write(_ snapshot: VolumeSnapshotRecord, _ db: Database) throws {
        let old = try String.fetchOne(
            db, sql: "SELECT document FROM volume_snapshot WHERE project = ? AND pool = ? AND volume = ? AND name = ?",
            arguments: [snapshot.project, snapshot.pool, snapshot.volume, snapshot.name])
        try Document.keepUnreadable(
            VolumeSnapshotRecord.self, old, "snapshot \(snapshot.name) of volume \(snapshot.volume)")
        try db.execute(
            sql: """
                INSERT INTO volume_snapshot (project, pool, volume, name, document) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (project, pool, volume, name) DO UPDATE SET document = excluded.document
                """,
            arguments: [
                snapshot.project, snapshot.pool, snapshot.volume, snapshot.name, try Document.encode(snapshot),
            ])
    }

    public func delete(_ snapshot: VolumeSnapshotRecord) async throws {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM volume_snapshot WHERE project = ? AND pool = ? AND volume = ? AND name = ?",
                arguments: [snapshot.project, snapshot.pool, snapshot.volume, snapshot.name])
        }
    }

    /// Gives a volume another name or project; its snapshots go along.
    public func rename(_ volume: VolumeRecord, to new: VolumeRecord) async throws {
        try await write { db in
            try db.execute(
                sql: """
                    UPDATE volume SET project = ?, pool = ?, name = ?, document = ?
                    WHERE project = ? AND pool = ? AND name = ?
                    """,
                arguments: [
                    new.project, new.pool, new.name, try Document.encode(new), volume.project, volume.pool, volume.name,
                ])
            let documents = try String.fetchAll(
                db, sql: "SELECT document FROM volume_snapshot WHERE project = ? AND pool = ? AND volume = ?",
                arguments: [new.project, new.pool, new.name])
            for document in documents {
                var snapshot = try Document.decode(VolumeSnapshotRecord.self, document)
                (snapshot.project, snapshot.pool, snapshot.volume) = (new.project, new.pool, new.name)
                try db.execute(
                    sql: """
                        UPDATE volume_snapshot SET document = ? WHERE project = ? AND pool = ? AND volume = ? AND name = ?
                        """,
                    arguments: [
                        try Document.encode(snapshot), snapshot.project, snapshot.pool, snapshot.volume, snapshot.name,
                    ])
            }
        }
    }

    /// Every storage pool, and the names of those whose record cannot be read.
    public func pools() async throws -> (records: [PoolRecord], unreadable: [String]) {
        try await read { db in
            try Document.readable(PoolRecord.self, try Row.fetchAll(db, sql: "SELECT * FROM pool ORDER BY name")) {
                $0["name"]
            }
        }
    }

    /// Stores a pool under its name, in place of an older one; `conflict` if that cannot be read.
    public func save(_ pool: PoolRecord) async throws {
        try await write { db in
            let old = try String.fetchOne(db, sql: "SELECT document FROM pool WHERE name = ?", arguments: [pool.name])
            try Document.keepUnreadable(PoolRecord.self, old, "storage pool \(pool.name)")
            try db.execute(
                sql: """
                    INSERT INTO pool (name, document) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET document = excluded.document
                    """, arguments: [pool.name, try Document.encode(pool)])
        }
    }

    public func deletePool(_ name: String) async throws {
        try await write { db in try db.execute(sql: "DELETE FROM pool WHERE name = ?", arguments: [name]) }
    }
}
