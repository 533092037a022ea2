import Foundation
internal import GRDB
import Model

/// The daemon's state in one SQLite file (WAL). Records are JSON documents beside the columns that are searched or
/// must be unique; a change of several tables is one transaction.
public final class StateStore: Sendable {
    let pool: DatabasePool

    /// Opens or makes the database at `path` and brings its tables up to date.
    ///
    /// Throws `unsupported` when a newer Isle wrote it (nothing is changed then), `internal` when the file is damaged:
    /// the damaged file is left where it is.
    public init(path: String) throws {
        var configuration = Configuration()
        configuration.label = "isle.state"
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
        }
        do {
            try Self.examine(path)
            pool = try DatabasePool(path: path, configuration: configuration)
            try Schema.migrator.migrate(pool)
        } catch let error as EngineError {
            throw error
        } catch {
            throw EngineError(
                .internal, "the state database \(path) cannot be opened",
                hint: "check the disk and the file's permissions; the file was left as it is", cause: error)
        }
    }

    /// Refuses a database that is damaged or too new. Through a connection that cannot write: already opening another
    /// one moves the write-ahead log into the file.
    private static func examine(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.read { db in
            let verdict = try String.fetchOne(db, sql: "PRAGMA quick_check(1)")
            guard verdict == "ok" else {
                throw EngineError(
                    .internal, "the state database \(path) is damaged: \(verdict ?? "no answer to quick_check")",
                    hint: "restore it from a backup, or move it away to start empty; images and instances on disk stay")
            }
            guard try !Schema.migrator.hasBeenSuperseded(db) else {
                throw EngineError(
                    .unsupported, "the state database \(path) was written by a newer version of Isle",
                    hint: "install that version again, or start with another --state-dir")
            }
        }
        try queue.close()
    }

    /// Closes the database; later calls fail.
    public func close() throws { try pool.close() }

    func read<T: Sendable>(_ body: @Sendable @escaping (Database) throws -> T) async throws -> T {
        do { return try await pool.read(body) } catch { throw Self.translate(error) }
    }

    func write<T: Sendable>(_ body: @Sendable @escaping (Database) throws -> T) async throws -> T {
        do { return try await pool.write(body) } catch { throw Self.translate(error) }
    }

    private static func translate(_ error: any Error) -> any Error {
        if error is DecodingError {
            return EngineError(
                .internal, "a record of the state database cannot be read", hint: "it was left as it is", cause: error)
        }
        guard let error = error as? DatabaseError else { return error }
        switch error.resultCode {
        case .SQLITE_FULL:
            return EngineError(
                .resourceExhausted, "the disk of the state database is full", hint: "free space below the state folder",
                cause: error)
        case .SQLITE_CONSTRAINT:
            return EngineError(.alreadyExists, "the state database refused a duplicate", cause: error)
        default:
            return EngineError(.internal, "the state database failed", cause: error)
        }
    }
}

/// Records as the JSON text that is stored.
enum Document {
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<T: Decodable>(_ type: T.Type, _ text: String) throws -> T {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    /// The records of rows with a column `document`, and the names of those that cannot be read: they are kept.
    static func readable<T: Decodable>(_ type: T.Type, _ rows: [Row], name: (Row) -> String) throws
        -> (records: [T], unreadable: [String])
    {
        var records: [T] = []
        var unreadable: [String] = []
        for row in rows {
            do { records.append(try decode(type, row["document"])) } catch is DecodingError {
                unreadable.append(name(row))
            }
        }
        return (records, unreadable)
    }

    /// Throws `conflict` if there is a record that cannot be read where another is about to be stored.
    ///
    /// - Parameter old: the document that is there now, if any.
    static func keepUnreadable<T: Decodable>(_ type: T.Type, _ old: String?, _ thing: String) throws {
        guard let old else { return }
        do { _ = try decode(type, old) } catch is DecodingError {
            throw EngineError(
                .conflict, "the record of \(thing) cannot be read, so it is not replaced",
                hint: "use the version of Isle that wrote it, or another name", resource: thing)
        }
    }
}
