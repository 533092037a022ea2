internal import GRDB
public import Model

// Names of images in projects.
extension StateStore {
    /// Every alias; of one whose record cannot be read what its columns hold.
    public func imageAliases() async throws -> [ImageAlias] {
        try await read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM image_alias ORDER BY project, name").map(Self.alias)
        }
    }

    private static func alias(_ row: Row) throws -> ImageAlias {
        do { return try Document.decode(ImageAlias.self, row["document"]) } catch is DecodingError {
            return ImageAlias(project: row["project"], name: row["name"], digest: row["digest"])
        }
    }

    public func imageAlias(project: String, name: String) async throws -> ImageAlias? {
        try await read { db in
            try Row.fetchOne(
                db, sql: "SELECT * FROM image_alias WHERE project = ? AND name = ?", arguments: [project, name]
            ).map(Self.alias)
        }
    }

    /// Stores a new alias, or one in place of `replacing`. `alreadyExists` if its name is taken by another.
    public func save(_ alias: ImageAlias, replacing name: String? = nil) async throws {
        try await write { db in
            if let name {
                try db.execute(
                    sql: "DELETE FROM image_alias WHERE project = ? AND name = ?", arguments: [alias.project, name])
            }
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM image_alias WHERE project = ? AND name = ?)",
                arguments: [alias.project, alias.name])
            guard taken != true else {
                throw EngineError(
                    .alreadyExists, "the image alias \(Names.quoted(alias.name)) exists already",
                    hint: "delete it first, or choose another name")
            }
            try db.execute(
                sql: "INSERT INTO image_alias (project, name, digest, document) VALUES (?, ?, ?, ?)",
                arguments: [alias.project, alias.name, alias.digest, try Document.encode(alias)])
        }
    }

    /// False if it was not there.
    public func deleteImageAlias(project: String, name: String) async throws -> Bool {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM image_alias WHERE project = ? AND name = ?", arguments: [project, name])
            return db.changesCount > 0
        }
    }

    /// Removes every alias and reference of an image; of the aliases, with `project` only those of that project.
    public func unnameImage(digest: String, project: String? = nil) async throws {
        try await write { db in
            if let project {
                try db.execute(
                    sql: "DELETE FROM image_alias WHERE digest = ? AND project = ?", arguments: [digest, project])
            } else {
                try db.execute(sql: "DELETE FROM image_alias WHERE digest = ?", arguments: [digest])
                try db.execute(sql: "DELETE FROM image_reference WHERE digest = ?", arguments: [digest])
            }
        }
    }
}
