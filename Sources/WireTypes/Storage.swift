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
        @Zero public var name = ""
        @Zero public var description = ""
        /// `custom`, `container`, `virtual-machine` or `image`.
        @Zero public var type = "custom"
        @Zero public var contentType = "filesystem"
        @Zero public var createdAt = ""
        @Zero public var location = "none"
        @Zero public var config: [String: String] = [:]
        /// Paths of instances and profiles.
        @Zero public var usedBy: [String] = []
        /// Isle's: where its files are on the host.
        public var path: String?

        enum CodingKeys: String, CodingKey {
            case name, description, type, location, config, path
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

        enum CodingKeys: String, CodingKey {
            case name, type, description, config
            case contentType = "content_type"
        }

        public init() {}
    }

    /// `PUT` and `PATCH` of a volume.
    public struct StorageVolumePut: Codable, Sendable, Hashable {
        public var config: [String: String]?
        public var description: String?
        public init() {}
    }

    /// `GET …/volumes/{type}/{name}/state`.
    public struct StorageVolumeState: Codable, Sendable, Hashable {
        public var usage: StoragePoolResources.Amount?
        public init() {}
    }
}
