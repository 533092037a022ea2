import Logging
import StateStore
import DriverKit
import Model

extension InstanceActor {
    /// Brings the instance to `prepared`: plan, network, shim. Nothing if it is prepared or runs already.
    func prepare() async throws {
        switch lifecycle {
        case .prepared, .running: return
        case .deleted: throw EngineError(.notFound, "instance \(Names.quoted(record.name)) was deleted")
        case .starting: throw EngineError(.busy, "instance \(Names.quoted(record.name)) is being started")
        case .stopping(let run): _ = try? await run.watcher?.value
        case .stopped: break
        }
        restartTask?.cancel()
        lifecycle = .starting
        await closeRestingFiles()
        do {
            let entry = try await parts.store.begin(id, step: "start")
            runNumber += 1
            do {
                lifecycle = .prepared(try await makeRun(number: runNumber))
            } catch {
                lifecycle = .stopped
                // What keeps it from starting matters more; an open entry is closed by the daemon's next start.
                do { try await parts.store.finish(entry) } catch let second {
                    logger.error("the journal could not be closed", metadata: ["error": "\(second)"])
                }
                throw error
            }
            try await parts.store.finish(entry)
        } catch {
            if let run { await discard(run) }
            lifecycle = .stopped
            throw error
        }
    }

    private func makeRun(number: Int) async throws -> Run {
        try await services.profiles.requireReadable(record.profiles, project: record.project)
        let merged = await merged()
        let devices = try Devices(merged.devices)
        try devices.check(kind: record.kind)
        let image: ImageRecord?
        if let digest = record.image {
            image = try await services.images.record(digest: digest, for: record.name)
        } else {
            image = nil
        }
        let builder = PlanBuilder(
            record: record, merged: merged, image: image, layout: parts.layout, hostMemory: parts.hostMemory)
        let driver = try parts.driver(for: record.kind)
        try await applyTemplates(merged)
        startNotices = []
        try await seedCloudInit(merged)
        let identity = try await identity(merged)
        let root = try await services.images.root(for: record, image: image, merged: merged)
        let mounts = try await services.volumes.mounts(devices.disks, project: record.project, image: image)
        let sharing = try await sharing(merged, devices)
        let ports = try await services.networks.chosenPorts(record, devices)
        record.config.merge(ports) { $1 }
        var mode = try await services.networks.mode(for: record, devices: devices)
        if let other = sharing.network { mode = .instance(other) }
        let options = try containerOptions(merged, devices, mode, sharing)
        var plan = try builder.plan(
            root: root, identity: sharing.any?.identity ?? identity, network: mode, disks: mounts, options: options)
        plan.limits = try await limits(merged)
        plan.disks = try await services.volumes.disks(devices, project: record.project)
        plan.tpms = devices.tpms
        if !devices.seeds.isEmpty, plan.config["cloud-init.user-data"] ?? plan.config["user.user-data"] == nil {
            plan.config["cloud-init.user-data"] = "#cloud-config\n{}\n"
        }
        if record.hasSavedState == true { plan.savedState = savedStatePath }
        record.config["volatile.idmap.base"] = plan.identity.map { String($0.base) } ?? "host"
        record.config["volatile.idmap.raw"] =
            plan.identity?.exceptions == nil ? nil : merged.config["raw.idmap"]
        let endpoints: [NetworkEndpoint]
        if case .endpoints(let list) = mode { endpoints = list } else { endpoints = [] }
        let handle = try await connect(plan: plan, endpoints: endpoints, driver: driver)
        return Run(
            number: number, handle: handle, endpoints: endpoints, startedAt: 0, watcher: nil,
            stopSignal: builder.stopSignal)
    }

    /// Makes the handle with its network connected; on failure the host is as before.
    private func connect(
        plan original: LaunchPlan, endpoints: [NetworkEndpoint], driver: any InstanceDriver
    ) async throws -> any InstanceHandle {
        let networks = services.networks
        return try await withReverter { reverter in
            var plan = original
            let folders = parts.folders
            let directory = plan.runDirectory
            try Folders.make(directory, mode: 0o711)
            reverter.onFailure("removing \(directory)") { try await folders.remove(directory) }
            if record.kind == .machine {
                for endpoint in endpoints {
                    reverter.onFailure("disconnecting \(endpoint.device)") { try await networks.disconnect(endpoint) }
                    plan.taps[endpoint.device] = try await networks.tap(endpoint, owner: plan.hypervisorUser)
                }
            }
            let handle = try await driver.create(plan)
            reverter.onFailure("removing what was made for the start") { try await handle.delete() }
            if record.kind != .machine, !endpoints.isEmpty {
                guard let namespace = try await handle.networkNamespace else {
                    throw EngineError(.internal, "instance \(record.name) has no network namespace to connect")
                }
                for endpoint in endpoints {
                    reverter.onFailure("disconnecting \(endpoint.device)") { try await networks.disconnect(endpoint) }
                    try await networks.connect(endpoint, namespace: namespace)
                }
            }
            return handle
        }
    }

    /// Runs the first process; prepares first if that was not done. `conflict` if it runs already.
    ///
    /// - Parameter byUser: not by the restart policy, whose count begins anew.
    /// - Returns: what could only be done in a lesser way, a sentence each.
    @discardableResult
    func start(byUser: Bool) async throws -> [String] {
        if case .running = lifecycle {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running already",
                resource: "instance \(record.name)")
        }
        if byUser { restarts = 0 }
        try await prepare()
        guard case .prepared(var run) = lifecycle else { throw notRunning("start") }
        do {
            try await startProcess(of: run.handle)
            try await openForwards(run.handle, await merged())
        } catch {
            await discard(run)
            lastError = "\(error)"
            throw error
        }
        run.startedAt = Clock.now
        watch(&run)
        lifecycle = .running(run)
        lastError = nil
        record.wantsRunning = true
        record.lastUsedAt = run.startedAt
        record.lastExit = nil
        // Before the first suspension: the end of a short run is told after its start.
        lifecycleEvent("instance-started")
        logger.info("started")
        let notices = startNotices + run.handle.notices
        for notice in notices { logger.warning("\(notice)") }
        await beginHealth()
        try await save()
        return notices
    }

    /// Takes a prepared run away again.
    func discard(_ run: Run) async {
        lifecycle = .stopping(run)
        await cleanUp(run)
        lifecycle = .stopped
    }

    /// Follows the run to its end, in a task that the run owns.
    func watch(_ run: inout Run) {
        let handle = run.handle
        let number = run.number
        run.watcher = Task { [weak self] in
            let exit: ExitRecord
            do {
                exit = try await handle.wait()
            } catch {
                exit = ExitRecord(code: 255, finishedAt: Clock.now, reason: "its shim was lost: \(error)")
            }
            await self?.settle(number, exit)
            return exit
        }
    }

    /// Takes over a run that outlived the daemon.
    func adopt(_ handle: any InstanceHandle, stopSignal: String?) {
        runNumber += 1
        var run = Run(
            number: runNumber, handle: handle, endpoints: nil, startedAt: record.lastUsedAt, watcher: nil,
            stopSignal: stopSignal)
        watch(&run)
        lifecycle = .running(run)
        logger.info("adopted")
    }

    /// The endpoints that must be left alone: those of its run, and what it has reserved while it is not known whether
    /// it runs.
    func livingEndpoints() async throws -> [NetworkEndpoint] {
        guard run != nil else {
            return isUncertain ? try await services.networks.reserved(record, await merged()) : []
        }
        if let endpoints = run?.endpoints { return endpoints }
        let endpoints = try await services.networks.reserved(record, await merged())
        switch lifecycle {
        case .running(var run) where run.endpoints == nil:
            run.endpoints = endpoints
            lifecycle = .running(run)
        case .stopping(var run) where run.endpoints == nil:
            run.endpoints = endpoints
            lifecycle = .stopping(run)
        default: break
        }
        return endpoints
    }

    /// The instance's own range of host ids, the one that it asks for, else one that no other has; with those of the
    /// host's that `raw.idmap` gives it.
    private func identity(_ merged: MergedConfig) async throws -> IDRange {
        var range = try await ownRange(merged)
        guard let text = merged.config["raw.idmap"], record.kind == .system || record.kind == .application else {
            return range
        }
        let exceptions = try IDException.parse(text, size: range.size)
        let others = parts.firstID..<parts.firstID + UInt32(parts.idSlots) * 65536
        for taken in exceptions where others.overlaps(taken.outside..<taken.outside + taken.count) {
            throw EngineError(
                .invalidArgument, "raw.idmap: the host's id \(taken.outside) is among those that Isle gives to others",
                hint: "choose ids outside \(others.lowerBound) to \(others.upperBound - 1)")
        }
        // The kernel takes each id of the host once.
        let own = range.base..<range.base + range.size
        for taken in exceptions where own.overlaps(taken.outside..<taken.outside + taken.count) {
            throw EngineError(
                .invalidArgument,
                "raw.idmap: the host's id \(taken.outside) is in the instance's own range from security.idmap.base",
                hint: "choose ids outside \(own.lowerBound) to \(own.upperBound - 1)")
        }
        if !exceptions.isEmpty { range.exceptions = exceptions }
        return range
    }

    private func ownRange(_ merged: MergedConfig) async throws -> IDRange {
        if let text = merged.config["security.idmap.base"], let base = UInt32(text) {
            let others = parts.firstID..<parts.firstID + UInt32(parts.idSlots) * 65536
            guard !others.overlaps(base..<base + 65536) else {
                throw EngineError(
                    .invalidArgument, "security.idmap.base=\(base) is among the ids that Isle gives to others",
                    hint: "choose one outside \(others.lowerBound) to \(others.upperBound - 1)")
            }
            return IDRange(base: base)
        }
        let slot = try await parts.store.reserveIDSlot(id, slots: parts.idSlots)
        return IDRange(base: parts.firstID + UInt32(slot) * 65536)
    }
}
