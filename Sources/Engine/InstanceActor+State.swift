import DriverKit
import Glibc
import Logging
import Model

// Stopping with what the instance was doing kept in a file, and starting from it.
extension InstanceActor {
    /// The file of the state that the record says is kept.
    var savedStatePath: String { parts.layout.state(of: id) + "/memory.state" }

    /// What the instance was doing when the snapshot was made; not there for most.
    func snapshotStatePath(_ snapshot: InstanceID) -> String {
        parts.layout.state(of: id) + "/memory-\(snapshot.raw).state"
    }

    /// `unsupported` if the snapshot has no state.
    func checkState(of snapshot: SnapshotRecord) throws {
        guard snapshot.instance.hasSavedState == true, access(snapshotStatePath(snapshot.id), F_OK) == 0 else {
            throw EngineError(
                .unsupported, "snapshot \(Names.quoted(snapshot.name)) holds no memory to restore",
                hint: "restore it without --stateful")
        }
    }

    /// Lets the next start go on from where the snapshot was made. The file is the same one, which nobody writes to.
    func bringBackState(of snapshot: SnapshotRecord) async throws {
        try checkState(of: snapshot)
        try await parts.folders.remove(savedStatePath)
        guard link(snapshotStatePath(snapshot.id), savedStatePath) == 0 else {
            throw EngineError(
                .internal, "the state of snapshot \(Names.quoted(snapshot.name)) cannot be linked: \(errno)")
        }
        record.hasSavedState = true
        try await save()
    }

    /// Ends the instance so that the next start goes on where it was.
    ///
    /// The record says so only once the run has ended: when the daemon dies before that, what is in the file counts for
    /// nothing, and the next start boots.
    func stopKeepingState() async throws {
        guard case .running(let run) = lifecycle else { throw notRunning("keep the state of") }
        guard let facet = run.handle.state else {
            throw EngineError(
                .unsupported,
                "instance \(Names.quoted(record.name)) cannot be stopped with its state: it is a \(record.kind.rawValue)",
                hint: "stop it without --stateful")
        }
        try await parts.folders.remove(savedStatePath)
        try await facet.save(to: savedStatePath)
        let wasEphemeral = record.ephemeral
        // Its end is not the end of what it was doing.
        record.ephemeral = false
        defer { record.ephemeral = wasEphemeral }
        try await stop(force: true, timeout: nil)
        record.hasSavedState = true
        record.ephemeral = wasEphemeral
        try await save()
    }

    /// Forgets the kept state, so that the next start boots.
    func discardState() async throws {
        guard record.hasSavedState == true else { return }
        if case .prepared(let run) = lifecycle { await discard(run) }
        record.hasSavedState = nil
        try await save()
        try await parts.folders.remove(savedStatePath)
    }

    /// Runs a prepared instance. A kept state is used up before: it fits the disks only as long as nothing has run since.
    func startProcess(of handle: any InstanceHandle) async throws {
        guard record.hasSavedState == true else { return try await handle.start() }
        record.hasSavedState = nil
        try await save()
        do {
            try await handle.start()
        } catch {
            record.hasSavedState = true
            try await save()
            guard let failure = error as? EngineError else { throw error }
            throw EngineError(
                failure.code, failure.message,
                hint: failure.hint ?? "isle start --stateless \(record.name) boots it anew",
                resource: failure.resource, cause: failure.cause)
        }
        do { try await parts.folders.remove(savedStatePath) } catch {
            logger.warning("the used state was not removed", metadata: ["error": "\(error)"])
        }
    }
}
