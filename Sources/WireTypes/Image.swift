extension API {
    /// `GET /1.0/images/{fingerprint}`.
    public struct Image: Codable, Sendable, Hashable {
        /// The hexadecimal digits of the manifest's SHA-256.
        @Zero public var fingerprint = ""
        @Zero public var aliases: [ImageAlias] = []
        @Zero public var architecture = ""
        @Zero public var autoUpdate = false
        @Zero public var cached = false
        @Zero public var createdAt = ""
        @Zero public var expiresAt = ""
        @Zero public var filename = ""
        @Zero public var lastUsedAt = ""
        @Zero public var profiles: [String] = []
        @Zero public var project = "default"
        @Zero public var properties: [String: String] = [:]
        @Zero public var isPublic = false
        /// Bytes of all blobs, as transferred.
        @Zero public var size: Int64 = 0
        /// `container` or `virtual-machine`.
        @Zero public var type = "container"
        public var updateSource: ImageSource?
        @Zero public var uploadedAt = ""

        // Isle's own.

        /// Every reference of the store that leads to it, as `docker.io/library/alpine:latest`.
        public var references: [String]?
        /// `root-filesystem`, `disk` or `module`.
        public var content: String?
        /// The kinds of instance it can become; the first is what it becomes unless another is asked for.
        public var kinds: [String]?
        public var layers: [ImageLayer]?
        /// What the image says about running it, as in an OCI image configuration.
        public var config: ImageRunConfig?
        /// Bytes that only this image occupies on disk, unpacked layers among them; nil where not worked out.
        public var diskUsage: Int64?
        /// Names of the instances made from it.
        public var usedBy: [String]?

        enum CodingKeys: String, CodingKey {
            case fingerprint, aliases, architecture, cached, filename, profiles, project, properties, size, type
            case references, content, kinds, layers, config
            case autoUpdate = "auto_update"
            case createdAt = "created_at"
            case expiresAt = "expires_at"
            case lastUsedAt = "last_used_at"
            case isPublic = "public"
            case updateSource = "update_source"
            case uploadedAt = "uploaded_at"
            case diskUsage = "disk_usage"
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// A name that leads to an image, inside an image.
    public struct ImageAlias: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        public init() {}
        public init(name: String, description: String = "") {
            self.name = name
            self.description = description
        }
    }

    /// `GET /1.0/images/aliases/{name}`; posted to `/1.0/images/aliases` to make one.
    public struct ImageAliasesEntry: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        /// Fingerprint.
        @Zero public var target = ""
        @Zero public var type = "container"
        public init() {}
    }

    /// `PATCH /1.0/images/aliases/{name}`; nil leaves what is there.
    public struct ImageAliasPatch: Codable, Sendable, Hashable {
        public var description: String?
        public var target: String?
        public init() {}
    }

    /// Where an image came from.
    public struct ImageSource: Codable, Sendable, Hashable {
        @Zero public var alias = ""
        @Zero public var certificate = ""
        @Zero public var `protocol` = ""
        @Zero public var server = ""
        @Zero public var imageType = ""

        enum CodingKeys: String, CodingKey {
            case alias, certificate, `protocol`, server
            case imageType = "image_type"
        }

        public init() {}
    }

    /// One layer, lowest first (Isle's).
    public struct ImageLayer: Codable, Sendable, Hashable {
        /// Of the blob as transferred.
        @Zero public var digest = ""
        @Zero public var size: Int64 = 0
        @Zero public var mediaType = ""
        /// Of the uncompressed tar.
        public var diffID: String?

        enum CodingKeys: String, CodingKey {
            case digest, size
            case mediaType = "media_type"
            case diffID = "diff_id"
        }

        public init() {}
    }

    /// How an image wants to be run (Isle's).
    public struct ImageRunConfig: Codable, Sendable, Hashable {
        public var user: String?
        public var exposedPorts: [String]?
        public var env: [String]?
        public var entrypoint: [String]?
        public var cmd: [String]?
        public var volumes: [String]?
        public var workingDirectory: String?
        public var labels: [String: String]?
        public var stopSignal: String?

        enum CodingKeys: String, CodingKey {
            case user, env, entrypoint, cmd, volumes, labels
            case exposedPorts = "exposed_ports"
            case workingDirectory = "working_directory"
            case stopSignal = "stop_signal"
        }

        public init() {}
    }

    /// `GET /1.0/images/{fingerprint}/history` (Isle's): one step, the newest first.
    public struct ImageHistoryEntry: Codable, Sendable, Hashable {
        @Zero public var createdAt = ""
        @Zero public var createdBy = ""
        @Zero public var comment = ""
        @Zero public var size: Int64 = 0
        @Zero public var emptyLayer = false

        enum CodingKeys: String, CodingKey {
            case comment, size
            case createdAt = "created_at"
            case createdBy = "created_by"
            case emptyLayer = "empty_layer"
        }

        public init() {}
    }
}
