import Logging
import Model

/// What is done by the clock: snapshots by `snapshots.schedule`, removal of snapshots and backups that have expired.
actor Scheduler {
    private let instances: InstanceService
    private let volumes: VolumeService
    private let backups: BackupService
    private let logger: Logger
    private var worker: Task<Void, Never>?

    init(instances: InstanceService, volumes: VolumeService, backups: BackupService, logger: Logger) {
        self.instances = instances
        self.volumes = volumes
        self.backups = backups
        self.logger = logger
    }

    /// Begins to look at the clock, a moment after each full minute.
    func start() {
        guard worker == nil else { return }
        worker = Task { [weak self] in
            while !Task.isCancelled {
                let now = Clock.now
                do { try await Task.sleep(for: .seconds(60.5 - now.truncatingRemainder(dividingBy: 60))) } catch {
                    return
                }
                await self?.tick(Clock.now)
            }
        }
    }

    func stop() async {
        worker?.cancel()
        await worker?.value
        worker = nil
    }

    /// Does what is due in the minute of `now` (seconds since 1970). What fails is logged and keeps nothing else back.
    func tick(_ now: Double) async {
        for view in await instances.everything() {
            let (name, project) = (view.record.name, view.record.project)
            for snapshot in view.snapshots {
                guard let expiry = snapshot.expiresAt, expiry <= now else { continue }
                await attempt("removing the expired snapshot \(snapshot.name) of \(name)") {
                    try await instances.deleteSnapshot(name, snapshot.name, project: project)
                }
            }
            guard isDue(view.expanded.config["snapshots.schedule"], now) else { continue }
            let wanted = view.status != .stopped || view.expanded.flag("snapshots.schedule.stopped") == true
            guard wanted else { continue }
            await attempt("the scheduled snapshot of \(name)") {
                try await instances.createSnapshot(name, project: project, SnapshotRequest())
            }
        }
        await attempt("removing expired backups") { try await backups.removeExpired(now) }
        for volume in await volumes.everything() {
            for snapshot in await volumes.snapshots(of: volume) {
                guard let expiry = snapshot.expiresAt, expiry <= now else { continue }
                await attempt("removing the expired snapshot \(snapshot.name) of volume \(volume.name)") {
                    try await volumes.deleteSnapshot(snapshot.name, of: volume)
                }
            }
            guard isDue(volume.config["snapshots.schedule"], now) else { continue }
            await attempt("the scheduled snapshot of volume \(volume.name)") {
                try await volumes.createSnapshot(volume, SnapshotRequest())
            }
        }
    }

    private func isDue(_ schedule: String?, _ now: Double) -> Bool {
        guard let schedule, !schedule.isEmpty else { return false }
        do { return try Schedule(schedule).includes(now) } catch {
            logger.warning(
                "a schedule of snapshots cannot be read", metadata: ["schedule": "\(schedule)", "error": "\(error)"])
            return false
        }
    }

    private func attempt(_ what: String, _ body: () async throws -> Void) async {
        do { try await body() } catch {
            logger.warning("\(what) failed", metadata: ["error": "\(error)"])
        }
    }
}
