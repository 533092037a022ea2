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
        /// Nil while they could not be read, of a run that outlived the last daemon.
        var endpoints: [NetworkEndpoint]?
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
    /// What the user is told of the start that is prepared.
    var startNotices: [String] = []
    /// Tests the health of the present run.
    var healthTask: Task<Void, Never>?
    /// It could not be found out whether it runs: what it has on the host is left alone until it is started or removed.
    var isUncertain = false
    /// Oldest first.
    var snapshots: [SnapshotRecord] = []
    /// The files of an instance that does not run, while somebody uses them.
    var restingFiles: (tree: any FileTree, users: Int)?

    init(
        record: InstanceRecord, parts: EngineParts, services: InstanceServices, snapshots: [SnapshotRecord] = []
    ) {
        id = record.id
        self.snapshots = snapshots
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

    /// - Parameter reservations: what `NetworkService.reservations` gave, for a caller that asks for many.
    func view(withUsage: Bool, reservations: [InstanceID: [AddressReservation]]? = nil) async -> InstanceView {
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
            let isPaused = await shown("whether it is paused") { try await run.handle.pause?.isPaused }
            status = isPaused == true ? .frozen : .running
            pid = await run.handle.pid
            startedAt = run.startedAt
            if withUsage { usage = await shown("its usage") { try await run.handle.usage?.usage() } }
        }
        var endpoints = run?.endpoints
        if endpoints == nil {
            endpoints = await shown("its addresses") {
                try await services.networks.reserved(record, merged, known: reservations)
            }
        }
        return InstanceView(
            record: record, expanded: merged, status: status, pid: pid, startedAt: startedAt, restarts: restarts,
            endpoints: endpoints ?? [], usage: usage,
            memoryLimit: await shown("its limits") { try merged.limits(hostMemory: parts.hostMemory).memory },
            snapshots: snapshots, health: status == .running || status == .frozen ? record.health : nil)
    }

    /// A part of a view, which is shown without it when it cannot be read; that is logged.
    private func shown<Part>(_ what: String, _ read: () async throws -> Part?) async -> Part? {
        do { return try await read() } catch {
            logger.warning("\(what) cannot be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    func save() async throws { try await parts.store.update(record) }

    func lifecycleEvent(_ action: String, _ context: [String: Metadata] = [:]) {
        parts.events.lifecycle(
            action, "/1.0/instances/\(record.name)", project: record.project,
            context.merging(["kind": .string(record.kind.rawValue), "id": .string(record.id.raw)]) { $1 })
    }
}

/// What instances need of the engine's other services.
struct InstanceServices: Sendable {
    let profiles: ProfileService
    let networks: NetworkService
    let volumes: VolumeService
    let images: ImageService
    let pools: PoolService
    /// Called when an ephemeral instance has ended, or to bring one back by its restart policy.
    let ended: @Sendable (InstanceID) async -> Void
    let restart: @Sendable (InstanceID) async -> Void
    /// Called when an instance has become unhealthy and something is to be done about it.
    let unhealthy: @Sendable (InstanceID, HealthPlan.Action) async -> Void
    /// A running instance, by name and project, whose namespaces another one wants to live in.
    let join: @Sendable (String, String) async throws -> JoinedInstance
    /// The merged configuration of an instance, by name and project.
    let config: @Sendable (String, String) async throws -> [String: String]
    /// Throws unless the instance's project allows it to be as the record says.
    let allow: @Sendable (InstanceRecord) async throws -> Void
}
