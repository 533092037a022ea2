internal import GRDB
public import Model

extension StateStore {
    /// Every image, and the digests of those whose record could not be read: while there are any, nothing may be
    /// removed as unreachable.
    public func images() async throws -> (records: [ImageRecord], unreadable: [String]) {
        try await read { db in
            try Document.readable(
                ImageRecord.self, try Row.fetchAll(db, sql: "SELECT digest, document FROM image ORDER BY digest")
            ) { $0["digest"] }
        }
    }

    public func image(digest: String) async throws -> ImageRecord? {
        try await read { db in
            try String.fetchOne(db, sql: "SELECT document FROM image WHERE digest = ?", arguments: [digest])
                .map { try Document.decode(ImageRecord.self, $0) }
        }
    }

    /// Every reference with the digest it points to.
    public func imageReferences() async throws -> [String: String] {
        try await read { db in
            var found: [String: String] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT reference, digest FROM image_reference") {
                found[row["reference"]] = row["digest"]
            }
            return found
        }
    }

    public func imageDigest(reference: String) async throws -> String? {
        try await read { db in
            try String.fetchOne(
                db, sql: "SELECT digest FROM image_reference WHERE reference = ?", arguments: [reference])
        }
    }

    /// Stores the image and points `references` to it, away from whatever they pointed to.
    public func save(_ image: ImageRecord, references: [String]) async throws {
        try await write { db in
            try db.execute(
                sql: """
                    INSERT INTO image (digest, document) VALUES (?, ?)
                    ON CONFLICT (digest) DO UPDATE SET document = excluded.document
                    """, arguments: [image.digest, try Document.encode(image)])
            for reference in references { try Self.point(db, reference, to: image.digest) }
        }
    }

    /// Points a reference to an image of the store.
    public func tag(_ reference: String, digest: String) async throws {
        try await write { db in try Self.point(db, reference, to: digest) }
    }

    /// Removes a reference; false if it was not there.
    public func untag(_ reference: String) async throws -> Bool {
        try await write { db in
            try db.execute(sql: "DELETE FROM image_reference WHERE reference = ?", arguments: [reference])
            return db.changesCount > 0
        }
    }

    /// Removes an image and its references. No error if it is not there.
    public func deleteImage(digest: String) async throws {
        try await write { db in try db.execute(sql: "DELETE FROM image WHERE digest = ?", arguments: [digest]) }
    }

    private static func point(_ db: Database, _ reference: String, to digest: String) throws {
        try db.execute(
            sql: """
                INSERT INTO image_reference (reference, digest) VALUES (?, ?)
                ON CONFLICT (reference) DO UPDATE SET digest = excluded.digest
                """, arguments: [reference, digest])
    }
}
