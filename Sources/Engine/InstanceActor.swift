import StateStore
import DriverKit
import Logging
import Model

/// One instance: its record and, while it has processes, its live handle. Everything that changes it goes through
/// here; multi-step changes are called under the instance's lock (`InstanceService`), so they never overlap.
actor InstanceActor {
    /// One life from `prepare` to the end.
    struct Run: Sendable {
        let number: Int
        let handle: any InstanceHandle
        let endpoints: [NetworkEndpoint]
        /// Seconds since 1970; 0 until it is started.
        var startedAt: Double
        /// Ends when the run has ended and everything of it is cleaned up.
        var watcher: Task<ExitRecord, any Error>?
        var stopSignal: String?
    }

    enum Lifecycle {
        case stopped
        /// Namespaces, network and shim are there; nothing of the user's runs. Clients may be attached.
        case prepared(Run)
        case starting
        case running(Run)
        case stopping(Run)
        case deleted
    }

    let id: InstanceID
    let parts: EngineParts
    let services: InstanceServices
    var record: InstanceRecord
    var lifecycle: Lifecycle = .stopped
    var runNumber = 0
    var restarts = 0
    var restartTask: Task<Void, Never>?
    var lastError: String?

    init(record: InstanceRecord, parts: EngineParts, services: InstanceServices) {
        id = record.id
        self.record = record
        self.parts = parts
        self.services = services
    }

    var logger: Logger {
        var logger = parts.logger
        logger[metadataKey: "instance"] = "\(record.name)"
        logger[metadataKey: "id"] = "\(id.raw)"
        return logger
    }

    var run: Run? {
        switch lifecycle {
        case .prepared(let run), .running(let run), .stopping(let run): run
        case .stopped, .starting, .deleted: nil
        }
    }

    /// The live handle, or `conflict` naming what was refused.
    func handle(for request: String) throws -> any InstanceHandle {
        guard case .running(let run) = lifecycle else { throw notRunning(request) }
        return run.handle
    }

    func notRunning(_ request: String) -> EngineError {
        EngineError(
            .conflict, "cannot \(request): instance \(Names.quoted(record.name)) is not running",
            hint: "isle start \(record.name)", resource: "instance \(record.name)")
    }

    func merged() async -> MergedConfig {
        MergedConfig(record, profiles: await services.profiles.find(record.profiles, project: record.project))
    }

    func view(withUsage: Bool) async -> InstanceView {
        let merged = await merged()
        var status = InstanceStatus.stopped
        var pid: Int32?
        var startedAt: Double?
        var usage: Usage?
        switch lifecycle {
        case .stopped, .prepared, .deleted: status = .stopped
        case .starting: status = .starting
        case .stopping: status = .stopping
        case .running(let run):
            status = (try? await run.handle.pause?.isPaused) == true ? .frozen : .running
            pid = await run.handle.pid
            startedAt = run.startedAt
            if withUsage { usage = try? await run.handle.usage?.usage() }
        }
        let endpoints: [NetworkEndpoint]
        if let run { endpoints = run.endpoints } else { endpoints = await services.networks.reserved(record, merged) }
        return InstanceView(
            record: record, expanded: merged, status: status, pid: pid, startedAt: startedAt, restarts: restarts,
            endpoints: endpoints, usage: usage)
    }

    func save() async throws { try await parts.store.update(record) }

    func lifecycleEvent(_ action: String, _ context: [String: Metadata] = [:]) {
        parts.events.lifecycle(
            action, "/1.0/instances/\(record.name)", project: record.project,
            context.merging(["kind": .string(record.kind.rawValue)]) { $1 })
    }
}

/// What instances need of the engine's other services.
struct InstanceServices: Sendable {
    let profiles: ProfileService
    let networks: NetworkService
    let volumes: VolumeService
    let images: ImageService
    /// Called when an ephemeral instance has ended, or to bring one back by its restart policy.
    let ended: @Sendable (InstanceID) async -> Void
    let restart: @Sendable (InstanceID) async -> Void
}
