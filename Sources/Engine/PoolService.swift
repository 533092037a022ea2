import DriverKit
import Logging
public import Model
import StateStore

/// Storage pools; `default` always exists.
public actor PoolService {
    let parts: EngineParts
    /// Changes of pools come one after the other.
    let locks = KeyedLock<String>()
    private var records: [String: PoolRecord] = [:]
    private(set) var unreadable = UnreadableRecords("storage pool")
    private var open: [String: any StoragePool] = [:]
    /// Why a pool of this name is not open.
    private var failures: [String: String] = [:]

    init(parts: EngineParts) { self.parts = parts }

    /// Opens every pool. One that cannot be opened is said and left out: what is in it cannot be started meanwhile.
    func load() async throws {
        let (readable, broken) = try await parts.store.pools()
        unreadable.found(broken, parts.logger)
        for record in readable { records[record.name] = record }
        // Nothing can be done without it.
        try unreadable.refuse(PoolRecord.standard)
        if records[PoolRecord.standard] == nil {
            guard let driver = parts.storage.first else {
                throw EngineError(.internal, "this daemon has no storage driver")
            }
            let record = PoolRecord(
                name: PoolRecord.standard, driver: driver.name, config: ["source": parts.layout.state],
                createdAt: Clock.now)
            try await parts.store.save(record)
            records[record.name] = record
        }
        try await follow()
        for record in records.values {
            do {
                let pool = try await driver(record.driver).open(record.name, config: record.config)
                try await pool.recover()
                open[record.name] = pool
            } catch {
                if record.name == PoolRecord.standard { throw error }
                failures[record.name] = "\(error)"
                parts.logger.error(
                    "a storage pool cannot be opened; what is in it stays as it is",
                    metadata: ["pool": "\(record.name)", "error": "\(error)"])
            }
        }
    }

    /// Makes the records follow the daemon's folder when it was moved or copied: what was below it is below it still, and
    /// the place where it was may belong to another daemon now.
    private func follow() async throws {
        let state = parts.layout.state
        guard let former = records[PoolRecord.standard]?.config["source"], former != state else { return }
        for var record in records.values {
            guard let source = record.config["source"], source == former || source.hasPrefix(former + "/") else {
                continue
            }
            record.config["source"] = state + source.dropFirst(former.count)
            try await parts.store.save(record)
            records[record.name] = record
        }
        parts.logger.notice("the folder of the daemon was moved", metadata: ["from": "\(former)", "to": "\(state)"])
    }

    public func list() -> [PoolRecord] { records.values.sorted { $0.name < $1.name } }

    /// `notFound` if there is none.
    public func get(_ name: String) throws -> PoolRecord {
        guard let record = records[name] else {
            try unreadable.refuse(name)
            throw EngineError(
                .notFound, "storage pool \(Names.quoted(name)) does not exist",
                hint: "isle storage list shows those that do",
                resource: "storage pool \(name)")
        }
        return record
    }

    /// The pool that holds an instance's files.
    func pool(of instance: InstanceRecord) throws -> any StoragePool {
        try pool(instance.pool ?? PoolRecord.standard)
    }

    func pool(_ name: String) throws -> any StoragePool {
        _ = try get(name)
        guard let pool = open[name] else {
            throw EngineError(
                .unavailable, "storage pool \(Names.quoted(name)) is not usable now: \(failures[name] ?? "not open")",
                hint: "see to its source and start isled again", resource: "storage pool \(name)")
        }
        return pool
    }

    /// Remembers a pool that was made or changed.
    func take(_ record: PoolRecord, _ pool: (any StoragePool)?) {
        records[record.name] = record
        if let pool { open[record.name] = pool }
    }

    func forget(_ name: String) {
        records[name] = nil
        open[name] = nil
    }

    func driver(_ name: String) throws -> any StorageDriver {
        guard let driver = parts.storage.first(where: { $0.name == name }) else {
            throw EngineError(
                .invalidArgument, "there is no storage driver \(Names.quoted(name))",
                hint: "drivers: \(parts.storage.map(\.name).joined(separator: ", "))")
        }
        return driver
    }
}
