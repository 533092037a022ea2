extension API {
    /// `POST /1.0/images` with a JSON body. A body of `application/octet-stream` is the file itself instead (an OCI
    /// layout or docker-archive tar, a root filesystem tar, a `.wasm`, a disk image), described by the headers named
    /// in `ImageUploadHeader`.
    public struct ImagesPost: Codable, Sendable, Hashable {
        @Zero public var filename = ""
        @Zero public var isPublic = false
        @Zero public var autoUpdate = false
        @Zero public var properties: [String: String] = [:]
        public var expiresAt: String?
        public var source: ImagesPostSource?
        public var compressionAlgorithm: String?
        public var aliases: [ImageAlias]?
        public var profiles: [String]?

        enum CodingKeys: String, CodingKey {
            case filename, properties, source, aliases, profiles
            case isPublic = "public"
            case autoUpdate = "auto_update"
            case expiresAt = "expires_at"
            case compressionAlgorithm = "compression_algorithm"
        }

        public init() {}
    }

    /// Where the image is to come from.
    public struct ImagesPostSource: Codable, Sendable, Hashable {
        /// LXD's `image`, `instance`, `url`; Isle's: `registry` (pull `reference`), `bootstrap` (build `reference`, as
        /// `debian/bookworm`, from the distribution's mirror), `file` (import `path` of the server, unix socket only).
        @Zero public var type = ""
        public var mode: String?
        public var server: String?
        public var `protocol`: String?
        public var alias: String?
        public var fingerprint: String?
        public var imageType: String?
        public var certificate: String?
        public var secret: String?
        public var url: String?
        /// The instance, for `instance`.
        public var name: String?
        public var project: String?

        // Isle's own.

        public var reference: String?
        public var path: String?
        /// What the file is, never guessed for disks: `oci`, `docker`, `rootfs`, `wasm`, `raw`, `qcow2`, `vmdk`,
        /// `vdi`, `vpc`, `vhdx`, `ova`; nil: told from the name's ending.
        public var format: String?
        /// `amd64`, `arm64`, …; nil is the host's.
        public var architecture: String?
        /// For `bootstrap`: `minbase` or `system`.
        public var variant: String?
        public var mirror: String?
        public var packages: [String]?
        /// Credentials for the registry, for this pull only.
        public var username: String?
        public var password: String?

        enum CodingKeys: String, CodingKey {
            case type, mode, server, `protocol`, alias, fingerprint, certificate, secret, url, name, project
            case reference, path, format, architecture, variant, mirror, packages, username, password
            case imageType = "image_type"
        }

        public init() {}
    }

    /// Headers of an upload to `POST /1.0/images`.
    public enum ImageUploadHeader {
        /// The hexadecimal SHA-256 that the file must have.
        public static let fingerprint = "X-LXD-fingerprint"
        public static let filename = "X-LXD-filename"
        public static let isPublic = "X-LXD-public"
        /// URL-encoded `key=value` pairs.
        public static let properties = "X-LXD-properties"
        /// URL-encoded `profile=name` pairs.
        public static let profiles = "X-LXD-profiles"
        /// URL-encoded `alias=name` pairs.
        public static let aliases = "X-LXD-aliases"
        /// Isle's: the reference it gets.
        public static let reference = "X-Isle-reference"
        /// Isle's: see `ImagesPostSource.format`.
        public static let format = "X-Isle-format"
    }

    /// `PUT` and `PATCH /1.0/images/{fingerprint}`.
    public struct ImagePut: Codable, Sendable, Hashable {
        public var autoUpdate: Bool?
        public var properties: [String: String]?
        public var isPublic: Bool?
        public var expiresAt: String?
        public var profiles: [String]?

        enum CodingKeys: String, CodingKey {
            case properties, profiles
            case autoUpdate = "auto_update"
            case isPublic = "public"
            case expiresAt = "expires_at"
        }

        public init() {}
    }

    /// `POST /1.0/instances/{name}/commit` (Isle's): an image of what the instance is now.
    public struct InstanceCommitPost: Codable, Sendable, Hashable {
        /// Name of the image; empty: none.
        @Zero public var reference = ""
        public var author: String?
        public var comment: String?
        /// Pause it meanwhile; nil: yes.
        public var pause: Bool?
        public init() {}
    }

    /// `GET /1.0/instances/{name}/changes` (Isle's): one path that differs from the image.
    public struct PathChange: Codable, Sendable, Hashable {
        /// Absolute inside the instance.
        @Zero public var path = ""
        /// `added`, `modified` or `deleted`.
        @Zero public var kind = ""
        public init() {}
    }

    /// `POST /1.0/images/{fingerprint}/push` (Isle's).
    public struct ImagePushPost: Codable, Sendable, Hashable {
        /// Where to, as `localhost:5000/team/app:1`.
        @Zero public var reference = ""
        public var username: String?
        public var password: String?
        public init() {}
    }

    /// `POST /1.0/images/prune` (Isle's).
    public struct ImagesPrunePost: Codable, Sendable, Hashable {
        /// Also images that have a reference but no instance.
        @Zero public var all = false
        public init() {}
    }

    /// What a prune removed.
    public struct ImagesPruneResult: Codable, Sendable, Hashable {
        /// Fingerprints.
        @Zero public var removed: [String] = []
        /// Bytes freed on disk.
        @Zero public var freed: Int64 = 0
        public init() {}
    }
}
