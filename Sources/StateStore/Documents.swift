internal import GRDB
import Model

/// Collections of small records that are only ever looked up by name: certificates, projects, warnings, ACLs.
extension StateStore {
    /// Every readable record of the collection by name, and the names of those that cannot be read: they are kept.
    public func documents<T: Decodable & Sendable>(_ collection: String, _ type: T.Type) async throws
        -> (records: [T], unreadable: [String])
    {
        try await read { db in
            try Document.readable(
                type,
                try Row.fetchAll(
                    db, sql: "SELECT name, document FROM document WHERE collection = ? ORDER BY name",
                    arguments: [collection])
            ) { $0["name"] }
        }
    }

    /// Stores a record under its name, in place of an older one; `conflict` if that cannot be read.
    public func saveDocument<T: Codable & Sendable>(_ collection: String, _ name: String, _ record: T) async throws {
        try await write { db in
            let old = try String.fetchOne(
                db, sql: "SELECT document FROM document WHERE collection = ? AND name = ?",
                arguments: [collection, name])
            try Document.keepUnreadable(T.self, old, "\(name) in \(collection)")
            try db.execute(
                sql: """
                    INSERT INTO document (collection, name, document) VALUES (?, ?, ?)
                    ON CONFLICT (collection, name) DO UPDATE SET document = excluded.document
                    """, arguments: [collection, name, try Document.encode(record)])
        }
    }

    public func deleteDocument(_ collection: String, _ name: String) async throws {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM document WHERE collection = ? AND name = ?", arguments: [collection, name])
        }
    }
}
