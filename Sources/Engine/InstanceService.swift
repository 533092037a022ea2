public import DriverKit
import Glibc
import Logging
public import Model
import StateStore

/// Every instance of the daemon, by name. Multi-step changes of one instance never overlap; different instances
/// change in parallel.
public actor InstanceService {
    let parts: EngineParts
    let services: ServiceSet
    let locks = KeyedLock<InstanceID>()
    var actors: [InstanceID: InstanceActor] = [:]
    private var names: [String: InstanceID] = [:]
    /// Removals of ephemeral instances that are under way.
    private var removals: [InstanceID: Task<Void, Never>] = [:]

    struct ServiceSet: Sendable {
        let profiles: ProfileService
        let networks: NetworkService
        let volumes: VolumeService
        let images: ImageService
        let pools: PoolService
        let projects: ProjectService
        let warnings: WarningService
    }

    init(parts: EngineParts, services: ServiceSet) {
        self.parts = parts
        self.services = services
    }

    // MARK: looking

    /// - Parameter withUsage: also read what each uses now.
    /// - Parameter project: nil for all that the requestor may use.
    public func list(project: String? = "default", withUsage: Bool = false) async -> [InstanceView] {
        let wanted = names.filter { entry in
            let owner = String(entry.key.prefix { $0 != "/" })
            return (project == nil || owner == project) && Requestor.mayUse(owner)
        }.sorted { $0.key < $1.key }.compactMap { actors[$0.value] }
        // Read once for all; if that fails, each of them says so.
        let reservations = try? await services.networks.reservations()
        // In a few parts at the same time: figures come from files of the kernel, which takes its time over each.
        // Small ones: those that run are often next to one another.
        let size = 8
        let views = await withTaskGroup(of: (Int, [InstanceView]).self) { group in
            for start in stride(from: 0, to: wanted.count, by: size) {
                group.addTask {
                    var views: [InstanceView] = []
                    for actor in wanted[start..<min(start + size, wanted.count)] {
                        views.append(await actor.view(withUsage: withUsage, reservations: reservations))
                    }
                    return (start, views)
                }
            }
            var parts: [(Int, [InstanceView])] = []
            for await part in group { parts.append(part) }
            return parts.sorted { $0.0 < $1.0 }.flatMap { $0.1 }
        }
        return withUsage ? await detailed(views, inside: false) : views
    }

    public func get(_ name: String, project: String = "default", withUsage: Bool = false) async throws -> InstanceView {
        let view = try await find(name, project).view(withUsage: withUsage)
        return withUsage ? await detailed([view], inside: true)[0] : view
    }

    /// The instances of all projects for which `test` holds.
    public func views(where test: @Sendable (InstanceView) -> Bool) async -> [InstanceView] {
        await list(project: nil).filter(test)
    }

    /// The instances of all projects.
    func everything() async -> [InstanceView] {
        var views: [InstanceView] = []
        for actor in Array(actors.values) { views.append(await actor.view(withUsage: false)) }
        return views
    }

    /// Names of all instances of a project, in no order.
    public func names(in project: String) -> [String] {
        names.keys.filter { $0.hasPrefix(project + "/") }.map { String($0.dropFirst(project.count + 1)) }
    }

    func find(_ name: String, _ project: String) throws -> InstanceActor {
        try Requestor.check(project)
        guard let id = names[key(project, name)], let actor = actors[id] else {
            throw EngineError(
                .notFound, "instance \(Names.quoted(name)) does not exist", hint: "isle list shows those that do",
                resource: "instance \(name)")
        }
        return actor
    }

    // MARK: making and removing

    /// Makes an instance from an image; nothing of it runs.
    public func create(
        _ request: CreateRequest, progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) async throws -> InstanceView {
        if let name = request.name {
            try Names.checkInstance(name, request.naming)
            try refuseTaken(name, request.project)
        }
        _ = try await services.projects.get(request.project)
        try OptionCatalog.check(request.config, kind: request.kind)
        _ = try Devices(request.devices)
        try Self.checkProfiles(request.profiles)
        for profile in request.profiles { _ = try await services.profiles.get(profile, project: request.project) }
        guard let reference = request.image else {
            if request.isEmpty { return try await createEmpty(request) }
            throw EngineError(.invalidArgument, "no image was named", hint: "isle image list shows those that are here")
        }
        return try await services.images.withImage(
            reference, project: await services.projects.owner(of: .images, in: request.project), pull: request.pull,
            progress: progress
        ) { image in
            let view = try await self.create(request, from: image, reference: reference)
            await self.services.images.noteUse(of: image)
            return view
        }
    }

    /// Each once, as LXD wants them.
    static func checkProfiles(_ names: [String]) throws {
        guard let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) else { return }
        throw EngineError(.invalidArgument, "the profile \(Names.quoted(twice)) is named twice")
    }

    private func create(_ request: CreateRequest, from image: ImageRecord, reference: String) async throws
        -> InstanceView
    {
        let kind = try KindChoice.choose(asked: request.kind, image: image)
        try OptionCatalog.check(request.config, kind: kind)
        var record = InstanceRecord(
            id: request.id ?? .random(), project: request.project, name: request.name ?? freeName(request.project),
            kind: kind,
            architecture: image.architecture.isEmpty ? Host.architecture : image.architecture,
            description: request.description, config: request.config, devices: request.devices,
            profiles: request.profiles, ephemeral: request.ephemeral, image: image.digest,
            imageReference: reference.hasPrefix("content:") ? String(image.digest.dropFirst(7)) : reference,
            createdAt: Clock.now)
        record.annotations = request.annotations
        record.note(image)
        giveShell(&record, image)
        if kind == .system || kind == .application { record.templatesDue = "create" }
        let merged = MergedConfig(
            record, profiles: await services.profiles.find(record.profiles, project: record.project))
        let volumes = addImageVolumes(&record, image, more: request.volumes, merged: merged)
        try await checkPlan(record, image, made: Set(volumes.map(\.name)))
        record.pool = try await choosePool(record)
        return try await insert(record) { actor in
            try await self.services.images.makeRoot(
                for: await actor.record, image: image, merged: await actor.merged())
            try await self.takeTemplates(of: image, to: actor.id)
            try await actor.limitRoot()
            for volume in volumes { try await self.services.volumes.create(volume) }
        }
    }

    /// Takes a new instance in; `makeFiles` makes its root and its volumes. On an error nothing of it stays.
    func insert(_ record: InstanceRecord, makeFiles: (InstanceActor) async throws -> Void) async throws
        -> InstanceView
    {
        try await services.projects.withBounds(of: record.project) {
            try await allow(record)
            return try await insertAllowed(record, makeFiles: makeFiles)
        }
    }

    private func insertAllowed(_ record: InstanceRecord, makeFiles: (InstanceActor) async throws -> Void) async throws
        -> InstanceView
    {
        // The name is taken here before the first suspension, so that of two creates of one name the second fails.
        try refuseTaken(record.name, record.project)
        let actor = InstanceActor(record: record, parts: parts, services: actorServices)
        names[key(record.project, record.name)] = record.id
        do {
            try await withReverter { reverter in
                let store = parts.store
                let entry = try await store.begin(record.id, step: "create")
                reverter.onFailure("closing the journal") { try await store.finish(entry) }
                try await store.insert(record)
                let images = services.images
                let id = record.id
                reverter.onFailure("removing the record") { try await store.deleteInstance(id) }
                try makeFolders(record.id)
                reverter.onFailure("removing the files") { try await images.removeFiles(of: record) }
                reverter.onFailure("removing its volumes") { [self] in try await deleteVolumes(of: id) }
                try await makeFiles(actor)
                try await parts.store.finish(entry)
            }
        } catch {
            names[key(record.project, record.name)] = nil
            throw error
        }
        actors[record.id] = actor
        await actor.lifecycleEvent("instance-created")
        return await actor.view(withUsage: false)
    }

    /// Finds out now, with nothing changed, what would make every start fail.
    func checkPlan(_ record: InstanceRecord, _ image: ImageRecord?, made: Set<String> = []) async throws {
        let merged = MergedConfig(
            record, profiles: await services.profiles.find(record.profiles, project: record.project))
        let devices = try Devices(merged.devices)
        try devices.check(kind: record.kind)
        try await actorServices.checkNamed(devices, project: record.project, made: made)
        let builder = PlanBuilder(
            record: record, merged: merged, image: image, layout: parts.layout, hostMemory: parts.hostMemory)
        _ = try builder.process()
        _ = try parts.driver(for: record.kind)
    }

    private func makeFolders(_ id: InstanceID) throws {
        for path in [parts.layout.state(of: id), parts.layout.state(of: id) + "/logs"] {
            try Folders.make(path, mode: 0o711)
        }
    }

    /// - Parameters:
    ///   - force: also if it runs: it is killed.
    ///   - volumes: also those that were made for it because its image names them.
    public func delete(_ name: String, project: String = "default", force: Bool = false, volumes: Bool = false)
        async throws
    {
        let actor = try find(name, project)
        if force { await killNow(actor) }
        try await remove(actor, force: force, volumes: volumes)
    }

    /// Kills at once what runs, so that a forced removal does not wait behind a patient stop.
    private func killNow(_ actor: InstanceActor) async {
        guard let run = await actor.run else { return }
        do { try await run.handle.signal(9) } catch {
            parts.logger.debug("kill before removal", metadata: ["error": "\(error)"])
        }
    }

    private func remove(_ actor: InstanceActor, force: Bool, volumes: Bool) async throws {
        let id = actor.id
        var removal: (@Sendable () async throws -> Void)?
        if volumes { removal = { [weak self] in try await self?.deleteVolumes(of: id) } }
        try await locks.withLock(id) {
            try await actor.delete(force: force, volumes: removal)
            let record = await actor.record
            actors[actor.id] = nil
            if names[key(record.project, record.name)] == actor.id { names[key(record.project, record.name)] = nil }
        }
    }

    // MARK: running

    /// - Parameter keepingState: goes on from a state that the last stop kept, if it did; else that is forgotten.
    /// - Returns: what could only be done in a lesser way than was asked for, a sentence each, for the user.
    @discardableResult
    public func start(_ name: String, project: String = "default", keepingState: Bool = true) async throws -> [String] {
        let actor = try find(name, project)
        return try await locks.withLock(actor.id) {
            if !keepingState { try await actor.discardState() }
            return try await actor.start(byUser: true)
        }
    }

    /// Ends the instance so that its next start goes on where it was. `unsupported` where the kind cannot.
    public func stopKeepingState(_ name: String, project: String = "default") async throws {
        let actor = try find(name, project)
        try await locks.withLock(actor.id) { try await actor.stopKeepingState() }
    }

    /// - Parameters:
    ///   - force: kill at once.
    ///   - timeout: how long to wait after asking; nil: the instance's own setting.
    ///   - killing: what does not end in that time is killed; else it runs on, and that is a `timeout`.
    public func stop(
        _ name: String, project: String = "default", force: Bool = false, timeout: Duration? = nil,
        killing: Bool = true
    ) async throws {
        let actor = try find(name, project)
        if force { await killNow(actor) }
        try await locks.withLock(actor.id) {
            try await actor.stop(force: force, timeout: timeout, killing: killing)
        }
    }

    /// - Returns: as `start` does.
    @discardableResult
    public func restart(
        _ name: String, project: String = "default", force: Bool = false, timeout: Duration? = nil,
        killing: Bool = true
    ) async throws -> [String] {
        let actor = try find(name, project)
        return try await locks.withLock(actor.id) {
            try await actor.stop(force: force, timeout: timeout, killing: killing)
            let warnings = try await actor.start(byUser: true)
            await actor.lifecycleEvent("instance-restarted")
            return warnings
        }
    }

    public func pause(_ name: String, project: String = "default") async throws {
        let actor = try find(name, project)
        try await locks.withLock(actor.id) { try await actor.pause() }
    }

    public func resume(_ name: String, project: String = "default") async throws {
        let actor = try find(name, project)
        try await locks.withLock(actor.id) { try await actor.resume() }
    }

    /// Sends a signal to the first process: a name or a number.
    public func kill(_ name: String, project: String = "default", signal: String = "KILL") async throws {
        guard let number = Signals.number(signal) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(signal)) is not a signal",
                hint: "a name as TERM or a number from 1 to 64")
        }
        let handle = try await find(name, project).handle(for: "send a signal")
        try await handle.signal(number)
    }

    /// Waits until the instance has ended; at once if it does not run. nil: the timeout passed, or it never ran.
    public func wait(_ name: String, project: String = "default", timeout: Duration? = nil) async throws -> ExitRecord?
    {
        let actor = try find(name, project)
        return try await actor.waitForEnd(timeout: timeout)
    }

    /// A further process in a running instance.
    public func exec(
        _ name: String, project: String = "default", process: ProcessSpec, stdio: StdioOptions
    ) async throws -> any ExecSession {
        let actor = try find(name, project)
        return try await actor.exec(process, stdio: stdio)
    }

    /// Streams of the first process. A stopped instance is prepared, so that not a byte is lost between this and its
    /// start. The exit comes after the end; for an ephemeral instance after its removal.
    public func attach(
        _ name: String, project: String = "default", withInput: Bool
    ) async throws -> (session: any AttachSession, exit: @Sendable () async throws -> ExitRecord?) {
        let actor = try find(name, project)
        let session = try await locks.withLock(actor.id) { try await actor.attach(withInput: withInput) }
        return (
            session,
            { [weak self] in
                let exit = try await actor.waitForEnd(timeout: nil)
                await self?.removals[actor.id]?.value
                return exit
            }
        )
    }

    /// Changes name, configuration, devices or profiles; live keys take effect at once.
    public func update(_ name: String, project: String = "default", _ request: UpdateRequest) async throws
        -> InstanceView
    {
        let actor = try find(name, project)
        for profile in request.profiles ?? [] { _ = try await services.profiles.get(profile, project: project) }
        try await locks.withLock(actor.id) { try await actor.update(request) }
        return await actor.view(withUsage: false)
    }

    /// `alreadyExists` if the new name is taken, `conflict` while it runs.
    ///
    /// - Parameter whileRunning: one that runs gets its new name on its networks at once; else it is a `conflict`.
    public func rename(
        _ name: String, project: String = "default", to newName: String, naming: Names.Naming = .label,
        whileRunning: Bool = false
    ) async throws {
        try Names.checkInstance(newName, naming)
        let actor = try find(name, project)
        guard name != newName else { return }
        try refuseTaken(newName, project)
        names[key(project, newName)] = actor.id
        do {
            try await locks.withLock(actor.id) {
                if whileRunning, case .stopping = await actor.lifecycle {
                    // It has ended by itself, which is being written down.
                    _ = try await actor.waitForEnd(timeout: .seconds(10))
                }
                try await actor.rename(from: name, to: newName, whileRunning: whileRunning)
            }
            names[key(project, name)] = nil
        } catch {
            names[key(project, newName)] = nil
            throw error
        }
    }

    /// The log files of an instance, oldest first.
    public func logPath(_ name: String, project: String = "default") async throws -> String {
        parts.layout.log(of: try find(name, project).id)
    }

    /// Lines of the instance's log.
    public func logs(_ name: String, project: String = "default", _ query: LogQuery) async throws
        -> AsyncThrowingStream<LogLine, any Error>
    {
        let actor = try find(name, project)
        if await actor.merged().config["logs.driver"] == "none" {
            throw EngineError(
                .unsupported, "instance \(Names.quoted(name)) keeps no log: its logs.driver is none",
                hint: "attach to it, or set logs.driver=json-file and start it again")
        }
        return LogReader(path: parts.layout.log(of: actor.id)).lines(query) { await actor.run != nil }
    }

    // MARK: at the daemon's start and end

    /// Loads every record, adopts what lives, cleans what is dead, and starts what should run.
    func load() async throws {
        let (records, unreadable) = try await parts.store.instances()
        for id in unreadable {
            parts.logger.error("an instance's record cannot be read; its files are kept", metadata: ["id": "\(id)"])
            await services.warnings.raise(
                "Unreadable record", .high, "the record of instance \(id) cannot be read; its files are kept")
        }
        let unfinished = try await parts.store.unfinished()
        let snapshots = try await loadSnapshots()
        for record in records {
            let actor = InstanceActor(
                record: record, parts: parts, services: actorServices, snapshots: snapshots[record.id] ?? [])
            actors[record.id] = actor
            names[key(record.project, record.name)] = record.id
        }
        for entry in unfinished where !entry.isOfVolume { await settleJournal(entry, unreadable) }
        var toStart: [InstanceActor] = []
        for actor in Array(actors.values) where await actor.recover() { toStart.append(actor) }
        do {
            try await services.networks.takeOver { [weak self] in
                try await self?.livingEndpoints(unreadable: unreadable) ?? []
            }
        } catch {
            parts.logger.error("the networks are not taken over yet", metadata: ["error": "\(error)"])
        }
        for actor in Array(actors.values) { await actor.beginHealth(adopted: true) }
        await startAll(toStart)
    }

    /// - Parameter unreadable: ids of instances whose record cannot be read; one with a run folder may run.
    private func livingEndpoints(unreadable: [String]) async throws -> [NetworkEndpoint] {
        var living: [NetworkEndpoint] = []
        for actor in Array(actors.values) {
            living += try await actor.livingEndpoints()
            // Before the networks come up again, so that a shared port is never without its instances.
            await actor.tellReadiness()
        }
        for id in unreadable.compactMap({ InstanceID($0) }) where access(parts.layout.run(of: id), F_OK) == 0 {
            living += try await services.networks.reserved(unreadable: id)
        }
        return living
    }

    private func loadSnapshots() async throws -> [InstanceID: [SnapshotRecord]] {
        let (records, unreadable) = try await parts.store.snapshots()
        for id in unreadable {
            parts.logger.error("a snapshot's record cannot be read; its files are kept", metadata: ["id": "\(id)"])
        }
        return Dictionary(grouping: records, by: \.instance.id)
    }

    private func startAll(_ wanted: [InstanceActor]) async {
        var ordered: [(Int, InstanceActor)] = []
        for actor in wanted {
            ordered.append((Int(await actor.merged().config["boot.autostart.priority"] ?? "0") ?? 0, actor))
        }
        for (_, actor) in ordered.sorted(by: { $0.0 > $1.0 }) {
            do {
                _ = try await locks.withLock(actor.id) { try await actor.start(byUser: false) }
                if let delay = await actor.merged().seconds("boot.autostart.delay") { try await Task.sleep(for: delay) }
            } catch {
                parts.logger.error("autostart failed", metadata: ["id": "\(actor.id)", "error": "\(error)"])
                await autostartFailed(actor, error)
            }
        }
    }

    private var actorServices: InstanceServices {
        InstanceServices(
            profiles: services.profiles, networks: services.networks, volumes: services.volumes,
            images: services.images, pools: services.pools,
            ended: { [weak self] id in await self?.removeEphemeral(id) },
            restart: { [weak self] id in await self?.restartByPolicy(id) },
            unhealthy: { [weak self] id, action in await self?.treat(id, action) },
            join: { [weak self] name, project in try await Self.alive(self).find(name, project).joinable() },
            config: { [weak self] name, project in
                try await Self.alive(self).find(name, project).merged().config
            },
            allow: { [weak self] record in try await self?.allow(record) })
    }

    private static func alive(_ service: InstanceService?) throws -> InstanceService {
        guard let service else { throw EngineError(.cancelled, "the daemon is ending") }
        return service
    }

    /// In a task of its own: whoever waits for the end may hold the instance's lock.
    private func removeEphemeral(_ id: InstanceID) {
        guard let actor = actors[id], removals[id] == nil else { return }
        removals[id] = Task { [weak self] in
            do { try await self?.remove(actor, force: true, volumes: true) } catch let error as EngineError
                where error.code == .notFound
            {
                // Somebody else removed it first.
            } catch {
                self?.parts.logger.error(
                    "removing the ephemeral instance failed", metadata: ["id": "\(id)", "error": "\(error)"])
            }
            await self?.forgetRemoval(id)
        }
    }

    private func forgetRemoval(_ id: InstanceID) { removals[id] = nil }

    func restartByPolicy(_ id: InstanceID) async {
        guard let actor = actors[id] else { return }
        do {
            try await locks.withLock(id) {
                guard await actor.awaitsRestart else { return }
                try await actor.start(byUser: false)
            }
        } catch {
            parts.logger.warning("restarting failed", metadata: ["id": "\(id)", "error": "\(error)"])
            await actor.startFailed()
        }
    }

    func applyProfiles(_ id: InstanceID, before: MergedConfig) async throws {
        guard let actor = actors[id] else { return }
        try await locks.withLock(id) { try await actor.profilesChanged(from: before) }
    }

    func profileRenamed(_ name: String, to newName: String, of id: InstanceID) async throws {
        guard let actor = actors[id] else { return }
        try await locks.withLock(id) { try await actor.profileRenamed(name, to: newName) }
    }

    /// Does with an unhealthy instance what its configuration says, unless it is well again or ended meanwhile.
    private func treat(_ id: InstanceID, _ action: HealthPlan.Action) async {
        guard let actor = actors[id] else { return }
        do {
            if action == .kill {
                if let run = await actor.run { try await run.handle.signal(9) }
                return
            }
            try await locks.withLock(id) {
                guard await actor.record.health?.status == .unhealthy, await actor.run != nil else { return }
                try await actor.stop(force: false, timeout: nil)
                if action == .restart { try await actor.start(byUser: false) }
            }
        } catch {
            parts.logger.warning(
                "the unhealthy instance could not be treated",
                metadata: ["id": "\(id)", "action": "\(action.rawValue)", "error": "\(error)"])
        }
    }

    /// Takes a name for an instance that is to get it; `alreadyExists` if it is another's.
    func claim(_ name: String, _ project: String, for id: InstanceID) throws {
        try refuseTaken(name, project)
        names[key(project, name)] = id
    }

    func unclaim(_ name: String, _ project: String) { names[key(project, name)] = nil }

    private func refuseTaken(_ name: String, _ project: String) throws {
        guard names[key(project, name)] == nil else {
            throw EngineError(
                .alreadyExists, "an instance named \(Names.quoted(name)) exists already",
                hint: "choose another name or delete it first", resource: "instance \(name)")
        }
    }

    /// A name that no instance has now, for a client that gave none.
    public func freeName(_ project: String = "default") -> String {
        while true {
            let name = NameMaker.random()
            if names[key(project, name)] == nil { return name }
        }
    }

    private func key(_ project: String, _ name: String) -> String { project + "/" + name }
}
