import DriverKit
import Logging
import Model
import StateStore

extension InstanceService {
    /// Gives an instance, which does not run, another name, pool or project; its snapshots go along.
    ///
    /// - Parameters:
    ///   - newName, newProject, pool: nil: as it is.
    public func move(
        _ name: String, project: String = "default", to newName: String?, project newProject: String? = nil,
        pool: String? = nil
    ) async throws {
        let actor = try find(name, project)
        let (targetName, targetProject) = (newName ?? name, newProject ?? project)
        try Names.checkInstance(targetName)
        let isRenamed = targetName != name || targetProject != project
        if isRenamed { try claim(targetName, targetProject, for: actor.id) }
        do {
            try await locks.withLock(actor.id) {
                if let newProject, newProject != project {
                    for profile in await actor.record.profiles {
                        _ = try await services.profiles.get(profile, project: newProject)
                    }
                    var wanted = await actor.record
                    wanted.project = newProject
                    try await allow(wanted)
                }
                if let pool { try await actor.move(to: pool) }
                if isRenamed { try await actor.rename(from: name, to: targetName, project: targetProject) }
            }
            if isRenamed { unclaim(name, project) }
        } catch {
            if isRenamed { unclaim(targetName, targetProject) }
            throw error
        }
    }
}

extension InstanceActor {
    /// Copies files and snapshots to another pool, then removes them from where they were.
    func move(to name: String) async throws {
        let old = record.pool ?? PoolRecord.standard
        guard old != name else { return }
        if case .prepared(let run) = lifecycle { await discard(run) }
        guard case .stopped = lifecycle else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running",
                hint: "stop it before moving it to another pool", resource: "instance \(record.name)")
        }
        await closeRestingFiles()
        let (from, to) = (try await services.pools.pool(old), try await services.pools.pool(name))
        let entry = try await parts.store.begin(id, step: "move", detail: "\(old) \(name)")
        let before = record
        do {
            if record.kind != .module { try await to.adopt(roots.map { ($0, $0) }, from: from) }
            record.pool = name == PoolRecord.standard ? nil : name
            // The root disk says where the instance is, as with LXD.
            let root = await merged().devices.first { $0.value["type"] == "disk" && $0.value["path"] == "/" }
            var device = root?.value ?? ["type": "disk", "path": "/"]
            device["pool"] = name
            record.devices[root?.key ?? "root"] = device
            try await save()
        } catch {
            record = before
            for root in roots { try await to.discard(root) }
            try await parts.store.finish(entry)
            throw error
        }
        if record.kind != .module { for root in roots { try await from.discard(root) } }
        try await parts.store.finish(entry)
        lifecycleEvent("instance-updated")
    }

    /// Ends a move that a crash cut short: the record says where the instance is, and what is elsewhere goes.
    func settleMove(_ detail: String) async throws {
        let words = detail.split(separator: " ").map(String.init)
        guard words.count == 2, record.kind != .module else { return }
        let here = record.pool ?? PoolRecord.standard
        for name in words where name != here {
            let pool = try await services.pools.pool(name)
            for root in roots { try await pool.discard(root) }
        }
    }

    private var roots: [RootName] { snapshots.map { .snapshot($0.id) } + [.instance(id)] }
}
