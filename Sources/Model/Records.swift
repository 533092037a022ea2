/// An image in the store.
public struct ImageRecord: Sendable, Codable, Hashable {
    /// One layer or file of an image.
    public struct Layer: Sendable, Codable, Hashable {
        /// Digest of the blob as it is stored, `sha256:…`.
        public var digest: String
        /// Digest of the uncompressed content (OCI diff_id); for a disk or a module the blob's own.
        public var diffID: String
        /// Bytes of the blob.
        public var size: Int64
        public var mediaType: String
        public init(digest: String, diffID: String, size: Int64, mediaType: String) {
            self.digest = digest
            self.diffID = diffID
            self.size = size
            self.mediaType = mediaType
        }
    }

    /// Digest of the manifest: the image's identity.
    public var digest: String
    public var content: ImageContent
    /// As uname(2) says it; empty if the image does not say (a WASM module).
    public var architecture: String
    public var config: ImageConfig
    /// Digest of the config blob.
    public var configDigest: String
    public var manifestMediaType: String
    public var layers: [Layer]
    /// The image's first program is an init: it becomes a system container unless asked otherwise.
    public var hasInit: Bool
    /// Bytes of manifest, config and layers as stored.
    public var size: Int64
    /// Seconds since 1970: when the image was made (as it says itself), brought here, last used.
    public var createdAt: Double?
    public var addedAt: Double
    public var lastUsedAt: Double
    /// `os`, `release`, `description`, `serial`, … for people.
    public var properties: [String: String]
    /// What LXD's clients set about an image; nil: nothing was set.
    public var details: ImageDetails?
    /// Where it came from, if newer ones may be asked for there.
    public var origin: ImageOrigin?
    /// What it has as an image of LXD; nil: it came in another way.
    public var bundle: ImageBundle?
    /// Projects that show it; nil: the default project. Empty: it was deleted, and instances still rest on it.
    public var projects: [String]?

    public init(
        digest: String, content: ImageContent, architecture: String, config: ImageConfig, configDigest: String,
        manifestMediaType: String, layers: [Layer], hasInit: Bool, size: Int64, createdAt: Double?,
        addedAt: Double, lastUsedAt: Double, properties: [String: String] = [:]
    ) {
        self.digest = digest
        self.content = content
        self.architecture = architecture
        self.config = config
        self.configDigest = configDigest
        self.manifestMediaType = manifestMediaType
        self.layers = layers
        self.hasInit = hasInit
        self.size = size
        self.createdAt = createdAt
        self.addedAt = addedAt
        self.lastUsedAt = lastUsedAt
        self.properties = properties
    }
}

/// A named set of configuration and devices for many instances.
public struct ProfileRecord: Sendable, Codable, Hashable {
    public var project: String
    public var name: String
    public var description: String
    public var config: [String: String]
    public var devices: [String: [String: String]]
    public init(
        project: String = "default", name: String, description: String = "", config: [String: String] = [:],
        devices: [String: [String: String]] = [:]
    ) {
        self.project = project
        self.name = name
        self.description = description
        self.config = config
        self.devices = devices
    }
}

/// A named folder that outlives instances.
public struct VolumeRecord: Sendable, Codable, Hashable {
    public var project: String
    public var pool: String
    public var name: String
    public var description: String
    public var config: [String: String]
    /// Seconds since 1970.
    public var createdAt: Double
    /// nil: a folder of files.
    public var content: VolumeContent?
    /// The instance that it was made for because the instance's image names a volume there; nil: made by its name.
    public var madeFor: InstanceID?
    /// True: an instance has had it, and it is not filled from an image any more. False: filling it was begun.
    public var isUsed: Bool?

    /// Whether nobody gave it its name.
    public var isAnonymous: Bool { madeFor != nil }

    public init(
        project: String = "default", pool: String = "default", name: String, description: String = "",
        config: [String: String] = [:], createdAt: Double, content: VolumeContent? = nil,
        madeFor: InstanceID? = nil
    ) {
        self.content = content
        self.project = project
        self.pool = pool
        self.name = name
        self.description = description
        self.config = config
        self.createdAt = createdAt
        self.madeFor = madeFor
    }
}

/// Addresses that one interface of one instance holds for its life.
public struct AddressReservation: Sendable, Codable, Hashable {
    public var instance: InstanceID
    public var device: String
    public var network: String
    public var mac: String
    public var ipv4: String?
    public var ipv6: String?
    public init(
        instance: InstanceID, device: String, network: String, mac: String, ipv4: String?, ipv6: String?
    ) {
        self.instance = instance
        self.device = device
        self.network = network
        self.mac = mac
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }
}
