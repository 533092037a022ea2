import Logging
import StateStore
import DriverKit
import Model

extension InstanceActor {
    /// Ends the instance: asks, waits `timeout`, kills. Nothing if it does not run.
    ///
    /// - Parameters:
    ///   - force: kill at once.
    ///   - killing: whether it is killed at all; else one that does not end in time runs on as before.
    func stop(force: Bool, timeout: Duration?, killing: Bool = true) async throws {
        restartTask?.cancel()
        restartTask = nil
        if record.wantsRunning {
            record.wantsRunning = false
            try await save()
        }
        switch lifecycle {
        case .stopped, .deleted, .starting: return
        case .prepared(let run): return await discard(run)
        case .stopping(let run): return try await finish(run)
        case .running(let run):
            lifecycle = .stopping(run)
            endHealth()
            // New connections to a port that others share go to the others from here on.
            for endpoint in run.endpoints ?? [] { await services.networks.setReady(endpoint, false) }
            // Those that were on their way are answered before it is told to end.
            if !force, (run.endpoints ?? []).contains(where: { $0.ports.contains { $0.service != nil } }) {
                try? await Task.sleep(for: Self.drain)
            }
            if !force { await askToEnd(run, timeout: timeout) }
            if !force, !killing, await Self.value(of: run.watcher, within: .zero) == nil {
                return try await goOn(run)
            }
            try await finish(run)
            if !force { lifecycleEvent("instance-shutdown") }
        }
    }

    /// How long a replica of a service goes on before it is asked to end.
    private static let drain = Duration.milliseconds(100)

    /// It did not end when it was asked to.
    private func goOn(_ run: Run) async throws {
        guard case .stopping(let current) = lifecycle, current.number == run.number else { return }
        lifecycle = .running(current)
        record.wantsRunning = true
        try await save()
        await beginHealth()
        await tellReadiness()
        throw EngineError(
            .timeout, "instance \(Names.quoted(record.name)) did not stop when it was asked to, and still runs",
            hint: "give it more time (--timeout), or kill it (--force)", resource: "instance \(record.name)")
    }

    /// Asks the run to end and waits as long as is allowed.
    private func askToEnd(_ run: Run, timeout: Duration?) async {
        do {
            if try await run.handle.pause?.isPaused == true { try await run.handle.pause?.resume() }
            try await run.handle.requestStop(signal: run.stopSignal)
        } catch {
            logger.warning("asking it to stop failed, killing it", metadata: ["error": "\(error)"])
            return
        }
        let merged = await merged()
        let patience =
            timeout ?? merged.seconds("stop.timeout")
            ?? (record.kind == .application || record.kind == .module ? .seconds(10) : .seconds(30))
        _ = await Self.value(of: run.watcher, within: patience)
    }

    /// Kills what is left of the run and waits for the end.
    private func finish(_ run: Run) async throws {
        if await Self.value(of: run.watcher, within: .zero) == nil {
            do { try await run.handle.signal(9) } catch {
                logger.debug("kill", metadata: ["error": "\(error)"])
            }
            if await Self.value(of: run.watcher, within: .seconds(20)) == nil, case .stopping(let current) = lifecycle,
                current.number == run.number
            {
                throw EngineError(
                    .timeout, "instance \(Names.quoted(record.name)) did not end within 20 s of SIGKILL",
                    hint: "a process of it may hang in the kernel: isle info \(record.name) shows its pid",
                    resource: "instance \(record.name)")
            }
        }
    }

    /// The watcher's result if it comes within `patience`, else nil.
    static func value(of watcher: Task<ExitRecord, any Error>?, within patience: Duration) async -> ExitRecord? {
        guard let watcher else { return ExitRecord(code: 0, finishedAt: Clock.now) }
        return await withTaskGroup(of: ExitRecord?.self) { group in
            // A stream turns the end of the watcher into something that cancellation wakes from.
            let (stream, continuation) = AsyncStream.makeStream(of: ExitRecord.self)
            let relay = Task {
                if let exit = try? await watcher.value { continuation.yield(exit) }
                continuation.finish()
            }
            _ = relay
            group.addTask {
                for await exit in stream { return exit }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: patience)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// Called once by the watcher when the run has ended: writes down how, cleans up, and decides what comes next.
    func settle(_ number: Int, _ exit: ExitRecord) async {
        guard let run, run.number == number else { return }
        lifecycle = .stopping(run)
        endHealth()
        record.lastExit = exit
        await cleanUp(run)
        let reboot = exit.reason == "reboot" && record.wantsRunning
        let ran = exit.finishedAt - run.startedAt
        lifecycle = .stopped
        do { try await save() } catch {
            logger.error("the end could not be written down", metadata: ["error": "\(error)"])
        }
        lifecycleEvent(
            "instance-stopped", ["exit_code": .integer(Int64(exit.code)), "oom": .bool(exit.outOfMemory)])
        logger.info("ended", metadata: ["code": "\(exit.code)"])
        if reboot {
            restart(after: .zero)
        } else if record.ephemeral {
            await services.ended(id)
        } else if record.wantsRunning {
            await comeBack(exit: exit, ran: ran)
        }
    }

    private func comeBack(exit: ExitRecord, ran: Double) async {
        let policy = RestartPolicy(await merged().config["restart.policy"] ?? "no") ?? .no
        if .seconds(ran) >= RestartPolicy.settled { restarts = 0 }
        guard let delay = policy.delay(after: exit, attempt: restarts) else {
            record.wantsRunning = false
            do { try await save() } catch {
                logger.error("the end could not be written down", metadata: ["error": "\(error)"])
            }
            return
        }
        restarts += 1
        restart(after: delay)
    }

    /// A start by the policy failed; that counts as a failed run.
    func comeBackAfterFailure() async {
        await comeBack(exit: ExitRecord(code: 125, finishedAt: Clock.now, reason: lastError), ran: 0)
    }

    /// Whether a restart that was put off is still due: nobody stopped, started or deleted it meanwhile.
    var awaitsRestart: Bool {
        guard record.wantsRunning else { return false }
        switch lifecycle {
        case .stopped, .prepared, .stopping: return true
        case .starting, .running, .deleted: return false
        }
    }

    /// Starts the instance again later, by way of the service, which takes the lock.
    func restart(after delay: Duration) {
        restartTask?.cancel()
        let restart = services.restart
        let id = id
        restartTask = Task {
            do { try await Task.sleep(for: delay) } catch { return }
            // From here on it is an ordinary start, which cancels pending restarts: not itself.
            await Task { await restart(id) }.value
        }
    }

    /// Takes network and driver leftovers of a run away; what fails is logged, the rest goes on.
    func cleanUp(_ run: Run) async {
        await closeForwards(run)
        var endpoints = run.endpoints ?? []
        if run.endpoints == nil {
            do { endpoints = try await services.networks.reserved(record, await merged()) } catch {
                logger.error(
                    "its addresses cannot be read: the next start of the daemon takes its links away",
                    metadata: ["error": "\(error)"])
            }
        }
        for endpoint in endpoints {
            do { try await services.networks.disconnect(endpoint) } catch {
                logger.warning("disconnecting failed", metadata: ["device": "\(endpoint.device)", "error": "\(error)"])
            }
        }
        do { try await run.handle.delete() } catch {
            logger.warning("cleaning up after the run failed", metadata: ["error": "\(error)"])
        }
    }

    /// Ends the instance and removes its files. The record goes last, so that a crash in between is finished later.
    ///
    /// - Parameter volumes: deletes the volumes that were made for it; nil leaves them.
    func delete(force: Bool, volumes: (@Sendable () async throws -> Void)?) async throws {
        if case .deleted = lifecycle {
            throw EngineError(
                .notFound, "instance \(Names.quoted(record.name)) was deleted", resource: "instance \(record.name)")
        }
        if case .running = lifecycle, !force {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running",
                hint: "stop it first, or delete it with --force", resource: "instance \(record.name)")
        }
        if await merged().flag("security.protection.delete") == true {
            throw EngineError(
                .permissionDenied, "instance \(Names.quoted(record.name)) is protected",
                hint: "isle config unset \(record.name) security.protection.delete")
        }
        try await stop(force: true, timeout: nil)
        await closeRestingFiles()
        let entry = try await parts.store.begin(id, step: "delete", detail: volumes == nil ? "" : "volumes")
        try await removeFiles()
        try await volumes?()
        try await parts.store.deleteInstance(id)
        try await parts.store.finish(entry)
        lifecycle = .deleted
        lifecycleEvent("instance-deleted")
    }

    func removeFiles() async throws {
        try await BackupFiles(store: parts.store, folder: parts.layout.backups).removeAll(.instance(id))
        try await services.images.removeFiles(of: record)
    }

    func markDeleted() { lifecycle = .deleted }
}
