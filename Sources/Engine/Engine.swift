import StateStore
public import DriverKit
import Logging
import Model

/// The engine: what every door calls. It knows no technology and no protocol.
public struct Engine: Sendable {
    public let instances: InstanceService
    public let images: ImageService
    public let builds: BuildService
    public let networks: NetworkService
    public let volumes: VolumeService
    public let profiles: ProfileService
    public let pools: PoolService
    public let operations: OperationService
    public let settings: ServerSettings
    public let projects: ProjectService
    public let projectChanges: ProjectChanges
    public let profileChanges: ProfileChanges
    public let trust: TrustService
    public let warnings: WarningService
    public let backups: BackupService
    public let events: EventBus
    public let layout: HostLayout
    private let parts: EngineParts
    let scheduler: Scheduler
    private let standardNetwork: NetworkSpec

    /// - Parameter network: the network of the default profile, made if it is not there.
    public init(parts: EngineParts, network: NetworkSpec) {
        self.parts = parts
        standardNetwork = network
        events = parts.events
        layout = parts.layout
        operations = OperationService(events: parts.events)
        pools = PoolService(parts: parts)
        settings = ServerSettings(parts: parts)
        projects = ProjectService(parts: parts)
        warnings = WarningService(parts: parts)
        trust = TrustService(parts: parts, settings: settings, operations: operations, projects: projects)
        profiles = ProfileService(
            store: parts.store, events: parts.events, projects: projects, logger: parts.logger)
        networks = NetworkService(parts: parts)
        let files = BackupFiles(store: parts.store, folder: parts.layout.backups)
        volumes = VolumeService(
            store: parts.store, events: parts.events, pools: pools, filler: parts.filler,
            temporary: parts.layout.temporary, logger: parts.logger, backups: files)
        images = ImageService(parts: parts, pools: pools)
        builds = BuildService(parts: parts, images: images)
        instances = InstanceService(
            parts: parts,
            services: InstanceService.ServiceSet(
                profiles: profiles, networks: networks, volumes: volumes, images: images, pools: pools,
                projects: projects, warnings: warnings))
        projectChanges = ProjectChanges(
            projects: projects, instances: instances, profiles: profiles, volumes: volumes, trust: trust, parts: parts)
        profileChanges = ProfileChanges(
            profiles: profiles, instances: instances, projects: projects, networks: networks)
        backups = BackupService(
            parts: parts, files: files, instances: instances, volumes: volumes, pools: pools, projects: projects,
            settings: settings)
        scheduler = Scheduler(instances: instances, volumes: volumes, backups: backups, logger: parts.logger)
    }

    /// Takes over what an earlier daemon left, cleans up after a crash, and starts what should run.
    public func start() async throws {
        try await parts.source.recover()
        try await parts.imaging.builder?.recover()
        try await parts.snapshotter.recover()
        try await parts.folders.remove(layout.temporary)
        try Folders.make(layout)
        try await pools.load()
        try await settings.load()
        try await projects.load()
        try await trust.load()
        try await warnings.load()
        try await networks.load(standard: standardNetwork)
        try await profiles.load(network: standardNetwork.name)
        try await volumes.load()
        try await instances.load()
        try await projects.adopt(Set(await instances.list(project: nil).map(\.record.project)))
        try await backups.files.recover()
        await images.startUpkeep()
        await scheduler.start()
    }

    /// Ends the daemon's own work; instances go on.
    public func shutdown() async {
        await scheduler.stop()
        await operations.shutdown()
        await images.endUpkeep()
        await networks.shutdown()
    }

    /// What remote clients are shown; nil if the daemon takes none.
    public var serverCertificate: CertificateFacts? { parts.trust?.serverCertificate }

    /// What works on this host, part by part. What does not becomes a warning, and what works again ends one.
    public func check() async -> [HostCheck] {
        var checks: [HostCheck] = []
        for driver in parts.drivers { checks += await driver.check() }
        if let builder = parts.imaging.builder { checks.append(await builder.check()) }
        for check in parts.checks { checks += await check() }
        for check in checks {
            let kind = "Host check: \(check.name)"
            if check.level == .ok {
                await warnings.resolve(kind)
            } else {
                await warnings.raise(
                    kind, check.level == .error ? .high : .low, check.finding + (check.advice.map { " (\($0))" } ?? ""))
            }
        }
        return checks
    }
}
