internal import FoundationEssentials
public import Model

/// An image of one platform whose content is known: the answer of every way to bring an image in.
public struct StoredImage: Sendable, Hashable, Codable {
    /// What the reference led to: an index, or the manifest itself.
    public var target: ContentDigest
    /// The image's identity.
    public var manifest: ContentDigest
    /// Of the manifest.
    public var mediaType: String
    public var config: ContentDigest
    public var platform: Platform
    public var content: ImageContent
    /// Lowest first. One layer for a disk or a module.
    public var layers: [Layer]
    /// How to run it; empty for disks and modules.
    public var imageConfig: ImageConfig
    /// How the disk boots; nil unless `content` is `disk`.
    public var disk: DiskConfiguration?
    /// RFC 3339; nil if the image does not say.
    public var created: String?
    /// Who made it, if the image says so.
    public var author: String?
    public var history: [ImageConfiguration.History]
    /// Bytes of manifest, configuration and layers as they are transferred and stored.
    public var size: Int64

    /// One layer as it is stored.
    public struct Layer: Sendable, Hashable, Codable {
        public var digest: ContentDigest
        /// Digest of the uncompressed tar; nil for a disk or a module.
        public var diffID: ContentDigest?
        /// Bytes as stored.
        public var size: Int64
        public var mediaType: String
    }

    /// Puts an image together from its checked manifest and its configuration blob.
    /// - Throws: `invalidArgument` if the two do not fit each other, `unsupported` for what is no image.
    public init(
        target: ContentDigest?, manifest digest: ContentDigest, manifestSize: Int64, _ document: ImageManifest,
        config bytes: [UInt8]
    ) throws {
        let content = try Self.content(of: document, digest)
        self.target = target ?? digest
        manifest = digest
        mediaType = document.mediaType ?? MediaType.manifest
        config = document.config.digest
        self.content = content
        imageConfig = ImageConfig()
        history = []
        size = document.layers.reduce(manifestSize + document.config.size) { $0 + $1.size }
        var diffIDs: [ContentDigest?] = document.layers.map { _ in nil }
        switch content {
        case .rootFilesystem:
            let configuration = try ImageConfiguration(parsing: bytes)
            guard configuration.rootfs.diffIDs.count == document.layers.count else {
                throw EngineError(
                    .invalidArgument,
                    "image \(digest) has \(document.layers.count) layers, its configuration names \(configuration.rootfs.diffIDs.count)"
                )
            }
            guard configuration.architecture != "wasm" else {
                throw EngineError(
                    .unsupported, "image \(digest) holds a WASM module inside of a root filesystem",
                    hint: "only artifacts are taken whose one layer is the module; import the .wasm file itself")
            }
            diffIDs = configuration.rootfs.diffIDs
            platform = configuration.platform
            imageConfig = ImageConfig(configuration)
            created = configuration.created
            author = configuration.author
            history = configuration.history ?? []
        case .disk:
            let configuration = try Self.decode(DiskConfiguration.self, bytes, "disk configuration")
            guard configuration.firmware == "bios" || configuration.firmware == "uefi" else {
                throw EngineError(
                    .invalidArgument, "disk image \(digest) asks for firmware \(Names.quoted(configuration.firmware))",
                    hint: "'bios' and 'uefi' are known")
            }
            platform = Platform(os: configuration.os, architecture: configuration.architecture)
            disk = configuration
            created = configuration.created
        case .module:
            // Tools disagree about the configuration of a module; the module itself says all that is needed.
            let configuration = try? Self.decode(ModuleConfiguration.self, bytes, "module configuration")
            platform = Platform(os: configuration?.os ?? "wasip1", architecture: "wasm")
            created = configuration?.created
        }
        layers = zip(document.layers, diffIDs).map {
            Layer(digest: $0.digest, diffID: $1, size: $0.size, mediaType: $0.mediaType)
        }
    }

    /// What an image's layers are; refuses what cannot run and what would be fetched from third parties.
    public static func content(of manifest: ImageManifest, _ digest: ContentDigest) throws -> ImageContent {
        let types = manifest.layers.map(\.mediaType)
        if let foreign = types.first(where: MediaType.isForeignLayer) {
            throw EngineError(
                .unsupported,
                "image \(digest) has a layer of type \(foreign), whose content lies outside of the registry")
        }
        if types.count == 1, MediaType.isModuleLayer(types[0]) { return .module }
        if types.count == 1, MediaType.isDiskLayer(types[0]) { return .disk }
        let isImage = [MediaType.config, MediaType.dockerConfig].contains(manifest.config.mediaType)
        // One without any layer says how to run what is mounted in it, or is the base of others (`FROM scratch`).
        if isImage, types.allSatisfy(MediaType.isFilesystemLayer) { return .rootFilesystem }
        let odd = types.first { !MediaType.isFilesystemLayer($0) }
        let what =
            !isImage
            ? "its configuration is \(Names.quoted(manifest.config.mediaType))"
            : odd.map { "it has a layer of type \(Names.quoted($0))" } ?? "it cannot be read"
        throw EngineError(.unsupported, "\(digest) is not an image that can run: \(what)")
    }

    private static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String) throws -> T {
        try JSONGuard.check(bytes, what: what, maxBytes: ManifestDocument.Bounds.configBytes)
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw EngineError(.invalidArgument, "\(what) cannot be read: \(error.explanation)")
        }
    }
}
