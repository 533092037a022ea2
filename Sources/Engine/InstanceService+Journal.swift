import DriverKit
import Logging
import Model
import StateStore

// Changes of instances that a crash cut short.
extension InstanceService {
    /// Finishes or undoes a change that a crash cut short.
    ///
    /// - Parameter unreadable: ids of instances whose record cannot be read: their entries stay until it can.
    func settleJournal(_ entry: JournalEntry, _ unreadable: [String]) async {
        guard !unreadable.contains(entry.instance) else { return }
        do {
            if let id = InstanceID(entry.instance), let actor = actors[id] {
                switch entry.step {
                case "create", "delete":
                    parts.logger.notice("finishing a removal that was cut short", metadata: ["instance": "\(id)"])
                    try await actor.endLeftover()
                    try await actor.removeFiles()
                    if entry.step == "create" || entry.detail == "volumes" { try await deleteVolumes(of: id) }
                    try await parts.store.deleteInstance(id)
                    let record = await actor.record
                    actors[id] = nil
                    unclaim(record.name, record.project)
                case "rebuild": try await actor.makeFilesAnew()
                default: try await settleSnapshot(entry, of: actor)
                }
            }
            try await parts.store.finish(entry.sequence)
        } catch {
            parts.logger.error(
                "a change that was cut short cannot be settled",
                metadata: ["step": "\(entry.step)", "instance": "\(entry.instance)", "error": "\(error)"])
        }
    }

    /// Finishes or undoes a snapshot, restore, refresh or move that a crash cut short.
    private func settleSnapshot(_ entry: JournalEntry, of actor: InstanceActor) async throws {
        if entry.step == "move" { return try await actor.settleMove(entry.detail) }
        guard let id = InstanceID(entry.detail) else { return }
        switch entry.step {
        case "snapshot":
            // The record is written last: with it the snapshot is whole, even if it cannot be read.
            guard try await !parts.store.snapshots().unreadable.contains(id.raw) else { return }
            if await !actor.snapshots.contains(where: { $0.id == id }) { try await actor.dropSnapshot(id) }
        case "refresh":
            // What is between is whole or not there; the instance may have lost its old files to it already.
            try await actor.finishRefresh(from: id)
        case "import":
            let pool = try await services.pools.pool(of: await actor.record)
            try await pool.discard(.instance(id))
            guard try await !parts.store.snapshots().unreadable.contains(id.raw) else { return }
            if await !actor.snapshots.contains(where: { $0.id == id }) { try await pool.discard(.snapshot(id)) }
        case "snapshot-delete": try await actor.dropSnapshot(id)
        case "restore":
            guard let snapshot = await actor.snapshots.first(where: { $0.id == id }) else { return }
            parts.logger.notice("finishing a restore that was cut short", metadata: ["instance": "\(actor.id)"])
            try await actor.bringBack(snapshot)
        default: return
        }
    }
}
