internal import GRDB
public import Model

extension StateStore {
    /// Every instance, and the ids of those whose record could not be read (they are kept as they are).
    public func instances() async throws -> (records: [InstanceRecord], unreadable: [String]) {
        try await read { db in
            try Document.readable(
                InstanceRecord.self,
                try Row.fetchAll(db, sql: "SELECT id, document FROM instance ORDER BY project, name")
            ) { $0["id"] }
        }
    }

    /// Stores a new instance. `alreadyExists` if the name is taken in its project.
    public func insert(_ record: InstanceRecord) async throws {
        try await write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM instance WHERE project = ? AND name = ?)",
                arguments: [record.project, record.name])
            guard taken != true else { throw Self.nameTaken(record.name) }
            try db.execute(
                sql: "INSERT INTO instance (id, project, name, document) VALUES (?, ?, ?, ?)",
                arguments: [record.id.raw, record.project, record.name, try Document.encode(record)])
        }
    }

    /// Replaces the record of the same id. `notFound` if there is none, `alreadyExists` if its new name is taken.
    public func update(_ record: InstanceRecord) async throws {
        try await write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM instance WHERE project = ? AND name = ? AND id <> ?)",
                arguments: [record.project, record.name, record.id.raw])
            guard taken != true else { throw Self.nameTaken(record.name) }
            try db.execute(
                sql: "UPDATE instance SET project = ?, name = ?, document = ? WHERE id = ?",
                arguments: [record.project, record.name, try Document.encode(record), record.id.raw])
            guard db.changesCount == 1 else {
                throw EngineError(.notFound, "instance \(Names.quoted(record.name)) is not in the state database")
            }
        }
    }

    /// Removes the record with all that belongs to it (addresses, id range). No error if it is not there.
    public func deleteInstance(_ id: InstanceID) async throws {
        try await write { db in
            try db.execute(sql: "DELETE FROM instance WHERE id = ?", arguments: [id.raw])
        }
    }

    /// Gives the instance a slot of the id ranges, `0 ..< slots`, that no other has; the same one when asked again.
    public func reserveIDSlot(_ id: InstanceID, slots: Int) async throws -> Int {
        try await write { db in
            if let slot = try Int.fetchOne(
                db, sql: "SELECT slot FROM id_range WHERE instance = ?", arguments: [id.raw])
            {
                return slot
            }
            let used = Set(try Int.fetchAll(db, sql: "SELECT slot FROM id_range"))
            guard used.count < slots else {
                throw EngineError(
                    .resourceExhausted, "all \(slots) ranges of user ids are in use",
                    hint: "delete instances that are not needed")
            }
            // A random slot: two daemons on one host then rarely share a range.
            var slot = Int.random(in: 0..<slots)
            while used.contains(slot) { slot = (slot + 1) % slots }
            try db.execute(
                sql: "INSERT INTO id_range (slot, instance) VALUES (?, ?)", arguments: [slot, id.raw])
            return slot
        }
    }

    private static func nameTaken(_ name: String) -> EngineError {
        EngineError(
            .alreadyExists, "an instance named \(Names.quoted(name)) exists already",
            hint: "choose another name or delete it first", resource: "instance \(name)")
    }
}
