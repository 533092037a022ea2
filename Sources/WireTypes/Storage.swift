extension API {
    /// `GET /1.0/storage-pools/{pool}`.
    public struct StoragePool: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        @Zero public var driver = ""
        @Zero public var status = "Created"
        @Zero public var config: [String: String] = [:]
        @Zero public var usedBy: [String] = []
        @Zero public var locations: [String] = []

        enum CodingKeys: String, CodingKey {
            case name, description, driver, status, config, locations
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// `POST /1.0/storage-pools`.
    public struct StoragePoolsPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        /// `dir` or `btrfs`.
        @Zero public var driver = ""
        @Zero public var config: [String: String] = [:]
        public init() {}
    }

    /// `PUT` and `PATCH` of a pool.
    public struct StoragePoolPut: Codable, Sendable, Hashable {
        public var config: [String: String]?
        public var description: String?
        public init() {}
    }

    /// `GET /1.0/storage-pools/{pool}/resources`.
    public struct StoragePoolResources: Codable, Sendable, Hashable {
        @Zero public var space = Amount()
        @Zero public var inodes = Amount()
        public init() {}

        public struct Amount: Codable, Sendable, Hashable, HasZero {
            @Zero public var used: Int64 = 0
            @Zero public var total: Int64 = 0
            public init() {}
            public static var zero: Amount { Amount() }
        }
    }

    /// `GET /1.0/storage-pools/{pool}/volumes/{type}/{name}`.
    public struct StorageVolume: Codable, Sendable, Hashable {
        /// Of a snapshot in a list: `VOLUME/SNAPSHOT`.
        @Zero public var name = ""
        @Zero public var description = ""
        /// `custom`, `container`, `virtual-machine` or `image`.
        @Zero public var type = "custom"
        @Zero public var contentType = "filesystem"
        @Zero public var createdAt = ""
        @Zero public var location = "none"
        @Zero public var project = "default"
        @Zero public var config: [String: String] = [:]
        /// Paths of instances and profiles.
        @Zero public var usedBy: [String] = []
        /// Isle's: where its files are on the host.
        public var path: String?
        /// Isle's: it was made for an instance whose image names a volume; nobody gave it its name.
        public var anonymous: Bool?

        enum CodingKeys: String, CodingKey {
            case name, description, type, location, project, config, path, anonymous
            case contentType = "content_type"
            case createdAt = "created_at"
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// `POST /1.0/storage-pools/{pool}/volumes[/custom]`.
    public struct StorageVolumesPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var type = "custom"
        @Zero public var contentType = "filesystem"
        @Zero public var description = ""
        @Zero public var config: [String: String] = [:]
        public var source: StorageVolumeSource?

        enum CodingKeys: String, CodingKey {
            case name, type, description, config, source
            case contentType = "content_type"
        }

        public init() {}
    }

    /// Headers of a file that is uploaded to become a volume.
    public enum VolumeUploadHeader {
        public static let name = "X-LXD-name"
        public static let type = "X-LXD-type"
        /// The type of a disc image.
        public static let disc = "iso"
    }

    /// What a volume is made from.
    public struct StorageVolumeSource: Codable, Sendable, Hashable {
        /// `copy`; empty: nothing.
        @Zero public var type = ""
        /// The volume, or `VOLUME/SNAPSHOT`.
        @Zero public var name = ""
        public var pool: String?
        public var project: String?
        public var volumeOnly: Bool?
        public var refresh: Bool?

        enum CodingKeys: String, CodingKey {
            case type, name, pool, project, refresh
            case volumeOnly = "volume_only"
        }

        public init() {}
    }

    /// `PUT` and `PATCH` of a volume.
    public struct StorageVolumePut: Codable, Sendable, Hashable {
        public var config: [String: String]?
        public var description: String?
        /// The snapshot to go back to.
        public var restore: String?
        public init() {}
    }

    /// `POST` of a volume or a snapshot of one: another name, pool or project.
    public struct StorageVolumePost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        public var pool: String?
        public var project: String?
        public var migration: Bool?
        public init() {}
    }

    /// `GET …/volumes/custom/{name}/snapshots/{snapshot}`.
    public struct VolumeSnapshot: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        @Zero public var config: [String: String] = [:]
        @Zero public var contentType = "filesystem"
        @Zero public var createdAt = ""
        /// `Timestamp.unset`: it is kept until it is deleted.
        public var expiresAt: String?

        enum CodingKeys: String, CodingKey {
            case name, description, config
            case contentType = "content_type"
            case createdAt = "created_at"
            case expiresAt = "expires_at"
        }

        public init() {}
    }

    /// `GET …/volumes/{type}/{name}/state`.
    public struct StorageVolumeState: Codable, Sendable, Hashable {
        public var usage: StoragePoolResources.Amount?
        public init() {}
    }
}
