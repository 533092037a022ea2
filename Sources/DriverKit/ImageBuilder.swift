public import Model

/// A build by a Dockerfile.
public struct BuildRequest: Sendable {
    /// A tar, compressed or not, with the build context.
    public var context: String
    /// The Dockerfile's path in the context.
    public var dockerfile: String
    /// Values of ARGs.
    public var arguments: [String: String]
    public var labels: [String: String]
    /// Name or number of the stage to stop at; nil: the last.
    public var target: String?
    public var noCache: Bool
    /// Fetch base images even if they are here.
    public var pull: Bool
    /// Join all new layers to one.
    public var squash: Bool
    /// As uname(2) says it.
    public var architecture: String
    /// False: steps have no network.
    public var hasNetwork: Bool
    /// `name:address`.
    public var extraHosts: [String]
    public var shmSize: Int64?
    /// Secrets by id.
    public var secrets: [String: [UInt8]]
    /// Agent sockets of this host by id.
    public var ssh: [String: String]
    /// Images whose layers may stand for steps.
    public var cacheFrom: [String]

    public init(
        context: String, dockerfile: String = "Dockerfile", arguments: [String: String] = [:],
        labels: [String: String] = [:], target: String? = nil, noCache: Bool = false, pull: Bool = false,
        squash: Bool = false, architecture: String, hasNetwork: Bool = true, extraHosts: [String] = [],
        shmSize: Int64? = nil, secrets: [String: [UInt8]] = [:], ssh: [String: String] = [:], cacheFrom: [String] = []
    ) {
        self.context = context
        self.dockerfile = dockerfile
        self.arguments = arguments
        self.labels = labels
        self.target = target
        self.noCache = noCache
        self.pull = pull
        self.squash = squash
        self.architecture = architecture
        self.hasNetwork = hasNetwork
        self.extraHosts = extraHosts
        self.shmSize = shmSize
        self.secrets = secrets
        self.ssh = ssh
        self.cacheFrom = cacheFrom
    }
}

/// An image that a build starts from, in the content store.
public struct BuildBase: Sendable {
    public var image: ImageRecord
    /// Paths of its blobs, the manifest's too, by digest; must not be written to.
    public var blobs: [String: String]

    public init(image: ImageRecord, blobs: [String: String]) {
        self.image = image
        self.blobs = blobs
    }
}

/// What a build made.
public struct BuiltImage: Sendable {
    /// The configuration blob.
    public var config: [UInt8]
    /// Lowest first: digest of the uncompressed tar, and its file; nil for a layer of a base.
    public var layers: [(diffID: String, path: String?)]

    public init(config: [UInt8], layers: [(diffID: String, path: String?)]) {
        self.config = config
        self.layers = layers
    }
}

/// Builds images by Dockerfiles.
///
///     let work = try await builder.prepare(request)              // the context is unpacked, the Dockerfile read
///     let image = try await builder.build(work, bases: …) { … }  // `bases` are what `work.bases` names
///     // … the image is brought into the store …
///     await builder.finish(work)
public protocol ImageBuilder: Sendable {
    /// Whether the builder is there and works.
    func check() async -> HostCheck
    /// Reads context and Dockerfile; `invalidArgument` if they are damaged.
    func prepare(_ request: BuildRequest) async throws -> BuildWork
    /// Builds. Cancelling the task ends all that the build started.
    /// - Parameter bases: by the names of `work.bases`.
    /// - Parameter output: gets lines as Docker's classic builder prints them.
    func build(_ work: BuildWork, bases: [String: BuildBase], output: @escaping @Sendable (String) -> Void) async throws
        -> BuiltImage
    /// Removes the build's files; what it cached stays.
    func finish(_ work: BuildWork) async
    /// Removes what is kept between builds; gives the bytes freed. `busy` while there are builds.
    func prune() async throws -> Int64
    /// Bytes of what is kept between builds.
    func usage() async throws -> Int64
    /// Removes what interrupted builds left; called once at start.
    func recover() async throws
}

/// A build that was prepared.
public struct BuildWork: Sendable {
    /// Twelve hexadecimal digits.
    public var id: String
    public var request: BuildRequest
    /// Folder of the build's own.
    public var folder: String
    /// Names of images that stages and copies start from, as a person would pull them.
    public var bases: [String]
    /// Instructions that are carried out.
    public var steps: Int

    public init(id: String, request: BuildRequest, folder: String, bases: [String], steps: Int) {
        self.id = id
        self.request = request
        self.folder = folder
        self.bases = bases
        self.steps = steps
    }
}
