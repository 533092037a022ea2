/// Names content by media type, digest and size (OCI image-spec v1.1, descriptor.md).
public struct Descriptor: Hashable, Sendable, Codable {
    public var mediaType: String
    public var digest: ContentDigest
    /// Bytes.
    public var size: Int64
    /// Where a foreign layer lies; never followed.
    public var urls: [String]?
    public var annotations: [String: String]?
    public var platform: Platform?
    public var artifactType: String?

    public init(
        mediaType: String, digest: ContentDigest, size: Int64, urls: [String]? = nil,
        annotations: [String: String]? = nil, platform: Platform? = nil, artifactType: String? = nil
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.urls = urls
        self.annotations = annotations
        self.platform = platform
        self.artifactType = artifactType
    }

    /// The descriptor of `bytes`.
    public init(mediaType: String, bytes: [UInt8]) {
        self.init(mediaType: mediaType, digest: ContentDigest(of: bytes), size: Int64(bytes.count))
    }
}

/// An image for one platform: its configuration and its layers, lowest first (image-spec v1.1, manifest.md).
public struct ImageManifest: Hashable, Sendable, Codable {
    public var schemaVersion: Int
    public var mediaType: String?
    public var artifactType: String?
    public var config: Descriptor
    public var layers: [Descriptor]
    public var annotations: [String: String]?

    public init(
        mediaType: String = MediaType.manifest, artifactType: String? = nil, config: Descriptor,
        layers: [Descriptor], annotations: [String: String]? = nil
    ) {
        schemaVersion = 2
        self.mediaType = mediaType
        self.artifactType = artifactType
        self.config = config
        self.layers = layers
        self.annotations = annotations
    }
}

/// One name for images of several platforms (image-spec v1.1, image-index.md).
public struct ImageIndex: Hashable, Sendable, Codable {
    public var schemaVersion: Int
    public var mediaType: String?
    public var artifactType: String?
    public var manifests: [Descriptor]
    public var annotations: [String: String]?

    public init(mediaType: String = MediaType.index, manifests: [Descriptor], annotations: [String: String]? = nil) {
        schemaVersion = 2
        self.mediaType = mediaType
        self.manifests = manifests
        self.annotations = annotations
    }
}
