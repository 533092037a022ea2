import Logging
import DriverKit
import Model

// What is done with a running instance, and changes of its configuration.
extension InstanceActor {
    func pause() async throws {
        guard let facet = try handle(for: "pause").pause else {
            throw EngineError(.unsupported, "a \(record.kind.rawValue) cannot be paused on this host")
        }
        try await facet.pause()
        lifecycleEvent("instance-paused")
    }

    func resume() async throws {
        guard let facet = try handle(for: "resume").pause else {
            throw EngineError(.unsupported, "a \(record.kind.rawValue) cannot be paused on this host")
        }
        try await facet.resume()
        lifecycleEvent("instance-resumed")
    }

    func attach(withInput: Bool) async throws -> any AttachSession {
        try await prepare()
        guard let run, let facet = run.handle.attach else {
            throw EngineError(.unsupported, "the output of a \(record.kind.rawValue) cannot be attached to")
        }
        return try await facet.attach(withInput: withInput)
    }

    func screen() throws -> any ScreenFacet {
        guard let facet = try handle(for: "show the screen").screen else {
            throw EngineError(
                .unsupported, "instance \(Names.quoted(record.name)) has no screen",
                hint: "machines made of disk images have one, where the host's QEMU has a SPICE server")
        }
        return facet
    }

    /// Adds the instance's own environment below what the caller gave, as Docker does for exec.
    func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession {
        let handle = try handle(for: "run a command")
        guard let facet = handle.exec else {
            throw EngineError(
                .unsupported,
                "commands cannot be run in instance \(Names.quoted(record.name)): it is a \(record.kind.rawValue)",
                hint: record.kind == .machine ? "its guest runs no agent; use isle console \(record.name)" : nil)
        }
        if try await handle.pause?.isPaused == true {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is paused", hint: "isle resume \(record.name)")
        }
        let merged = await merged()
        let image = await knownImage()
        let builder = PlanBuilder(
            record: record, merged: merged, image: image, layout: parts.layout, hostMemory: parts.hostMemory)
        let own = builder.surroundings()
        var process = process
        process.environment = PlanBuilder.lastWins(own.environment + process.environment)
        process.workingDirectory = process.workingDirectory ?? own.workingDirectory
        process.user = process.user ?? own.user
        return try await facet.exec(process, stdio: stdio)
    }

    /// The image's record, without which a running instance goes on; that it is missing is logged. Then only the
    /// image's environment, folder, user and stop signal are not known.
    func knownImage() async -> ImageRecord? {
        guard let digest = record.image else { return nil }
        do { return try await services.images.record(digest: digest, for: record.name) } catch {
            logger.error(
                "the image's record cannot be read: its environment, user and stop signal are not used",
                metadata: ["image": "\(digest)", "error": "\(error)"])
            return nil
        }
    }

    func waitForEnd(timeout: Duration?) async throws -> ExitRecord? {
        while case .starting = lifecycle { try await Task.sleep(for: .milliseconds(5)) }
        if case .prepared = lifecycle { return try await waitFromPrepared(timeout: timeout) }
        guard let watcher = run?.watcher else { return record.lastExit }
        guard let timeout else { return try await watcher.value }
        return await Self.value(of: watcher, within: timeout)
    }

    /// A client that attached before the start waits for the start first.
    private func waitFromPrepared(timeout: Duration?) async throws -> ExitRecord? {
        let number = runNumber
        let clock = ContinuousClock()
        let end = timeout.map { clock.now + $0 }
        while runNumber == number {
            if case .running(let run) = lifecycle { return try await run.watcher?.value }
            if case .stopping(let run) = lifecycle { return try await run.watcher?.value }
            if case .stopped = lifecycle { return record.lastExit }
            if case .deleted = lifecycle { return record.lastExit }
            if let end, clock.now >= end { return nil }
            try await Task.sleep(for: .milliseconds(2))
        }
        return record.lastExit
    }

    func update(_ wanted: UpdateRequest) async throws {
        let before = await merged()
        let old = record
        var request = wanted
        if let changes = wanted.configChanges {
            request.config = record.config.merging(changes) { $1 }.filter { !$0.value.isEmpty }
        }
        if let changes = wanted.deviceChanges {
            request.devices = record.devices.merging(changes) { $1 }.filter { !$0.value.isEmpty }
        }
        if let config = request.config {
            let kept = record.config.filter { $0.key.hasPrefix("volatile.") }
            try OptionCatalog.check(config.filter { !$0.key.hasPrefix("volatile.") }, kind: record.kind)
            record.config = config.filter { !$0.key.hasPrefix("volatile.") }.merging(kept) { $1 }
        }
        do {
            if let devices = request.devices {
                _ = try Devices(devices)
                record.devices = devices
            }
            if let description = request.description { record.description = description }
            if let profiles = request.profiles {
                try InstanceService.checkProfiles(profiles)
                record.profiles = profiles
            }
            if let ephemeral = request.ephemeral { record.ephemeral = ephemeral }
            let after = await merged()
            try Devices(after.devices).check(kind: record.kind)
            try await checkNamed(after, instead: before)
            try await services.allow(record)
            if case .running(let run) = lifecycle { try await applyLive(run, from: before, to: after) }
            if case .prepared(let run) = lifecycle { await discard(run) }
            if try Devices(before.devices).rootSize != Devices(after.devices).rootSize {
                try await limitRoot(changed: true)
            }
            do { try await save() } catch {
                if case .running(let run) = lifecycle { try await applyLive(run, from: after, to: before) }
                throw error
            }
            let isHealthKey = { (key: String) in key.hasPrefix("health.") }
            if before.config.filter({ isHealthKey($0.key) }) != after.config.filter({ isHealthKey($0.key) }) {
                await beginHealth()
            }
        } catch {
            // Only what the request changed: the instance may have ended meanwhile, and how is in the record.
            (record.config, record.devices, record.profiles) = (old.config, old.devices, old.profiles)
            (record.description, record.ephemeral) = (old.description, old.ephemeral)
            throw error
        }
        lifecycleEvent("instance-updated")
    }

    /// Applies changed limits at once; `conflict` for a changed key that needs a restart is not raised: it takes effect
    /// at the next start, as with LXD.
    func applyLive(_ run: Run, from before: MergedConfig, to after: MergedConfig) async throws {
        try await applyNics(run, from: try Devices(before.devices), to: try Devices(after.devices))
        try await applyDevices(run, from: before, to: after)
        let old = try await limits(before)
        let new = try await limits(after, before: before)
        guard old != new else { return }
        guard let facet = run.handle.limits else {
            throw EngineError(
                .unsupported, "the limits of a running \(record.kind.rawValue) cannot change", hint: "stop it first")
        }
        try await facet.apply(new)
    }

    /// `notFound` if its name is not `expected` any more.
    func rename(from expected: String, to name: String, project: String? = nil, whileRunning: Bool = false)
        async throws
    {
        if case .deleted = lifecycle { throw gone(expected) }
        guard record.name == expected else { throw gone(expected) }
        var endpoints: [NetworkEndpoint] = []
        switch lifecycle {
        case .running(let run) where whileRunning && project == nil: endpoints = run.endpoints ?? []
        case .stopped: break
        default:
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running", hint: "stop it before renaming it")
        }
        let old = record
        record.name = name
        if let project { record.project = project }
        do {
            try await renameEndpoints(endpoints, to: name)
            try await save()
        } catch {
            // How it ended meanwhile, if it did, is kept.
            (record.name, record.project) = (old.name, old.project)
            do { try await renameEndpoints(run?.endpoints ?? [], to: old.name) } catch {
                logger.error("the old name is not back on every network", metadata: ["error": "\(error)"])
            }
            throw error
        }
        parts.events.lifecycle(
            "instance-renamed", "/1.0/instances/\(name)", project: record.project,
            ["old_name": .string(old.name), "id": .string(id.raw)])
    }

    /// The names of a running instance on its networks.
    private func renameEndpoints(_ endpoints: [NetworkEndpoint], to name: String) async throws {
        for old in endpoints where old.hostname != name {
            var new = old
            new.hostname = name
            try await services.networks.refresh(old, to: new)
            guard case .running(var current) = lifecycle else { return }
            current.endpoints = current.endpoints?.map { $0 == old ? new : $0 }
            lifecycle = .running(current)
        }
    }

    private func gone(_ name: String) -> EngineError {
        EngineError(
            .notFound, "instance \(Names.quoted(name)) does not exist", hint: "isle list shows those that do",
            resource: "instance \(name)")
    }

    /// After a daemon restart: adopts a living run or cleans up a dead one. True if it should be started now.
    func recover() async -> Bool {
        do {
            let driver = try parts.driver(for: record.kind)
            let found = try await driver.reattach(
                id, kind: record.kind, runDirectory: parts.layout.run(of: id),
                stateDirectory: parts.layout.state(of: id))
            switch found {
            case .running(let handle):
                let builder = PlanBuilder(
                    record: record, merged: await merged(), image: await knownImage(), layout: parts.layout,
                    hostMemory: parts.hostMemory)
                adopt(handle, stopSignal: builder.stopSignal)
                return false
            case .exited(let exit):
                return try await endedUnseen(exit)
            case .gone:
                return try await goneUnseen()
            }
        } catch {
            lastError = "\(error)"
            isUncertain = true
            logger.error("the instance could not be taken over", metadata: ["error": "\(error)"])
            return false
        }
    }

    /// It ended while no daemon looked.
    private func endedUnseen(_ exit: ExitRecord) async throws -> Bool {
        record.lastExit = exit
        if record.ephemeral {
            await services.ended(id)
            return false
        }
        guard record.wantsRunning else {
            try await save()
            return false
        }
        if exit.reason == "reboot" { return true }
        let policy = RestartPolicy(await merged().config["restart.policy"] ?? "no") ?? .no
        let again = policy.delay(after: exit, attempt: 0) != nil
        if !again { record.wantsRunning = false }
        try await save()
        return again
    }

    /// The host was rebooted, or it never ran.
    private func goneUnseen() async throws -> Bool {
        if record.ephemeral, record.lastUsedAt > 0 {
            await services.ended(id)
            return false
        }
        let merged = await merged()
        let policy = RestartPolicy(merged.config["restart.policy"] ?? "no") ?? .no
        let should: Bool
        switch merged.flag("boot.autostart") {
        case true?: should = true
        case false?: should = false
        case nil:
            let lasts = record.kind == .system || record.kind == .machine
            should = policy == .always || (record.wantsRunning && (policy == .unlessStopped || lasts))
        }
        if record.wantsRunning, !should {
            record.wantsRunning = false
            try await save()
        }
        return should
    }

    /// Ends what a half-made or half-removed instance runs on the host. Its files may be removed only after that.
    func endLeftover() async throws {
        let found = try await parts.driver(for: record.kind).reattach(
            id, kind: record.kind, runDirectory: parts.layout.run(of: id), stateDirectory: parts.layout.state(of: id))
        if case .running(let handle) = found { try await handle.delete() }
    }

    /// A restart by policy failed: tries again later, as after a failed run.
    func startFailed() async {
        guard record.wantsRunning else { return }
        await comeBackAfterFailure()
    }
}
