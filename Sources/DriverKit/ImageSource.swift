public import Model

/// An image that was brought into the content store: manifest, config and layers, all verified.
public struct IncomingImage: Sendable {
    /// Digest of the manifest, `sha256:…`.
    public var digest: String
    public var manifestMediaType: String
    public var configDigest: String
    public var content: ImageContent
    /// As uname(2) says it; empty if the image does not say.
    public var architecture: String
    public var config: ImageConfig
    /// Lowest first.
    public var layers: [ImageRecord.Layer]
    /// Bytes of manifest, config and layers.
    public var size: Int64
    /// Seconds since 1970, as the image says itself.
    public var createdAt: Double?
    /// References that an archive gives it.
    public var names: [String]
    public var properties: [String: String]
    /// What it is as an image of LXD, if it came as one.
    public var bundle: ImageBundle?

    public init(
        digest: String, manifestMediaType: String, configDigest: String, content: ImageContent, architecture: String,
        config: ImageConfig, layers: [ImageRecord.Layer], size: Int64, createdAt: Double?, names: [String] = [],
        properties: [String: String] = [:]
    ) {
        self.digest = digest
        self.manifestMediaType = manifestMediaType
        self.configDigest = configDigest
        self.content = content
        self.architecture = architecture
        self.config = config
        self.layers = layers
        self.size = size
        self.createdAt = createdAt
        self.names = names
        self.properties = properties
    }
}

/// How far a transfer is.
public struct TransferProgress: Sendable, Hashable {
    /// What is being done, in a few words: `pulling layer 2 of 5`.
    public var stage: String
    /// Bytes done and in all; nil if not known.
    public var done: Int64
    public var total: Int64?
    /// The blob that this report is about, where there is one.
    public var part: Part?

    /// How far one blob is.
    public struct Part: Sendable, Hashable {
        public enum State: String, Sendable {
            case waiting, transferring, transferred
            /// Was there before.
            case exists
            case unpacking, unpacked
        }
        /// `sha256:…`
        public var digest: String
        public var state: State
        /// Bytes done and in all.
        public var done: Int64
        public var total: Int64
        public init(digest: String, state: State, done: Int64, total: Int64) {
            self.digest = digest
            self.state = state
            self.done = done
            self.total = total
        }
    }

    public init(stage: String, done: Int64, total: Int64?, part: Part? = nil) {
        self.stage = stage
        self.done = done
        self.total = total
        self.part = part
    }
}

/// Name and secret for a registry; never logged.
public struct RegistryCredentials: Sendable {
    public var username: String
    public var password: String
    public init(username: String, password: String) {
        self.username = username
        self.password = password
    }
}

/// Asks registries without fetching anything.
public protocol RegistryFacet: Sendable {
    /// Checks that a registry (`docker.io`, `host:port`) answers and takes the credentials.
    ///
    /// - Throws: `permissionDenied` if it does not take them, `unavailable` if it does not answer.
    func check(_ registry: String, credentials: RegistryCredentials?) async throws
    /// What `reference` (full) names in its registry now. `notFound` if it names nothing.
    func resolve(_ reference: String, credentials: RegistryCredentials?) async throws -> RegistryEntry
    /// Repositories of a registry whose names hold `term`, at most `limit`. `unsupported` if it has no search.
    func search(
        _ registry: String, term: String, limit: Int, credentials: RegistryCredentials?
    ) async throws -> [RegistryMatch]
}

/// A repository that a search found.
public struct RegistryMatch: Sendable, Hashable {
    /// Without the registry.
    public var name: String
    public var description: String
    public var isOfficial: Bool
    public var stars: Int
    public init(name: String, description: String, isOfficial: Bool, stars: Int) {
        self.name = name
        self.description = description
        self.isOfficial = isOfficial
        self.stars = stars
    }
}

/// What a registry has under a name.
public struct RegistryEntry: Sendable {
    /// `sha256:…` of the manifest, or of the list of manifests.
    public var digest: String
    public var mediaType: String
    /// Bytes of the manifest.
    public var size: Int64
    public init(digest: String, mediaType: String, size: Int64) {
        self.digest = digest
        self.mediaType = mediaType
        self.size = size
    }
}

/// One line of an image's history.
public struct ImageHistoryEntry: Sendable, Codable, Hashable {
    /// RFC 3339, as the image states it.
    public var created: String?
    public var createdBy: String
    public var comment: String
    /// Bytes of the layer as stored; 0 if the step made none.
    public var size: Int64
    public init(created: String?, createdBy: String, comment: String, size: Int64) {
        self.created = created
        self.createdBy = createdBy
        self.comment = comment
        self.size = size
    }
}

/// The form of an exported image.
public enum ImageArchiveFormat: String, Sendable, Codable { case oci, docker }

/// Brings images into the content store and out of it. What is in the store is verified and never changes.
public protocol ImageSource: Sendable {
    /// The full references that `text` may mean, the most likely first (`alpine` →
    /// `docker.io/library/alpine:latest`). `invalidArgument` if it is none.
    func candidates(_ text: String) throws -> [String]
    /// Fetches the image that `reference` (full) names now for `architecture`.
    func pull(
        _ reference: String, architecture: String, credentials: RegistryCredentials?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage
    /// Uploads the image `digest` under `reference` (full).
    func push(
        _ digest: String, to reference: String, credentials: RegistryCredentials?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws
    /// Brings in a file: OCI layout or docker-archive tar, root filesystem tar, WASM, disk image; told by content.
    func importFile(
        _ path: String, architecture: String, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [IncomingImage]
    /// Brings in an OCI layout or docker-archive tar while it arrives at a pipe or socket.
    ///
    /// - Parameter name: what messages call the archive.
    func importStream(
        _ descriptor: OwnedDescriptor, name: String, architecture: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [IncomingImage]
    /// Makes a root filesystem of a distribution's suite from the machine's own mirror and brings it in.
    func bootstrap(
        distribution: String, suite: String, variant: String, architecture: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage
    /// Writes images with their names into one tar at `path`.
    func export(_ images: [(digest: String, names: [String])], format: ImageArchiveFormat, to path: String)
        async throws
    func history(_ digest: String) async throws -> [ImageHistoryEntry]
    /// The file that holds a blob. `notFound` if it is not in the store.
    func blob(_ digest: String) async throws -> String
    /// Removes every blob that none of the images `keeping` (manifest digests) needs; gives the bytes freed.
    func prune(keeping: Set<String>) async throws -> Int64
    /// Bytes that the store occupies on disk.
    func usage() async throws -> Int64
    /// Removes what interrupted work left; called once at start, before anything else.
    func recover() async throws
}
