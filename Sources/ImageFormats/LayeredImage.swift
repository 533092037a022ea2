public import ContentStore
import FoundationEssentials
public import Model
public import OCI

extension ImageImporter {
    /// Stores configuration and manifest over layers that are stored already.
    public func assemble(config: [UInt8], layers: [Descriptor]) async throws -> StoredImage {
        try await finish(config, MediaType.config, layers)
    }
}

/// Puts a new image together from the layers of another and one more, as `docker commit` does.
public struct LayeredImage: Sendable {
    public var store: any ContentStoring
    public var platform: Platform

    public init(store: any ContentStoring, platform: Platform) {
        self.store = store
        self.platform = platform
    }

    /// What is written into the configuration.
    public struct Change: Sendable {
        public var config: ImageConfig
        public var author: String?
        public var comment: String?
        public var createdBy: String
        /// RFC 3339.
        public var created: String

        public init(config: ImageConfig, author: String?, comment: String?, createdBy: String, created: String) {
            self.config = config
            self.author = author
            self.comment = comment
            self.createdBy = createdBy
            self.created = created
        }
    }

    /// - Parameters:
    ///   - base: a manifest of the store; nil starts from nothing.
    ///   - layer: the stored blob and the digest of its uncompressed bytes.
    public func make(over base: ContentDigest?, layer: (Descriptor, diffID: ContentDigest)?, _ change: Change)
        async throws -> StoredImage
    {
        var layers: [Descriptor] = []
        var document: [String: Metadata] = [
            "architecture": .string(platform.architecture), "os": .string(platform.os),
            "rootfs": ["type": "layers", "diff_ids": []], "history": [],
        ]
        if let variant = platform.variant { document["variant"] = .string(variant) }
        if let base {
            let image = try await store.image(base)
            guard image.content == .rootFilesystem else {
                throw EngineError(.unsupported, "image \(base) is no root filesystem, so no layer can be put on it")
            }
            layers = image.layers.map {
                Descriptor(mediaType: Self.neutral($0.mediaType), digest: $0.digest, size: $0.size)
            }
            let bytes = try await store.read(image.config)
            document = try JSONDecoder().decode([String: Metadata].self, from: Data(bytes))
        }
        if let layer { layers.append(layer.0) }
        apply(change, diffID: layer?.diffID, to: &document)
        let config = try CanonicalJSON.bytes(document)
        return try await ImageImporter(store: store, platform: platform).finish(config, MediaType.config, layers)
    }

    /// Fields that are not known here stay as the base has them.
    private func apply(_ change: Change, diffID: ContentDigest?, to document: inout [String: Metadata]) {
        document["created"] = .string(change.created)
        document["author"] = change.author.map { .string($0) }
        // What Docker notes about the container that an image was made of.
        for key in ["container", "container_config", "parent", "id"] { document[key] = nil }
        var members: [String: Metadata] = [:]
        if case .object(let known)? = document["config"] { members = known }
        for key in Self.executionKeys { members[key] = nil }
        if case .object(let new)? = Self.metadata(ImageConfiguration.Execution(change.config)) {
            members.merge(new) { $1 }
        }
        document["config"] = .object(members)
        var history: [Metadata] = []
        if case .array(let known)? = document["history"] { history = known }
        var step: [String: Metadata] = ["created": .string(change.created), "created_by": .string(change.createdBy)]
        if let author = change.author { step["author"] = .string(author) }
        if let comment = change.comment, !comment.isEmpty { step["comment"] = .string(comment) }
        if let diffID {
            var ids: [Metadata] = []
            if case .array(let known)? = document["rootfs"]?["diff_ids"] { ids = known }
            document["rootfs"] = ["type": "layers", "diff_ids": .array(ids + [.string(diffID.description)])]
        } else {
            step["empty_layer"] = true
        }
        document["history"] = .array(history + [.object(step)])
    }

    private static let executionKeys = [
        "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
        "Healthcheck",
    ]

    /// The value as a tree, by way of its JSON.
    private static func metadata(_ value: some Encodable) -> Metadata? {
        guard let bytes = try? CanonicalJSON.bytes(value) else { return nil }
        return try? JSONDecoder().decode(Metadata.self, from: Data(bytes))
    }

    /// A manifest of the OCI's names layers by the OCI's media types.
    public static func neutral(_ type: String) -> String {
        switch type {
        case MediaType.dockerLayer: MediaType.layer
        case MediaType.dockerLayerGzip: MediaType.layerGzip
        case MediaType.dockerLayerZstd: MediaType.layerZstd
        default: type
        }
    }
}
