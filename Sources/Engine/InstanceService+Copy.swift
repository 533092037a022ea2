import DriverKit
import Model
import StateStore

/// What a door asks the engine to copy.
public struct CopyRequest: Sendable {
    /// The instance to copy and its project.
    public var source: String
    public var sourceProject: String
    /// A snapshot of it to copy instead of its present.
    public var snapshot: String?
    /// Of the copy; nil: the engine chooses a free one.
    public var name: String?
    public var project: String
    /// nil: the source's.
    public var description: String?
    /// Merged over the source's; keys that Isle keeps itself are made anew.
    public var config: [String: String]
    public var devices: [String: [String: String]]
    /// nil: the source's.
    public var profiles: [String]?
    public var ephemeral: Bool
    /// Leave the snapshots out.
    public var instanceOnly: Bool
    /// Bring an existing copy up to date: its files, and its snapshots.
    public var refresh: Bool

    public init(
        source: String, sourceProject: String = "default", snapshot: String? = nil, name: String? = nil,
        project: String = "default", description: String? = nil, config: [String: String] = [:],
        devices: [String: [String: String]] = [:], profiles: [String]? = nil, ephemeral: Bool = false,
        instanceOnly: Bool = false, refresh: Bool = false
    ) {
        self.source = source
        self.sourceProject = sourceProject
        self.snapshot = snapshot
        self.name = name
        self.project = project
        self.description = description
        self.config = config
        self.devices = devices
        self.profiles = profiles
        self.ephemeral = ephemeral
        self.instanceOnly = instanceOnly
        self.refresh = refresh
    }
}

extension InstanceService {
    /// Makes an instance with files and configuration of another. A running source stands still meanwhile.
    public func copy(_ request: CopyRequest) async throws -> InstanceView {
        if let name = request.name { try Names.checkInstance(name) }
        let source = try find(request.source, request.sourceProject)
        if request.refresh, let name = request.name, let target = try? find(name, request.project) {
            return try await refresh(target, from: source, request)
        }
        return try await locks.withLock(source.id) {
            let origin = try await origin(source, request)
            var record = try await recordOfCopy(origin.record, request)
            record.pool = try await choosePool(record)
            let snapshots = request.instanceOnly || request.snapshot != nil ? [] : await source.snapshots
            return try await insert(record) { actor in
                try await self.copyFiles(origin, snapshots: snapshots, to: actor)
            }
        }
    }

    /// What is copied: the instance itself or a snapshot.
    private struct Origin: Sendable {
        var actor: InstanceActor
        var root: RootName
        var record: InstanceRecord
        /// Where the files are.
        var pool: String
    }

    private func origin(_ source: InstanceActor, _ request: CopyRequest) async throws -> Origin {
        let record = await source.record
        let pool = record.pool ?? PoolRecord.standard
        guard let name = request.snapshot else {
            return Origin(actor: source, root: .instance(source.id), record: record, pool: pool)
        }
        let snapshot = try await source.snapshot(named: name)
        return Origin(actor: source, root: .snapshot(snapshot.id), record: snapshot.instance, pool: pool)
    }

    private func recordOfCopy(_ source: InstanceRecord, _ request: CopyRequest) async throws -> InstanceRecord {
        let kept = source.config.filter { !$0.key.hasPrefix("volatile.") }
        let config = kept.merging(request.config) { $1 }
        let devices = source.devices.merging(request.devices) { $1 }
        try OptionCatalog.check(config, kind: source.kind)
        _ = try Devices(devices)
        let profiles = request.profiles ?? source.profiles
        for profile in profiles { _ = try await services.profiles.get(profile, project: request.project) }
        var record = InstanceRecord(
            id: .random(), project: request.project, name: request.name ?? freeName(request.project),
            kind: source.kind, architecture: source.architecture,
            description: request.description ?? source.description, config: config, devices: devices,
            profiles: profiles, ephemeral: request.ephemeral, image: source.image,
            imageReference: source.imageReference, createdAt: Clock.now)
        record.templatesDue = "copy"
        let merged = MergedConfig(
            record, profiles: await services.profiles.find(profiles, project: record.project))
        for nic in try Devices(merged.devices).nics where nic.direct == nil {
            _ = try await services.networks.get(nic.network)
        }
        return record
    }

    /// The files of a new instance, from those of another.
    private func copyFiles(_ origin: Origin, snapshots: [SnapshotRecord], to actor: InstanceActor) async throws {
        let record = await actor.record
        guard record.kind != .module else { return }
        try origin.actor.metadataFolder.copy(to: actor.metadataFolder)
        var copies: [SnapshotRecord] = []
        var roots: [(source: RootName, copy: RootName)] = []
        for snapshot in snapshots {
            var instance = snapshot.instance
            (instance.name, instance.project, instance.pool) = (record.name, record.project, record.pool)
            instance.hasSavedState = nil
            let copy = SnapshotRecord(
                id: .random(), name: snapshot.name, instance: instance.with(id: record.id),
                createdAt: snapshot.createdAt, expiresAt: snapshot.expiresAt)
            copies.append(copy)
            roots.append((.snapshot(snapshot.id), .snapshot(copy.id)))
        }
        let own: (source: RootName, copy: RootName) = (origin.root, .instance(record.id))
        let from = try await services.pools.pool(origin.pool)
        let to = try await services.pools.pool(of: record)
        do {
            if origin.pool == record.pool ?? PoolRecord.standard {
                for root in roots { try await from.clone(root.source, to: root.copy, isBusy: false) }
                try await origin.actor.whileCopied(origin.root) { isBusy in
                    try await from.clone(own.source, to: own.copy, isBusy: isBusy)
                }
            } else {
                try await origin.actor.whileCopied(origin.root) { _ in
                    try await to.adopt(roots + [own], from: from)
                }
            }
            for copy in copies { try await parts.store.save(copy) }
        } catch {
            // The instance's own files go with it; these are not known to it yet.
            for root in roots { try await to.discard(root.copy) }
            throw error
        }
        await actor.take(copies)
        try await actor.limitRoot()
    }

    /// Brings `target`, which does not run, up to date with `source`: its files, and snapshots by name and time.
    private func refresh(_ target: InstanceActor, from source: InstanceActor, _ request: CopyRequest) async throws
        -> InstanceView
    {
        guard target.id != source.id else {
            throw EngineError(.invalidArgument, "instance \(Names.quoted(request.source)) cannot be copied to itself")
        }
        // In a fixed order, so that two refreshes in opposite directions do not wait for each other.
        let ids = [target.id, source.id].sorted { $0.raw < $1.raw }
        return try await locks.withLock(ids[0]) {
            try await locks.withLock(ids[1]) {
                let origin = try await origin(source, request)
                try await target.refreshFiles(
                    from: origin.root, of: source, snapshots: request.instanceOnly ? nil : await source.snapshots)
                return await target.view(withUsage: false)
            }
        }
    }

    /// The pool of a new instance: what its root disk says, else the standard one (nil).
    func choosePool(_ record: InstanceRecord) async throws -> String? {
        let merged = MergedConfig(
            record, profiles: await services.profiles.find(record.profiles, project: record.project))
        guard let name = try Devices(merged.devices).rootPool else { return nil }
        _ = try await services.pools.pool(name)
        return name == PoolRecord.standard ? nil : name
    }
}

extension InstanceActor {
    /// Runs `body` while nothing writes to `root`, which is this instance's or a snapshot of it.
    func whileCopied(_ root: RootName, _ body: (_ isBusy: Bool) async throws -> Void) async throws {
        guard case .instance = root else { return try await body(false) }
        try await whileStill(body)
    }

    /// Bounds what the instance may write to its root, if its root disk says so.
    func limitRoot(changed: Bool = false) async throws {
        guard record.kind == .application || record.kind == .system else { return }
        let size = try Devices(await merged().devices).rootSize
        guard size != nil || changed else { return }
        try await services.pools.pool(of: record).limit(id, bytes: size)
    }

    func take(_ copies: [SnapshotRecord]) { snapshots += copies }

    /// Replaces this instance's files by those of another's root, and brings its snapshots up to date.
    func refreshFiles(from root: RootName, of source: InstanceActor, snapshots wanted: [SnapshotRecord]?) async throws {
        guard case .stopped = lifecycle else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running", hint: "stop it before refreshing it")
        }
        let theirs = await source.record
        guard theirs.kind == record.kind, theirs.image == record.image else {
            throw EngineError(
                .conflict,
                "instance \(Names.quoted(record.name)) is no copy of \(Names.quoted(theirs.name)): its image is another",
                hint: "delete it and copy again")
        }
        guard record.kind != .module else { return }
        await closeRestingFiles()
        let from = try await services.pools.pool(of: theirs)
        let to = try await services.pools.pool(of: record)
        let isSamePool = theirs.pool == record.pool
        if let wanted {
            for old in snapshots where !wanted.contains(where: { $0.name == old.name && $0.createdAt == old.createdAt })
            {
                try await removeSnapshot(old.name)
            }
            for new in wanted where !snapshots.contains(where: { $0.name == new.name }) {
                var instance = new.instance
                (instance.name, instance.project, instance.pool) = (record.name, record.project, record.pool)
                instance.hasSavedState = nil
                let copy = SnapshotRecord(
                    id: .random(), name: new.name, instance: instance.with(id: id), createdAt: new.createdAt,
                    expiresAt: new.expiresAt)
                let entry = try await parts.store.begin(id, step: "snapshot", detail: copy.id.raw)
                if isSamePool {
                    try await from.clone(.snapshot(new.id), to: .snapshot(copy.id), isBusy: false)
                } else {
                    try await to.adopt([(.snapshot(new.id), .snapshot(copy.id))], from: from)
                }
                try await parts.store.save(copy)
                try await parts.store.finish(entry)
                snapshots.append(copy)
            }
        }
        // By way of a snapshot that nobody sees, so that at each moment the old or the new files are there.
        let between = InstanceID.random()
        let entry = try await parts.store.begin(id, step: "refresh", detail: between.raw)
        try await source.whileCopied(root) { isBusy in
            if isSamePool {
                try await from.clone(root, to: .snapshot(between), isBusy: isBusy)
            } else {
                try await to.adopt([(root, .snapshot(between))], from: from)
            }
        }
        try await finishRefresh(from: between)
        try await parts.store.finish(entry)
        lifecycleEvent("instance-updated")
    }

    /// Takes over the files of the snapshot `between` and removes it; nothing if it is not there. May be repeated.
    func finishRefresh(from between: InstanceID) async throws {
        let pool = try await services.pools.pool(of: record)
        do {
            try await pool.restore(id, from: between)
        } catch let error as EngineError where error.code == .notFound {
            return
        }
        try await pool.discard(.snapshot(between))
    }
}
