public import DriverKit
import Glibc
import Logging
import Model

/// The files of one instance, for as long as a client works with them. A change of the instance's state ends the tree;
/// the next call of `tree` gives the new one.
public struct FileLease: Sendable {
    /// Files of the running instance, or of the one at rest.
    public let tree: any FileTree
    /// Whether the tree is shared by all users of an instance at rest.
    let isResting: Bool
}

extension InstanceService {
    /// Runs `body` with the files of an instance, whether it runs or not.
    ///
    /// `unsupported` where they cannot be reached: a module's, a machine's without an agent.
    public func withFiles<Result: Sendable>(
        _ name: String, project: String = "default", _ body: (any FileTree) async throws -> Result
    ) async throws -> Result {
        let lease = try await leaseFiles(name, project: project)
        do {
            let result = try await body(lease.tree)
            await returnFiles(lease, name, project: project)
            return result
        } catch {
            await returnFiles(lease, name, project: project)
            throw error
        }
    }

    /// The files of an instance until `returnFiles`.
    public func leaseFiles(_ name: String, project: String = "default") async throws -> FileLease {
        let actor = try find(name, project)
        if let lease = try await actor.runningFiles() { return lease }
        // Under the lock: no start begins between the look at its state and the mount.
        return try await locks.withLock(actor.id) {
            if let lease = try await actor.runningFiles() { return lease }
            return try await actor.leaseRestingFiles()
        }
    }

    /// Ends a lease.
    public func returnFiles(_ lease: FileLease, _ name: String, project: String = "default") async {
        guard lease.isResting else { return await lease.tree.close() }
        // A deleted instance has closed its files itself.
        guard let actor = try? find(name, project) else { return }
        await actor.returnRestingFiles(lease)
    }
}

extension InstanceActor {
    /// nil: it does not run.
    func runningFiles() async throws -> FileLease? {
        switch lifecycle {
        case .running(let run), .stopping(let run):
            guard let facet = run.handle.files else {
                throw EngineError(
                    .unsupported,
                    "the files of instance \(Names.quoted(record.name)) cannot be reached: it is a \(record.kind.rawValue)",
                    resource: "instance \(record.name)")
            }
            return FileLease(tree: try await facet.tree(), isResting: false)
        case .prepared, .starting, .stopped: return nil
        case .deleted: throw EngineError(.notFound, "instance \(Names.quoted(record.name)) was deleted")
        }
    }

    func leaseRestingFiles() async throws -> FileLease {
        if let resting = restingFiles {
            restingFiles = (resting.tree, resting.users + 1)
            return FileLease(tree: resting.tree, isResting: true)
        }
        // A client has attached before the start, which mounted the files: they are taken away and made again.
        if case .prepared(let run) = lifecycle { await discard(run) }
        let tree = try await openRestingFiles(mounts: try await restingMounts())
        restingFiles = (tree, 1)
        return FileLease(tree: tree, isResting: true)
    }

    /// Volumes and folders of the host as the container would have them. Where ids are not mapped, the tree would act as
    /// the host's root: those are left out, as are those that are missing now.
    private func restingMounts() async throws -> [MountSpec] {
        guard record.kind == .application else { return [] }
        let disks = try Devices(await merged().devices).disks.filter { disk in
            disk.pool != nil || (disk.shift != .no && access(disk.source, F_OK) == 0)
        }
        return try await services.volumes.mounts(disks, project: record.project, image: await knownImage())
    }

    /// Opens the files at rest for work of the engine's own.
    func openRestingFiles(mounts: [MountSpec] = []) async throws -> any FileTree {
        guard !isUncertain else {
            throw EngineError(
                .conflict, "it is not known whether instance \(Names.quoted(record.name)) runs",
                hint: "isle stop --force \(record.name)", resource: "instance \(record.name)")
        }
        let driver = try parts.driver(for: record.kind)
        let image: ImageRecord?
        if let digest = record.image {
            image = try await services.images.record(digest: digest, for: record.name)
        } else {
            image = nil
        }
        guard record.kind == .application || record.kind == .system else {
            throw EngineError(
                .unsupported,
                "the files of instance \(Names.quoted(record.name)) cannot be reached while it does not run: it is a \(record.kind.rawValue)",
                resource: "instance \(record.name)")
        }
        let root = try await services.images.root(for: record, image: image, merged: await merged())
        return try await driver.files(of: root, mounts: mounts, runDirectory: parts.layout.run(of: id))
    }

    func returnRestingFiles(_ lease: FileLease) async {
        // It may have been closed, and others opened, meanwhile.
        guard let resting = restingFiles, resting.tree === lease.tree else { return }
        if resting.users > 1 {
            restingFiles = (resting.tree, resting.users - 1)
        } else {
            restingFiles = nil
            await resting.tree.close()
        }
    }

    /// Ends all use of the files at rest, before the instance is started or deleted.
    func closeRestingFiles() async {
        guard let resting = restingFiles else { return }
        restingFiles = nil
        await resting.tree.close()
    }
}
