import DriverKit
import Logging
import Model
import StateStore

extension ImageService {
    public func tag(_ name: String, as reference: String) async throws {
        let record = try await get(name).record
        let target = try localName(reference)
        try await parts.store.tag(target, digest: record.digest)
        parts.events.lifecycle(
            "image-tagged", "/1.0/images/\(record.fingerprint)", ["reference": .string(target)])
    }

    /// Removes a reference and nothing else; the image stays, if need be without a name.
    public func untag(_ name: String) async throws {
        let view = try await get(name)
        let full = try reference(name, of: view)
        _ = try await parts.store.untag(full)
        parts.events.lifecycle(
            "image-untagged", "/1.0/images/\(view.record.fingerprint)", ["reference": .string(full)])
    }

    /// Removes a reference, and the image with its last one. `conflict` while an instance needs it, unless `force`,
    /// which removes the references only.
    @discardableResult
    public func remove(_ name: String, force: Bool = false) async throws -> (untagged: [String], deleted: String?) {
        let view = try await get(name)
        let digits = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        let isReference = view.references.contains(name) || !view.record.answers(to: digits)
        let full = isReference ? try? reference(name, of: view) : nil
        if let full, view.references.count > 1 {
            _ = try await parts.store.untag(full)
            return ([full], nil)
        }
        guard view.usedBy.isEmpty || force else {
            throw EngineError(
                .conflict, "image \(Names.quoted(name)) is used by \(view.usedBy.joined(separator: ", "))",
                hint: "delete those instances first")
        }
        if !view.usedBy.isEmpty {
            for reference in view.references { _ = try await parts.store.untag(reference) }
            return (view.references, nil)
        }
        guard try await removeRecord(view.record.digest) else {
            throw EngineError(.busy, "image \(Names.quoted(name)) is being worked with", hint: "try again later")
        }
        parts.events.lifecycle("image-deleted", "/1.0/images/\(view.record.fingerprint)")
        _ = try await collect()
        return (view.references, view.record.digest)
    }

    /// Takes the image out of a project, as LXD deletes images: instances made from it go on. What they rest on is
    /// removed with the last of them.
    public func delete(_ name: String, project: String = "default") async throws {
        let view = try await get(name, project: project)
        var record = view.record
        try await parts.store.unnameImage(digest: record.digest, project: project)
        record.projects = (record.projects ?? ["default"]).filter { $0 != project }
        if record.projects?.isEmpty == true { try await parts.store.unnameImage(digest: record.digest) }
        try await parts.store.save(record, references: [])
        parts.events.lifecycle("image-deleted", "/1.0/images/\(record.fingerprint)", project: project)
        _ = try await collect()
    }

    /// Removes images that no instance needs: those without a name, or with `all` every one. Gives the digests and the
    /// bytes freed. Images that came by LXD's ways have their fingerprint for a name.
    public func prune(all: Bool) async throws -> (deleted: [String], freed: Int64) {
        var deleted: [String] = []
        for view in try await list() where view.usedBy.isEmpty {
            let isNamed = !view.references.isEmpty || !view.aliases.isEmpty || view.record.bundle != nil
            guard all || !isNamed else { continue }
            if try await removeRecord(view.record.digest) { deleted.append(view.record.digest) }
        }
        return (deleted, try await collect())
    }

    /// Removes deleted images that nothing rests on any more, then blobs, layers and base disks that no image needs.
    /// Does nothing while a record cannot be read: what it needs is not known.
    func sweep() async throws -> Int64 {
        let (all, unreadable) = try await parts.store.images()
        guard unreadable.isEmpty else {
            parts.logger.warning(
                "nothing is removed while image records are unreadable", metadata: ["digests": "\(unreadable)"])
            return 0
        }
        var records: [ImageRecord] = []
        for record in all {
            if record.projects?.isEmpty == true, try await removeRecord(record.digest) { continue }
            records.append(record)
        }
        let kept = records.map(\.digest) + records.compactMap(\.bundle?.manifest)
        var freed = try await parts.source.prune(keeping: Set(kept))
        let needed = Set(records.filter { $0.content == .rootFilesystem }.flatMap { $0.layers.map(\.diffID) })
        for (layer, size) in try await parts.snapshotter.layers() where !needed.contains(layer) {
            try await parts.snapshotter.remove(layer: layer)
            freed += size
        }
        try await parts.disks.prune(keeping: records.map { $0.layers.map(\.diffID) })
        return freed
    }
}
