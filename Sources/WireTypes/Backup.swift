extension API {
    /// `GET …/backups/{backup}` of an instance or a volume.
    public struct Backup: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var createdAt = ""
        /// `Timestamp.unset`: it is kept until it is deleted.
        @Zero public var expiresAt = ""
        /// Of instances.
        public var instanceOnly: Bool?
        public var containerOnly: Bool?
        /// Of volumes.
        public var volumeOnly: Bool?
        @Zero public var optimizedStorage = false
        /// Bytes of the archive.
        @Zero public var size: Int64 = 0

        enum CodingKeys: String, CodingKey {
            case name, size
            case createdAt = "created_at"
            case expiresAt = "expires_at"
            case instanceOnly = "instance_only"
            case containerOnly = "container_only"
            case volumeOnly = "volume_only"
            case optimizedStorage = "optimized_storage"
        }

        public init() {}
    }

    /// `POST …/backups`.
    public struct BackupsPost: Codable, Sendable, Hashable {
        /// Empty: `backup0`, `backup1`, ….
        @Zero public var name = ""
        /// Missing or `Timestamp.unset`: never.
        public var expiresAt: String?
        @Zero public var instanceOnly = false
        @Zero public var containerOnly = false
        @Zero public var volumeOnly = false
        @Zero public var optimizedStorage = false
        /// `none`, `gzip`, `bzip2`, `xz` or `zstd`, perhaps with a level; empty: as the server's settings say.
        @Zero public var compressionAlgorithm = ""

        enum CodingKeys: String, CodingKey {
            case name
            case expiresAt = "expires_at"
            case instanceOnly = "instance_only"
            case containerOnly = "container_only"
            case volumeOnly = "volume_only"
            case optimizedStorage = "optimized_storage"
            case compressionAlgorithm = "compression_algorithm"
        }

        public init() {}
    }

    /// `POST …/backups/{backup}`.
    public struct BackupPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        public init() {}
    }

    /// Headers of an upload that becomes an instance or a volume.
    public enum BackupHeader {
        /// Of the new instance or volume; missing: as in the archive.
        public static let name = "X-LXD-name"
        public static let pool = "X-LXD-pool"
    }
}
