public import DriverKit
public import Model

/// What a door asks the engine to create.
public struct CreateRequest: Sendable {
    public var project: String
    /// nil: the engine chooses a free one.
    public var name: String?
    /// nil: what the image is.
    public var kind: InstanceKind?
    /// A reference, an alias or a digest (prefix) of an image; nil: an instance without image, which needs a disk.
    public var image: String?
    /// Whether a missing image is fetched.
    public var pull: PullPolicy
    public var description: String
    public var config: [String: String]
    public var devices: [String: [String: String]]
    public var profiles: [String]
    public var ephemeral: Bool
    /// Paths that get a volume of their own, as those that the image names.
    public var volumes: [String] = []
    /// Without an image on purpose: nothing is in it yet.
    public var isEmpty = false
    /// nil: the engine makes one.
    public var id: InstanceID?
    /// What names are allowed.
    public var naming = Names.Naming.label
    /// Kept with the instance for the door that asks.
    public var annotations: [String: String]?

    public enum PullPolicy: String, Sendable, Codable { case always, missing, never }

    public init(
        project: String = "default", name: String? = nil, kind: InstanceKind? = nil, image: String?,
        pull: PullPolicy = .missing, description: String = "", config: [String: String] = [:],
        devices: [String: [String: String]] = [:], profiles: [String] = ["default"], ephemeral: Bool = false
    ) {
        self.project = project
        self.name = name
        self.kind = kind
        self.image = image
        self.pull = pull
        self.description = description
        self.config = config
        self.devices = devices
        self.profiles = profiles
        self.ephemeral = ephemeral
    }
}

/// An instance as it is now.
public struct InstanceView: Sendable {
    public var record: InstanceRecord
    /// With profiles merged.
    public var expanded: MergedConfig
    public var status: InstanceStatus
    /// Process id on the host of the first process.
    public var pid: Int32?
    /// Seconds since 1970; nil unless it runs.
    public var startedAt: Double?
    /// Starts by the restart policy since the user started it.
    public var restarts: Int
    /// Interfaces with addresses, also while it is stopped.
    public var endpoints: [NetworkEndpoint]
    public var usage: Usage?
    /// Bytes of memory that it may use: `limits.memory`; nil is no limit, or for a machine the driver's own size.
    public var memoryLimit: Int64?
    /// Oldest first.
    public var snapshots: [SnapshotRecord]
    /// What health tests have shown; nil if it does not run or is not tested.
    public var health: HealthState?
    /// With its usage: the host's ends of its interfaces, by name inside.
    public var hostEnds: [String: HostEnd] = [:]
    /// With its usage, of a container: its interfaces as they are inside; empty where `endpoints` say all.
    public var interfaces: [GuestInterface] = []
    /// With its usage; oldest first.
    public var backups: [BackupRecord] = []
}

/// Changes to an instance; nil leaves a part as it is.
public struct UpdateRequest: Sendable {
    public var description: String?
    public var config: [String: String]?
    public var devices: [String: [String: String]]?
    public var profiles: [String]?
    public var ephemeral: Bool?
    /// Keys to set, and, with an empty value, to take away; the others stay as they are at that moment.
    public var configChanges: [String: String]?
    /// Devices to set, and, without keys, to take away.
    public var deviceChanges: [String: [String: String]]?

    public init(
        description: String? = nil, config: [String: String]? = nil, devices: [String: [String: String]]? = nil,
        profiles: [String]? = nil, ephemeral: Bool? = nil
    ) {
        self.description = description
        self.config = config
        self.devices = devices
        self.profiles = profiles
        self.ephemeral = ephemeral
    }
}
