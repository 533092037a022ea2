internal import GRDB
public import Model

// Backups of instances and volumes.
extension StateStore {
    /// Oldest first; nil: of all. Those whose record cannot be read are left out.
    public func backups(of owner: BackupRecord.Owner? = nil) async throws -> [BackupRecord] {
        try await read { db in
            let rows = try String.fetchAll(
                db, sql: "SELECT document FROM backup WHERE owner = coalesce(?, owner) ORDER BY rowid",
                arguments: [owner?.description])
            var records: [BackupRecord] = []
            for row in rows {
                do { records.append(try Document.decode(BackupRecord.self, row)) } catch is DecodingError { continue }
            }
            return records
        }
    }

    /// Ids of all backups, of unreadable ones too.
    public func backupIDs() async throws -> Set<String> {
        try await read { db in Set(try String.fetchAll(db, sql: "SELECT id FROM backup")) }
    }

    /// Stores a new backup or replaces the one of the same id. `alreadyExists` if the owner has another of that name.
    public func save(_ backup: BackupRecord) async throws {
        try await write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM backup WHERE owner = ? AND name = ? AND id <> ?)",
                arguments: [backup.owner, backup.name, backup.id.raw])
            guard taken != true else {
                throw EngineError(
                    .alreadyExists, "a backup named \(Names.quoted(backup.name)) exists already",
                    hint: "choose another name or delete it first")
            }
            try db.execute(
                sql: """
                    INSERT INTO backup (id, owner, name, document) VALUES (?, ?, ?, ?)
                    ON CONFLICT (id) DO UPDATE
                    SET owner = excluded.owner, name = excluded.name, document = excluded.document
                    """,
                arguments: [backup.id.raw, backup.owner, backup.name, try Document.encode(backup)])
        }
    }

    /// Removes a backup's record. No error if it is not there.
    public func deleteBackup(_ id: InstanceID) async throws {
        try await write { db in
            try db.execute(sql: "DELETE FROM backup WHERE id = ?", arguments: [id.raw])
        }
    }
}
