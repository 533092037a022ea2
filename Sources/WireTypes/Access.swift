extension API {
    /// `GET /1.0` for a client that is not trusted.
    public struct ServerUntrusted: Codable, Sendable, Hashable {
        @Zero public var apiExtensions: [String] = []
        @Zero public var apiStatus = "stable"
        @Zero public var apiVersion = "1.0"
        @Zero public var auth = "untrusted"
        @Zero public var authMethods: [String] = ["tls"]
        @Zero public var isPublic = false

        enum CodingKeys: String, CodingKey {
            case auth
            case isPublic = "public"
            case apiExtensions = "api_extensions"
            case apiStatus = "api_status"
            case apiVersion = "api_version"
            case authMethods = "auth_methods"
        }

        public init() {}
    }

    /// `GET /1.0/certificates/{fingerprint}`.
    public struct Certificate: Codable, Sendable, Hashable {
        @Zero public var name = ""
        /// `client` or `metrics`.
        @Zero public var type = "client"
        /// Confined to `projects`.
        @Zero public var restricted = false
        @Zero public var projects: [String] = []
        /// PEM.
        @Zero public var certificate = ""
        /// SHA-256 of the DER form.
        @Zero public var fingerprint = ""
        public init() {}
    }

    /// `POST /1.0/certificates`.
    public struct CertificatesPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var type = "client"
        @Zero public var restricted = false
        @Zero public var projects: [String] = []
        /// DER in base 64, or PEM; empty takes the certificate of the connection.
        @Zero public var certificate = ""
        /// The trust password, or a join token.
        @Zero public var password = ""
        /// Asks for a join token.
        @Zero public var token = false
        /// Isle's, and of later LXD: a join token.
        public var trustToken: String?

        enum CodingKeys: String, CodingKey {
            case name, type, restricted, projects, certificate, password, token
            case trustToken = "trust_token"
        }

        public init() {}
    }

    /// `PUT` and `PATCH /1.0/certificates/{fingerprint}`.
    public struct CertificatePut: Codable, Sendable, Hashable {
        public var name: String?
        public var type: String?
        public var restricted: Bool?
        public var projects: [String]?
        public var certificate: String?
        public init() {}
    }

    /// What a join token holds, as JSON in base 64.
    public struct CertificateAddToken: Codable, Sendable, Hashable {
        @Zero public var clientName = ""
        /// Of the server's certificate.
        @Zero public var fingerprint = ""
        @Zero public var addresses: [String] = []
        @Zero public var secret = ""
        public var expiresAt: String?

        enum CodingKeys: String, CodingKey {
            case fingerprint, addresses, secret
            case clientName = "client_name"
            case expiresAt = "expires_at"
        }

        public init() {}
    }

    /// `GET /1.0/projects/{name}`.
    public struct Project: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        /// `features.*`, `limits.*`, `restricted*`, `user.*`.
        @Zero public var config: [String: String] = [:]
        @Zero public var usedBy: [String] = []

        enum CodingKeys: String, CodingKey {
            case name, description, config
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// `POST /1.0/projects`.
    public struct ProjectsPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        @Zero public var config: [String: String] = [:]
        public init() {}
    }

    /// `PUT` and `PATCH /1.0/projects/{name}`.
    public struct ProjectPut: Codable, Sendable, Hashable {
        public var description: String?
        public var config: [String: String]?
        public init() {}
    }

    /// `GET /1.0/projects/{name}/state`.
    public struct ProjectState: Codable, Sendable, Hashable {
        @Zero public var resources: [String: ProjectStateResource] = [:]
        public init() {}
    }

    /// One bound of a project.
    public struct ProjectStateResource: Codable, Sendable, Hashable {
        /// -1 is none.
        @Zero public var limit: Int64 = -1
        @Zero public var usage: Int64 = 0

        enum CodingKeys: String, CodingKey {
            case limit = "Limit"
            case usage = "Usage"
        }

        public init(limit: Int64, usage: Int64) { (self.limit, self.usage) = (limit, usage) }
    }

    /// `GET /1.0/warnings/{uuid}`.
    public struct Warning: Codable, Sendable, Hashable {
        @Zero public var uuid = ""
        @Zero public var location = "none"
        @Zero public var project = ""
        /// What kind of trouble, in words.
        @Zero public var type = ""
        @Zero public var count = 0
        @Zero public var firstSeenAt = ""
        @Zero public var lastSeenAt = ""
        @Zero public var lastMessage = ""
        /// `low`, `moderate` or `high`.
        @Zero public var severity = ""
        /// `new`, `acknowledged` or `resolved`.
        @Zero public var status = ""
        @Zero public var entityURL = ""

        enum CodingKeys: String, CodingKey {
            case uuid, location, project, type, count, severity, status
            case firstSeenAt = "first_seen_at"
            case lastSeenAt = "last_seen_at"
            case lastMessage = "last_message"
            case entityURL = "entity_url"
        }

        public init() {}
    }

    /// `PUT` and `PATCH /1.0/warnings/{uuid}`.
    public struct WarningPut: Codable, Sendable, Hashable {
        /// `new` or `acknowledged`.
        @Zero public var status = ""
        public init() {}
    }
}
