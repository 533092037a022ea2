public import DriverKit
import Model
import StateStore

// New files for an instance that stays what it is otherwise.
extension InstanceService {
    /// Replaces the files of a stopped container by those of an image, or by none. Name, configuration, devices and
    /// addresses stay.
    ///
    /// - Parameter reference: nil: nothing is in it afterwards.
    public func rebuild(
        _ name: String, project: String = "default", image reference: String?,
        pull: CreateRequest.PullPolicy = .missing,
        progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) async throws {
        let actor = try find(name, project)
        try await actor.checkRebuild(image: nil)
        guard let reference else {
            return try await locks.withLock(actor.id) { try await actor.rebuild(image: nil, reference: nil) }
        }
        try await services.images.withImage(
            reference, project: await services.projects.owner(of: .images, in: project), pull: pull, progress: progress
        ) { image in
            try await self.locks.withLock(actor.id) { try await actor.rebuild(image: image, reference: reference) }
        }
    }
}

extension InstanceActor {
    /// - Throws: `conflict` while it runs, `unsupported` for machines and modules, `invalidArgument` for an image that it
    ///   cannot be made from.
    func checkRebuild(image: ImageRecord?) throws {
        if case .deleted = lifecycle {
            throw EngineError(.notFound, "instance \(Names.quoted(record.name)) was deleted")
        }
        guard case .stopped = lifecycle else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) is running", hint: "stop it before rebuilding it",
                resource: "instance \(record.name)")
        }
        guard record.kind == .application || record.kind == .system else {
            throw EngineError(
                .unsupported,
                "instance \(Names.quoted(record.name)) cannot be rebuilt: it is a \(record.kind.rawValue)",
                hint: "make a new one and delete it")
        }
        guard snapshots.isEmpty else {
            throw EngineError(
                .conflict, "instance \(Names.quoted(record.name)) has snapshots, which are of its files as they are",
                hint: "delete them first", resource: "instance \(record.name)")
        }
        if let image { _ = try KindChoice.choose(asked: record.kind, image: image) }
    }

    func rebuild(image: ImageRecord?, reference: String?) async throws {
        try checkRebuild(image: image)
        let entry = try await parts.store.begin(id, step: "rebuild")
        (record.image, record.imageReference) = (image?.digest, reference)
        record.forgetImage()
        if let image { record.note(image) }
        record.templatesDue = "create"
        try await save()
        try await makeFilesAnew()
        try await parts.store.finish(entry)
        lifecycleEvent("instance-updated")
    }

    /// Removes what is there and makes the files of the record's image. Repeated by the next daemon after a crash.
    func makeFilesAnew() async throws {
        await closeRestingFiles()
        try await services.pools.pool(of: record).discard(.instance(id))
        let image: ImageRecord?
        if let digest = record.image {
            image = try await services.images.record(digest: digest, for: record.name)
        } else {
            image = nil
        }
        try await services.images.makeRoot(for: record, image: image, merged: await merged())
    }
}
