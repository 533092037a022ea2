public import DriverKit
import Glibc
import Logging
public import Model
import StateStore

// Images from places that are no registries, and what is done about images in the background.
extension ImageService {
    /// The image that a remote place has now, fetched unless it is here already.
    public func fetch(
        _ origin: ImageOrigin, secret: String? = nil, _ addition: ImageAddition,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let remotes = try parts.imaging(\.remotes, for: "fetch images from other servers")
        try await checkFree(addition.aliases, project: addition.project)
        return try await lock.withLock("\(origin.server) \(origin.alias)") {
            let found = try await remotes.find(origin, architecture: Host.architecture, secret: secret)
            var addition = addition
            addition.origin = origin
            addition.properties = found.properties.merging(addition.properties) { $1 }
            if let fingerprint = found.fingerprint,
                let known = try await parts.store.images().records.first(where: {
                    $0.bundle?.fingerprint == fingerprint && $0.isShown(in: nil)
                })
            {
                return try await take(known, addition)
            }
            let folder = "\(parts.layout.temporary)/fetch-\(UInt64.random(in: .min ... .max))"
            try Folders.make(folder, mode: 0o700)
            do {
                let files = try await remotes.fetch(
                    found, from: origin, secret: secret, into: folder, progress: progress)
                let record = try await importBundle(
                    files, fingerprint: found.fingerprint, addition, progress: progress)
                try await parts.folders.remove(folder)
                return record
            } catch {
                do { try await parts.folders.remove(folder) } catch let second {
                    parts.logger.warning(
                        "what was fetched of an image is kept until the next start",
                        metadata: ["folder": "\(folder)", "error": "\(second)"])
                }
                throw error
            }
        }
    }

    /// An image that is here is shown in the project, too, and used now.
    private func take(_ known: ImageRecord, _ addition: ImageAddition) async throws -> ImageRecord {
        var record = known
        let projects = record.projects ?? ["default"]
        if !projects.contains(addition.project) { record.projects = projects + [addition.project] }
        record.lastUsedAt = Clock.now
        record.origin = record.origin ?? addition.origin
        if let details = addition.details {
            var kept = record.details ?? details
            // Who fetches it by name wants to keep it.
            kept.isCached = kept.isCached && details.isCached
            kept.autoUpdate = kept.autoUpdate || details.autoUpdate
            record.details = kept
        }
        try await parts.store.save(record, references: [])
        for alias in addition.aliases {
            try await parts.store.save(
                ImageAlias(
                    project: addition.project, name: alias.name, description: alias.description, digest: record.digest))
        }
        return record
    }

    /// Fetches what the image's origin has now under its alias; aliases move to the newer one, and the older one goes.
    /// True if there was a newer one.
    public func refresh(
        _ name: String, project: String = "default", progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> Bool {
        let view = try await get(name, project: project)
        let old = view.record
        guard let origin = old.origin else {
            guard let reference = view.references.first, BaseName(reference) == nil, !reference.hasPrefix("localhost/")
            else {
                throw EngineError(
                    .invalidArgument, "image \(Names.quoted(name)) has no origin to be refreshed from",
                    hint: "only images that were fetched from a server can be")
            }
            return try await pull(reference, progress: progress).digest != old.digest
        }
        let addition = ImageAddition(project: project, properties: [:], details: old.details, origin: origin)
        let new = try await fetch(origin, addition, progress: progress)
        guard new.digest != old.digest else { return false }
        for alias in try await aliases(project: project) where alias.digest == old.digest {
            try await updateAlias(alias.name, target: new.fingerprint, description: nil, project: project)
        }
        try await delete(old.fingerprint, project: project)
        parts.events.lifecycle("image-refreshed", "/1.0/images/\(new.fingerprint)", project: project)
        return true
    }

    /// Begins to remove expired images hourly, and to refresh those that want it every six hours.
    func startUpkeep() {
        guard upkeep == nil else { return }
        upkeep = Task { [weak self] in
            var hours = 0
            while !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(3600)) } catch { return }
                hours += 1
                await self?.runUpkeep(updates: hours % 6 == 0)
            }
        }
    }

    func endUpkeep() async {
        upkeep?.cancel()
        await upkeep?.value
    }

    /// - Parameter updates: also refresh images that want it.
    func runUpkeep(updates: Bool) async {
        do {
            let now = Clock.now
            for view in try await list() {
                let record = view.record
                guard let details = record.details, Self.isExpired(record, details, now) else { continue }
                for project in record.projects ?? ["default"] {
                    try await delete(record.fingerprint, project: project)
                }
            }
            _ = try await collect()
        } catch {
            parts.logger.warning("expired images could not be removed", metadata: ["error": "\(error)"])
        }
        guard updates else { return }
        let wanted: [ImageView]
        do { wanted = try await list().filter { $0.record.details?.autoUpdate == true } } catch {
            return parts.logger.warning("no image was updated", metadata: ["error": "\(error)"])
        }
        for view in wanted {
            for project in view.record.projects ?? ["default"] {
                do { _ = try await refresh(view.record.fingerprint, project: project, progress: { _ in }) } catch {
                    parts.logger.warning(
                        "an image could not be updated",
                        metadata: ["image": "\(view.record.fingerprint)", "error": "\(error)"])
                }
            }
        }
    }

    /// A stated time has passed, or an image that was fetched for an instance was not used for ten days.
    private static func isExpired(_ record: ImageRecord, _ details: ImageDetails, _ now: Double) -> Bool {
        if let until = details.expiresAt, until <= now { return true }
        return details.isCached && now - record.lastUsedAt > 10 * 24 * 3600
    }
}
