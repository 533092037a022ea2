/// A point in time that an instance can go back to.
public struct SnapshotRecord: Sendable, Codable, Identifiable {
    /// Of the snapshot itself; its files have this name.
    public let id: InstanceID
    public var name: String
    /// The instance as it was: its configuration, devices and profiles are those that a restore brings back.
    public var instance: InstanceRecord
    /// Seconds since 1970.
    public var createdAt: Double
    /// Seconds since 1970 at which it is removed by itself; nil: never.
    public var expiresAt: Double?

    public init(
        id: InstanceID, name: String, instance: InstanceRecord, createdAt: Double, expiresAt: Double? = nil
    ) {
        self.id = id
        self.name = name
        self.instance = instance
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }
}

/// A place where instances and volumes keep their files.
public struct PoolRecord: Sendable, Codable, Hashable {
    public var name: String
    public var description: String
    /// Name of the storage driver: `dir`, `btrfs`.
    public var driver: String
    public var config: [String: String]
    /// Seconds since 1970.
    public var createdAt: Double

    /// The pool that always exists.
    public static let standard = "default"

    public init(
        name: String, description: String = "", driver: String, config: [String: String] = [:], createdAt: Double
    ) {
        self.name = name
        self.description = description
        self.driver = driver
        self.config = config
        self.createdAt = createdAt
    }
}

/// The name of a custom volume in its pool, or of a snapshot of one.
public struct VolumeName: Sendable, Hashable {
    public var project: String
    public var name: String
    public var snapshot: String?

    public init(project: String = "default", name: String, snapshot: String? = nil) {
        self.project = project
        self.name = name
        self.snapshot = snapshot
    }
}

/// What a custom volume holds.
public enum VolumeContent: String, Sendable, Codable, CaseIterable {
    /// A folder of files.
    case filesystem
    /// The disk of a machine.
    case block
    /// A disc image, which is read only.
    case iso
}

/// A custom volume as it was.
public struct VolumeSnapshotRecord: Sendable, Codable, Hashable {
    public var project: String
    public var pool: String
    public var volume: String
    public var name: String
    public var description: String
    public var config: [String: String]
    /// Seconds since 1970.
    public var createdAt: Double
    /// Seconds since 1970 at which it is removed by itself; nil: never.
    public var expiresAt: Double?

    public init(
        project: String, pool: String, volume: String, name: String, description: String = "",
        config: [String: String] = [:], createdAt: Double, expiresAt: Double? = nil
    ) {
        self.project = project
        self.pool = pool
        self.volume = volume
        self.name = name
        self.description = description
        self.config = config
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }
}
