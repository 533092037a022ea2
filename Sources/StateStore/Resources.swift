internal import GRDB
public import Model

// Profiles, volumes, settings, addresses and the journal.
extension StateStore {
    /// Every profile, and `project/name` of those whose record cannot be read.
    public func profiles() async throws -> (records: [ProfileRecord], unreadable: [String]) {
        try await read { db in
            try Document.readable(
                ProfileRecord.self, try Row.fetchAll(db, sql: "SELECT * FROM profile ORDER BY project, name")
            ) { "\($0["project"] as String)/\($0["name"] as String)" }
        }
    }

    /// Stores a profile under its project and name, in place of an older one; `conflict` if that cannot be read.
    public func save(_ profile: ProfileRecord) async throws {
        try await write { db in
            let old = try String.fetchOne(
                db, sql: "SELECT document FROM profile WHERE project = ? AND name = ?",
                arguments: [profile.project, profile.name])
            try Document.keepUnreadable(ProfileRecord.self, old, "profile \(profile.name)")
            try db.execute(
                sql: """
                    INSERT INTO profile (project, name, document) VALUES (?, ?, ?)
                    ON CONFLICT (project, name) DO UPDATE SET document = excluded.document
                    """, arguments: [profile.project, profile.name, try Document.encode(profile)])
        }
    }

    public func deleteProfile(project: String, name: String) async throws {
        try await write { db in
            try db.execute(sql: "DELETE FROM profile WHERE project = ? AND name = ?", arguments: [project, name])
        }
    }

    /// Every custom volume, and `project/pool/name` of those whose record cannot be read.
    public func volumes() async throws -> (records: [VolumeRecord], unreadable: [String]) {
        try await read { db in
            try Document.readable(
                VolumeRecord.self, try Row.fetchAll(db, sql: "SELECT * FROM volume ORDER BY project, pool, name")
            ) { "\($0["project"] as String)/\($0["pool"] as String)/\($0["name"] as String)" }
        }
    }

    /// Stores a volume under its name, in place of an older one; `conflict` if that cannot be read.
    public func save(_ volume: VolumeRecord) async throws {
        try await write { db in
            let old = try String.fetchOne(
                db, sql: "SELECT document FROM volume WHERE project = ? AND pool = ? AND name = ?",
                arguments: [volume.project, volume.pool, volume.name])
            try Document.keepUnreadable(VolumeRecord.self, old, "volume \(volume.name)")
            try db.execute(
                sql: """
                    INSERT INTO volume (project, pool, name, document) VALUES (?, ?, ?, ?)
                    ON CONFLICT (project, pool, name) DO UPDATE SET document = excluded.document
                    """, arguments: [volume.project, volume.pool, volume.name, try Document.encode(volume)])
        }
    }

    public func deleteVolume(project: String, pool: String, name: String) async throws {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM volume WHERE project = ? AND pool = ? AND name = ?", arguments: [project, pool, name])
        }
    }

    /// Networks as stored documents of the engine's own type, and the names of those that cannot be read.
    public func networks<T: Decodable & Sendable>(_ type: T.Type) async throws -> (records: [T], unreadable: [String]) {
        try await read { db in
            try Document.readable(type, try Row.fetchAll(db, sql: "SELECT * FROM network ORDER BY name")) { $0["name"] }
        }
    }

    /// Stores a network under its name, in place of an older one; `conflict` if that cannot be read.
    public func saveNetwork<T: Codable & Sendable>(_ network: T, name: String) async throws {
        try await write { db in
            let old = try String.fetchOne(db, sql: "SELECT document FROM network WHERE name = ?", arguments: [name])
            try Document.keepUnreadable(T.self, old, "network \(name)")
            try db.execute(
                sql: """
                    INSERT INTO network (name, document) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET document = excluded.document
                    """, arguments: [name, try Document.encode(network)])
        }
    }

    public func deleteNetwork(name: String) async throws {
        try await write { db in try db.execute(sql: "DELETE FROM network WHERE name = ?", arguments: [name]) }
    }

    /// What all instances hold. Of a record that cannot be read the addresses are known, so that nobody else gets them.
    public func reservations() async throws -> [AddressReservation] {
        try await read { db in try Row.fetchAll(db, sql: "SELECT * FROM reservation").compactMap(Self.reservation) }
    }

    private static func reservation(_ row: Row) throws -> AddressReservation? {
        do { return try Document.decode(AddressReservation.self, row["document"]) } catch is DecodingError {
            return InstanceID(row["instance"]).map {
                AddressReservation(
                    instance: $0, device: row["device"], network: row["network"], mac: "", ipv4: row["ipv4"],
                    ipv6: row["ipv6"])
            }
        }
    }

    /// Those of one instance.
    public func reservations(of instance: InstanceID) async throws -> [AddressReservation] {
        try await read { db in
            try String.fetchAll(
                db, sql: "SELECT document FROM reservation WHERE instance = ?", arguments: [instance.raw]
            ).compactMap { text in
                // A new one is then made, at the same place.
                do { return try Document.decode(AddressReservation.self, text) } catch is DecodingError { return nil }
            }
        }
    }

    /// Chooses addresses inside one transaction: `choose` is given those taken on the network.
    public func reserve(
        _ instance: InstanceID, device: String, network: String,
        choose: @Sendable @escaping (_ taken: [AddressReservation]) throws -> AddressReservation
    ) async throws -> AddressReservation {
        try await write { db in
            let all = try Row.fetchAll(db, sql: "SELECT * FROM reservation WHERE network = ?", arguments: [network])
                .compactMap(Self.reservation)
            let wanted = try choose(all.filter { $0.instance != instance || $0.device != device })
            try db.execute(
                sql: """
                    INSERT INTO reservation (instance, device, network, ipv4, ipv6, document) VALUES (?, ?, ?, ?, ?, ?)
                    ON CONFLICT (instance, device) DO UPDATE SET network = excluded.network, ipv4 = excluded.ipv4,
                      ipv6 = excluded.ipv6, document = excluded.document
                    """,
                arguments: [
                    instance.raw, device, network, wanted.ipv4, wanted.ipv6, try Document.encode(wanted),
                ])
            return wanted
        }
    }

    public func release(_ instance: InstanceID, device: String) async throws {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM reservation WHERE instance = ? AND device = ?", arguments: [instance.raw, device])
        }
    }

    public func setting(_ name: String) async throws -> String? {
        try await read { db in
            try String.fetchOne(db, sql: "SELECT value FROM setting WHERE name = ?", arguments: [name])
        }
    }

    public func set(_ name: String, _ value: String) async throws {
        try await write { db in
            try db.execute(
                sql: """
                    INSERT INTO setting (name, value) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value
                    """, arguments: [name, value])
        }
    }
}

/// A change of the host that was begun and is not known to be finished.
public struct JournalEntry: Sendable, Hashable {
    public var sequence: Int64
    public var instance: String
    public var step: String
    public var detail: String
}

extension StateStore {
    /// Writes down a change before it is made; `finish` takes the entry away.
    public func begin(_ instance: InstanceID, step: String, detail: String = "") async throws -> Int64 {
        try await begin(instance.raw, step: step, detail: detail)
    }

    /// - Parameter instance: the id of an instance; empty for a change of something else.
    public func begin(_ instance: String, step: String, detail: String) async throws -> Int64 {
        try await write { db in
            try db.execute(
                sql: "INSERT INTO journal (instance, step, detail) VALUES (?, ?, ?)",
                arguments: [instance, step, detail])
            return db.lastInsertedRowID
        }
    }

    public func finish(_ sequence: Int64) async throws {
        try await write { db in
            try db.execute(sql: "DELETE FROM journal WHERE sequence = ?", arguments: [sequence])
        }
    }

    /// What was begun and never finished, newest first.
    public func unfinished() async throws -> [JournalEntry] {
        try await read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM journal ORDER BY sequence DESC").map {
                JournalEntry(
                    sequence: $0["sequence"], instance: $0["instance"], step: $0["step"], detail: $0["detail"])
            }
        }
    }
}
