import Model

/// A build by a Dockerfile.
public struct BuildRequest: Sendable {
    /// Folder with the build context, of this build alone.
    public var context: String
    /// The Dockerfile's path in the context.
    public var dockerfile: String
    /// References that the image gets; full.
    public var tags: [String]
    /// Values of ARGs; nil takes the value from no one and leaves the Dockerfile's default.
    public var arguments: [String: String]
    public var labels: [String: String]
    /// Name of the stage to stop at; nil: the last.
    public var target: String?
    public var noCache: Bool
    /// Fetch base images even if they are here.
    public var pull: Bool
    /// Join all new layers to one.
    public var squash: Bool
    /// As uname(2) says it.
    public var architecture: String
    /// `default` or `host`: the host's network; `none`.
    public var network: String
    /// `name:address`.
    public var extraHosts: [String]
    /// Bytes of memory that each step may use; nil: no limit.
    public var memory: Int64?
    public var shmSize: Int64?
    /// Secrets by id: paths of files that hold them.
    public var secrets: [String: String]
    /// Agent sockets and keys by id: paths.
    public var ssh: [String: String]
    /// Images whose layers may stand for steps.
    public var cacheFrom: [String]
    /// Credentials by registry.
    public var credentials: [String: RegistryCredentials]

    public init(
        context: String, dockerfile: String = "Dockerfile", tags: [String] = [], arguments: [String: String] = [:],
        labels: [String: String] = [:], target: String? = nil, noCache: Bool = false, pull: Bool = false,
        squash: Bool = false, architecture: String, network: String = "default", extraHosts: [String] = [],
        memory: Int64? = nil, shmSize: Int64? = nil, secrets: [String: String] = [:], ssh: [String: String] = [:],
        cacheFrom: [String] = [], credentials: [String: RegistryCredentials] = [:]
    ) {
        self.context = context
        self.dockerfile = dockerfile
        self.tags = tags
        self.arguments = arguments
        self.labels = labels
        self.target = target
        self.noCache = noCache
        self.pull = pull
        self.squash = squash
        self.architecture = architecture
        self.network = network
        self.extraHosts = extraHosts
        self.memory = memory
        self.shmSize = shmSize
        self.secrets = secrets
        self.ssh = ssh
        self.cacheFrom = cacheFrom
        self.credentials = credentials
    }
}

/// Builds images by Dockerfiles.
public protocol ImageBuilder: Sendable {
    /// Whether the builder is there and works.
    func check() async -> HostCheck
    /// Names of the images that the Dockerfile's stages and copies start from, as written, `scratch` and stages left out.
    func bases(of request: BuildRequest) async throws -> [String]
    /// Builds, and gives the path of an OCI layout (folder) of the image, to be removed by the caller. `bases` are
    /// layouts of base images by the name that the Dockerfile has. Cancelling the task ends the build and leaves nothing.
    /// - Parameter output: gets what builder and steps write, in lines.
    func build(
        _ request: BuildRequest, bases: [String: String], output: @escaping @Sendable (String) -> Void
    ) async throws -> String
    /// Removes what is kept between builds; gives the bytes freed.
    func prune() async throws -> Int64
    /// Bytes of what is kept between builds.
    func usage() async throws -> Int64
    /// Removes what interrupted builds left; called once at start.
    func recover() async throws
}
