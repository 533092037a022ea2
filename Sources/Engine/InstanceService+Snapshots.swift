import DriverKit
import Logging
public import Model
import StateStore

/// What a door asks the engine to keep of an instance.
public struct SnapshotRequest: Sendable {
    /// When a snapshot is removed by itself.
    public enum Expiry: Sendable, Hashable {
        /// As `snapshots.expiry` of the instance says.
        case standard
        case never
        /// Seconds since 1970.
        case at(Double)
    }

    /// nil: made from `snapshots.pattern` of the instance.
    public var name: String?
    public var expiry: Expiry
    /// With the memory of a running machine.
    public var isStateful: Bool

    public init(name: String? = nil, expiry: Expiry = .standard, isStateful: Bool = false) {
        self.name = name
        self.expiry = expiry
        self.isStateful = isStateful
    }
}

extension InstanceService {
    /// Oldest first.
    public func snapshots(_ name: String, project: String = "default") async throws -> [SnapshotRecord] {
        try await find(name, project).snapshots
    }

    /// A snapshot, and its configuration with the profiles of today merged.
    public func snapshot(_ name: String, _ snapshot: String, project: String = "default") async throws
        -> (record: SnapshotRecord, expanded: MergedConfig)
    {
        let record = try await find(name, project).snapshot(named: snapshot)
        return (record, await expanded(record))
    }

    public func expanded(_ snapshot: SnapshotRecord) async -> MergedConfig {
        let then = snapshot.instance
        return MergedConfig(then, profiles: await services.profiles.find(then.profiles, project: then.project))
    }

    /// Bytes that a snapshot occupies on disk, those that it shares with the instance included.
    public func snapshotUsage(_ name: String, _ snapshot: String, project: String = "default") async throws -> Int64 {
        let actor = try find(name, project)
        let record = try await actor.snapshot(named: snapshot)
        guard record.instance.kind != .module else { return 0 }
        return try await services.pools.pool(of: await actor.record).usage(.snapshot(record.id))
    }

    /// Bytes that the instance's files occupy on disk.
    public func rootUsage(_ name: String, project: String = "default") async throws -> Int64 {
        let record = try await find(name, project).record
        guard record.kind != .module else { return 0 }
        return try await services.pools.pool(of: record).usage(.instance(record.id))
    }

    /// Keeps the instance as it is now. A running one stands still meanwhile; how long depends on the pool.
    @discardableResult
    public func createSnapshot(_ name: String, project: String = "default", _ request: SnapshotRequest) async throws
        -> SnapshotRecord
    {
        if let name = request.name { try Names.checkSnapshot(name) }
        let actor = try find(name, project)
        if request.isStateful, case .running = await actor.lifecycle {
        } else if request.isStateful {
            throw EngineError(
                .conflict, "instance \(Names.quoted(name)) does not run: there is no memory to keep",
                hint: "make one without --stateful")
        }
        try await services.projects.policy(of: project).checkSnapshots()
        return try await locks.withLock(actor.id) {
            let config = await actor.merged().config
            let now = Clock.now
            let expiresAt: Double? =
                switch request.expiry {
                case .standard: try config["snapshots.expiry"].flatMap { try ExpiryText($0).date(after: now) }
                case .never: nil
                case .at(let date): date
                }
            let taken = await actor.snapshots.map(\.name)
            let chosen =
                try request.name
                ?? SnapshotPattern(config["snapshots.pattern"] ?? SnapshotPattern.standard).name(taken: taken, at: now)
            return try await actor.makeSnapshot(
                name: chosen, expiresAt: expiresAt, isStateful: request.isStateful)
        }
    }

    public func renameSnapshot(_ name: String, _ snapshot: String, project: String = "default", to newName: String)
        async throws
    {
        try Names.checkSnapshot(newName)
        let actor = try find(name, project)
        try await locks.withLock(actor.id) { try await actor.renameSnapshot(snapshot, to: newName) }
    }

    /// - Parameter expiresAt: seconds since 1970; nil: never.
    public func setSnapshotExpiry(_ name: String, _ snapshot: String, project: String = "default", _ expiresAt: Double?)
        async throws
    {
        let actor = try find(name, project)
        try await locks.withLock(actor.id) { try await actor.setExpiry(snapshot, expiresAt) }
    }

    public func deleteSnapshot(_ name: String, _ snapshot: String, project: String = "default") async throws {
        let actor = try find(name, project)
        try await locks.withLock(actor.id) { try await actor.removeSnapshot(snapshot) }
    }

    /// Brings the instance back to a snapshot. One that runs is stopped before and started after.
    ///
    /// - Parameter isStateful: it goes on from what it was doing then; `unsupported` if the snapshot does not hold that.
    public func restore(
        _ name: String, project: String = "default", from snapshot: String, isStateful: Bool = false
    ) async throws {
        let actor = try find(name, project)
        try await locks.withLock(actor.id) {
            let record = try await actor.snapshot(named: snapshot)
            if isStateful { try await actor.checkState(of: record) }
            let then = record.instance
            var wanted = await actor.record
            (wanted.config, wanted.devices, wanted.profiles) = (then.config, then.devices, then.profiles)
            try await allow(wanted)
            let ran: Bool = if case .running = await actor.lifecycle { true } else { false }
            if ran {
                // Its end is no reason to remove an ephemeral one.
                try await actor.stopForRestore()
            }
            try await actor.restore(snapshot, isStateful: isStateful)
            if ran || isStateful { try await actor.start(byUser: true) }
        }
    }
}

extension InstanceActor {
    /// Ends the run and nothing more: an ephemeral instance stays.
    func stopForRestore() async throws {
        let wasEphemeral = record.ephemeral
        record.ephemeral = false
        defer { record.ephemeral = wasEphemeral }
        try await stop(force: false, timeout: nil)
    }
}
