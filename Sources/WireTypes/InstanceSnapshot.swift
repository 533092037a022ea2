extension API {
    /// `GET /1.0/instances/{name}/snapshots/{snapshot}`.
    public struct InstanceSnapshot: Codable, Sendable, Hashable {
        /// Of the snapshot alone.
        @Zero public var name = ""
        @Zero public var createdAt = ""
        @Zero public var lastUsedAt = ""
        /// `Timestamp.unset`: it is kept until it is deleted.
        public var expiresAt: String?
        @Zero public var stateful = false
        /// Bytes on disk; -1 if they were not counted.
        @Zero public var size: Int64 = 0
        @Zero public var architecture = ""
        @Zero public var ephemeral = false
        @Zero public var profiles: [String] = []
        @Zero public var config: [String: String] = [:]
        @Zero public var devices: [String: [String: String]] = [:]
        @Zero public var expandedConfig: [String: String] = [:]
        @Zero public var expandedDevices: [String: [String: String]] = [:]

        enum CodingKeys: String, CodingKey {
            case name, stateful, size, architecture, ephemeral, profiles, config, devices
            case createdAt = "created_at"
            case lastUsedAt = "last_used_at"
            case expiresAt = "expires_at"
            case expandedConfig = "expanded_config"
            case expandedDevices = "expanded_devices"
        }

        public init() {}
    }

    /// `POST …/snapshots`.
    public struct SnapshotsPost: Codable, Sendable, Hashable {
        /// Empty: made from `snapshots.pattern`.
        @Zero public var name = ""
        @Zero public var stateful = false
        /// Missing: as `snapshots.expiry` says; `Timestamp.unset`: never.
        public var expiresAt: String?
        /// Of volumes only.
        public var description: String?

        enum CodingKeys: String, CodingKey {
            case name, stateful, description
            case expiresAt = "expires_at"
        }

        public init() {}
    }

    /// `PUT` and `PATCH …/snapshots/{snapshot}`.
    public struct SnapshotPut: Codable, Sendable, Hashable {
        public var expiresAt: String?
        /// Of volumes only.
        public var description: String?

        enum CodingKeys: String, CodingKey {
            case description
            case expiresAt = "expires_at"
        }

        public init() {}
    }
}
