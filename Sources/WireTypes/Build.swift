extension API {
    /// What `POST /1.0/images/build` (Isle's) is to do; as percent-encoded JSON in the header `X-Isle-build`. The body
    /// is a tar of the build context, compressed or not.
    public struct BuildPost: Codable, Sendable, Hashable {
        public static let header = "X-Isle-build"

        /// Path in the context.
        @Zero public var dockerfile = ""
        @Zero public var tags: [String] = []
        @Zero public var arguments: [String: String] = [:]
        @Zero public var labels: [String: String] = [:]
        public var target: String?
        @Zero public var noCache = false
        @Zero public var pull = false
        @Zero public var squash = false
        /// `default` or `none`.
        public var network: String?
        @Zero public var extraHosts: [String] = []
        public var shmSize: Int64?
        /// Content of secrets by id.
        @Zero public var secrets: [String: String] = [:]
        /// Agent sockets of the daemon's host by id; only for root.
        @Zero public var ssh: [String: String] = [:]
        @Zero public var cacheFrom: [String] = []

        enum CodingKeys: String, CodingKey {
            case dockerfile, tags, arguments, labels, target, pull, squash, network, secrets, ssh
            case noCache = "no_cache"
            case extraHosts = "extra_hosts"
            case shmSize = "shm_size"
            case cacheFrom = "cache_from"
        }

        public init() {}
    }

    /// One line of the answer to a build. Blank lines between them only show that the build goes on.
    public struct BuildEvent: Codable, Sendable, Hashable {
        /// What builder and steps print.
        public var line: String?
        /// The last one, when it worked.
        public var fingerprint: String?
        public var references: [String]?
        /// The last one, when it failed: why, and the HTTP status that says the same.
        public var error: String?
        public var errorCode: Int?

        enum CodingKeys: String, CodingKey {
            case line, fingerprint, references, error
            case errorCode = "error_code"
        }

        public init(line: String? = nil) { self.line = line }
    }
}
