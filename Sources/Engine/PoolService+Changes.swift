public import DriverKit
public import Model
import StateStore

extension PoolService {
    /// Makes a pool. `alreadyExists` if the name is taken.
    @discardableResult
    public func create(_ record: PoolRecord) async throws -> PoolRecord {
        try Names.checkResource(record.name, "storage pool")
        return try await locks.withLock("") {
            try unreadable.refuse(record.name)
            guard (try? get(record.name)) == nil else {
                throw EngineError(.alreadyExists, "storage pool \(Names.quoted(record.name)) exists already")
            }
            let driver = try driver(record.driver)
            var record = record
            record.config = try await driver.create(record.name, config: record.config.filter { !$0.value.isEmpty })
            let made = record
            try await withReverter { reverter in
                reverter.onFailure("removing the pool") {
                    try await driver.remove(made.name, config: made.config)
                }
                let pool = try await driver.open(made.name, config: made.config)
                try await pool.recover()
                try await parts.store.save(made)
                take(made, pool)
            }
            parts.events.lifecycle("storage-pool-created", "/1.0/storage-pools/\(record.name)")
            return record
        }
    }

    /// Changes description and configuration.
    public func update(_ name: String, description: String, config: [String: String]) async throws {
        try await locks.withLock("") {
            var record = try get(name)
            let config = config.filter { !$0.value.isEmpty }
            if config != record.config {
                try await driver(record.driver).update(name, from: record.config, to: config)
            }
            (record.description, record.config) = (description, config)
            try await parts.store.save(record)
            take(record, nil)
        }
        parts.events.lifecycle("storage-pool-updated", "/1.0/storage-pools/\(name)")
    }

    /// - Parameter usedBy: what is in the pool or names it; must be empty.
    public func delete(_ name: String, usedBy: [String]) async throws {
        try await locks.withLock("") {
            let record = try get(name)
            guard name != PoolRecord.standard else {
                throw EngineError(.permissionDenied, "the storage pool 'default' cannot be deleted")
            }
            guard usedBy.isEmpty else {
                throw EngineError(
                    .conflict,
                    "storage pool \(Names.quoted(name)) is used by \(usedBy.prefix(5).joined(separator: ", "))",
                    hint: "delete or move those first")
            }
            try await driver(record.driver).remove(name, config: record.config)
            try await parts.store.deletePool(name)
            forget(name)
        }
        parts.events.lifecycle("storage-pool-deleted", "/1.0/storage-pools/\(name)")
    }

    public func space(_ name: String) async throws -> PoolSpace { try await pool(name).space() }

    /// The drivers there are, with their versions.
    public func drivers() async -> [(name: String, version: String)] {
        var list: [(name: String, version: String)] = []
        for driver in parts.storage { list.append((driver.name, await driver.version)) }
        return list
    }
}
