import DriverKit
import Logging
public import Model
import StateStore

/// What is recorded about an image beside what it says itself.
public struct ImageAddition: Sendable {
    public var project: String
    /// Win over the image's own.
    public var properties: [String: String]
    /// nil keeps what was set before.
    public var details: ImageDetails?
    public var origin: ImageOrigin?
    /// Names and descriptions.
    public var aliases: [ImageAlias]

    public init(
        project: String = "default", properties: [String: String] = [:], details: ImageDetails? = nil,
        origin: ImageOrigin? = nil, aliases: [ImageAlias] = []
    ) {
        self.project = project
        self.properties = properties
        self.details = details
        self.origin = origin
        self.aliases = aliases
    }
}

extension ImageService {
    /// Unpacks and records a stored image, and points the references and aliases to it.
    func add(
        _ stored: IncomingImage, references: [String], _ addition: ImageAddition = ImageAddition(),
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let now = Clock.now
        let known = try await parts.store.image(digest: stored.digest)
        var record = ImageRecord(
            digest: stored.digest, content: stored.content, architecture: stored.architecture, config: stored.config,
            configDigest: stored.configDigest, manifestMediaType: stored.manifestMediaType, layers: stored.layers,
            hasInit: false, size: stored.size, createdAt: stored.createdAt, addedAt: now, lastUsedAt: now,
            properties: (known?.properties ?? [:]).merging(stored.properties) { $1 }.merging(addition.properties) { $1 }
        )
        record.details = addition.details ?? known?.details
        record.origin = addition.origin ?? known?.origin
        record.bundle = stored.bundle ?? known?.bundle
        let projects = known?.projects ?? (known == nil ? [] : ["default"])
        record.projects = projects.contains(addition.project) ? projects : projects + [addition.project]
        let complete = record
        return try await withLease(record.digest) {
            var record = complete
            if record.content == .rootFilesystem {
                try await unpack(record, progress: progress)
                let program = record.config.entrypoint.first ?? record.config.cmd.first
                if program == nil, try await hasInitFile(record) { record.config.cmd = ["/sbin/init"] }
                record.hasInit = KindChoice.isInit(record.config.entrypoint.first ?? record.config.cmd.first)
            }
            try await parts.store.save(record, references: references)
            for alias in addition.aliases {
                try await parts.store.save(
                    ImageAlias(
                        project: addition.project, name: alias.name, description: alias.description,
                        digest: record.digest))
            }
            parts.events.lifecycle(
                "image-created", "/1.0/images/\(record.fingerprint)", project: addition.project,
                ["references": .array(references.map { .string($0) })])
            return record
        }
    }

    /// Makes sure that every layer is unpacked.
    func unpack(_ record: ImageRecord, progress: @escaping @Sendable (TransferProgress) -> Void) async throws {
        for (index, layer) in record.layers.enumerated() {
            guard try await !parts.snapshotter.contains(layer: layer.diffID) else { continue }
            func report(_ state: TransferProgress.Part.State, done: Int64) {
                progress(
                    TransferProgress(
                        stage: "unpacking layer \(index + 1) of \(record.layers.count)", done: done, total: layer.size,
                        part: .init(digest: layer.digest, state: state, done: done, total: layer.size)))
            }
            report(.unpacking, done: 0)
            try await parts.snapshotter.unpack(layer: layer.diffID, archive: try await parts.source.blob(layer.digest))
            report(.unpacked, done: layer.size)
        }
    }

    private func hasInitFile(_ record: ImageRecord) async throws -> Bool {
        for layer in record.layers {
            if try await parts.snapshotter.has(path: "/sbin/init", layer: layer.diffID) { return true }
            if try await parts.snapshotter.has(path: "/usr/sbin/init", layer: layer.diffID) { return true }
        }
        return false
    }
}
