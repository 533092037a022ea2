internal import GRDB
public import Model

// Snapshots of instances, and storage pools.
extension StateStore {
    /// Every snapshot, oldest first, and the ids of those whose record could not be read.
    public func snapshots() async throws -> (records: [SnapshotRecord], unreadable: [String]) {
        try await read { db in
            var records: [SnapshotRecord] = []
            var unreadable: [String] = []
            for row in try Row.fetchAll(db, sql: "SELECT id, document FROM snapshot ORDER BY rowid") {
                do { records.append(try Document.decode(SnapshotRecord.self, row["document"])) } catch {
                    unreadable.append(row["id"])
                }
            }
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

    public func pools() async throws -> [PoolRecord] {
        try await read { db in
            try String.fetchAll(db, sql: "SELECT document FROM pool ORDER BY name")
                .map { try Document.decode(PoolRecord.self, $0) }
        }
    }

    /// Stores a pool under its name, in place of an older one.
    public func save(_ pool: PoolRecord) async throws {
        try await write { db in
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
