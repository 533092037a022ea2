import DriverKit
import Logging
import Model
import StateStore

// Points in time of one instance. Called under the instance's lock.
extension InstanceActor {
    func snapshot(named name: String) throws -> SnapshotRecord {
        guard let snapshot = snapshots.first(where: { $0.name == name }) else {
            throw EngineError(
                .notFound, "instance \(Names.quoted(record.name)) has no snapshot \(Names.quoted(name))",
                hint: "isle snapshot list \(record.name) shows those that it has",
                resource: "snapshot \(record.name)/\(name)")
        }
        return snapshot
    }

    /// Keeps the instance as it is now. While it runs its processes stand still for the time of this.
    ///
    /// - Parameter isStateful: with what it is doing, so that a restore may go on from there.
    func makeSnapshot(name: String, expiresAt: Double?, isStateful: Bool = false) async throws -> SnapshotRecord {
        try refuseDeleted()
        try refuseTakenSnapshot(name)
        var snapshot = SnapshotRecord(
            id: .random(), name: name, instance: record, createdAt: Clock.now, expiresAt: expiresAt)
        // What the last stop kept is not part of it.
        snapshot.instance.hasSavedState = isStateful ? true : nil
        let made = snapshot
        try await keep(made, isStateful: isStateful)
        snapshots.append(made)
        snapshotEvent("instance-snapshot-created", name)
        return made
    }

    private func keep(_ snapshot: SnapshotRecord, isStateful: Bool) async throws {
        try await withReverter { reverter in
            let store = parts.store
            let entry = try await store.begin(id, step: "snapshot", detail: snapshot.id.raw)
            reverter.onFailure("closing the journal") { try await store.finish(entry) }
            if record.kind != .module {
                let pool = try await services.pools.pool(of: record)
                reverter.onFailure("removing the snapshot's files") { try await pool.discard(.snapshot(snapshot.id)) }
                let state = snapshotStatePath(snapshot.id)
                if isStateful {
                    let folders = parts.folders
                    reverter.onFailure("removing the snapshot's state") { try await folders.remove(state) }
                }
                try await whileStill(savingTo: isStateful ? state : nil) { isBusy in
                    try await pool.clone(.instance(self.id), to: .snapshot(snapshot.id), isBusy: isBusy)
                }
            }
            try await store.save(snapshot)
            try await store.finish(entry)
        }
    }

    func removeSnapshot(_ name: String) async throws {
        let snapshot = try snapshot(named: name)
        let entry = try await parts.store.begin(id, step: "snapshot-delete", detail: snapshot.id.raw)
        try await dropSnapshot(snapshot.id)
        try await parts.store.finish(entry)
        snapshotEvent("instance-snapshot-deleted", name)
    }

    /// Removes files and record of a snapshot, whatever is left of it.
    func dropSnapshot(_ snapshot: InstanceID) async throws {
        if record.kind != .module {
            try await services.pools.pool(of: record).discard(.snapshot(snapshot))
        }
        try await parts.folders.remove(snapshotStatePath(snapshot))
        try await parts.store.deleteSnapshot(snapshot)
        snapshots.removeAll { $0.id == snapshot }
    }

    func renameSnapshot(_ name: String, to newName: String) async throws {
        var snapshot = try snapshot(named: name)
        guard name != newName else { return }
        try refuseTakenSnapshot(newName)
        snapshot.name = newName
        try await replace(snapshot)
        parts.events.lifecycle(
            "instance-snapshot-renamed", "/1.0/instances/\(record.name)/snapshots/\(newName)",
            project: record.project, ["old_name": .string(name)])
    }

    func setExpiry(_ name: String, _ expiresAt: Double?) async throws {
        var snapshot = try snapshot(named: name)
        snapshot.expiresAt = expiresAt
        try await replace(snapshot)
        snapshotEvent("instance-snapshot-updated", name)
    }

    /// Makes the instance, which does not run, what it was. Its own name and what Isle keeps about it stay.
    ///
    /// - Parameter isStateful: its next start goes on from what it was doing then.
    func restore(_ name: String, isStateful: Bool = false) async throws {
        try refuseDeleted()
        let snapshot = try snapshot(named: name)
        if case .prepared(let run) = lifecycle { await discard(run) }
        guard case .stopped = lifecycle else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running", hint: "stop it before restoring it")
        }
        await closeRestingFiles()
        let entry = try await parts.store.begin(id, step: "restore", detail: snapshot.id.raw)
        try await bringBack(snapshot)
        if isStateful { try await bringBackState(of: snapshot) }
        try await parts.store.finish(entry)
        parts.events.lifecycle(
            "instance-restored", "/1.0/instances/\(record.name)", project: record.project,
            ["snapshot": .string(name)])
    }

    /// What a restore does; may be repeated after a crash in it.
    func bringBack(_ snapshot: SnapshotRecord) async throws {
        // Memory that a stop kept fits no other disks.
        record.hasSavedState = nil
        if record.kind != .module {
            try await services.pools.pool(of: record).restore(id, from: snapshot.id)
        }
        let volatile = record.config.filter { $0.key.hasPrefix("volatile.") }
        let then = snapshot.instance
        record.config = then.config.filter { !$0.key.hasPrefix("volatile.") }.merging(volatile) { $1 }
        (record.devices, record.profiles, record.description) = (then.devices, then.profiles, then.description)
        (record.ephemeral, record.image, record.imageReference) = (then.ephemeral, then.image, then.imageReference)
        try await save()
    }

    /// Runs `body` while nothing of the instance writes; it learns whether its files are in use all the same.
    ///
    /// - Parameter path: a file that gets what it is doing, as of the same moment.
    func whileStill(savingTo path: String? = nil, _ body: (_ isBusy: Bool) async throws -> Void) async throws {
        switch lifecycle {
        // Files that somebody looks into while it rests are mounted.
        case .deleted, .stopped: return try await body(restingFiles != nil)
        case .prepared: return try await body(true)
        case .starting, .stopping:
            throw EngineError(.busy, "instance \(Names.quoted(record.name)) is starting or stopping", hint: "try again")
        case .running(let run):
            guard let facet = run.handle.pause else {
                throw EngineError(
                    .unsupported, "a running \(record.kind.rawValue) cannot be held still on this host",
                    hint: "stop it first")
            }
            let wasPaused = try await facet.isPaused
            if let path {
                guard let state = run.handle.state else {
                    throw EngineError(
                        .unsupported,
                        "the memory of instance \(Names.quoted(record.name)) cannot be kept: only that of machines can",
                        hint: "make one without --stateful")
                }
                try await state.save(to: path)
                // A paused machine is left as a save leaves it: resuming it goes on.
                if wasPaused { return try await body(true) }
            } else {
                if wasPaused { return try await body(true) }
                try await facet.pause()
            }
            do {
                try await body(true)
            } catch {
                try await facet.resume()
                throw error
            }
            try await facet.resume()
        }
    }

    private func replace(_ snapshot: SnapshotRecord) async throws {
        try await parts.store.save(snapshot)
        if let index = snapshots.firstIndex(where: { $0.id == snapshot.id }) { snapshots[index] = snapshot }
    }

    private func refuseDeleted() throws {
        guard case .deleted = lifecycle else { return }
        throw EngineError(
            .notFound, "instance \(Names.quoted(record.name)) was deleted", resource: "instance \(record.name)")
    }

    private func refuseTakenSnapshot(_ name: String) throws {
        guard !snapshots.contains(where: { $0.name == name }) else {
            throw EngineError(
                .alreadyExists, "instance \(Names.quoted(record.name)) has a snapshot \(Names.quoted(name)) already",
                hint: "choose another name or delete it first", resource: "snapshot \(record.name)/\(name)")
        }
    }

    private func snapshotEvent(_ action: String, _ name: String) {
        parts.events.lifecycle(
            action, "/1.0/instances/\(record.name)/snapshots/\(name)", project: record.project)
    }
}
