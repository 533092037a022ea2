extension API {
    /// `GET /1.0/instances/{name}`.
    public struct Instance: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        /// `Running`, `Stopped`, `Frozen`, `Starting`, `Stopping`, `Error`.
        @Zero public var status = ""
        @Zero public var statusCode = 0
        @Zero public var createdAt = ""
        @Zero public var lastUsedAt = ""
        /// The member of the cluster; `none`.
        @Zero public var location = "none"
        /// `container` or `virtual-machine`; the kind is in `kind`.
        @Zero public var type = ""
        @Zero public var project = "default"
        @Zero public var architecture = ""
        @Zero public var ephemeral = false
        @Zero public var stateful = false
        @Zero public var profiles: [String] = []
        /// The instance's own keys, and `volatile.*` of Isle.
        @Zero public var config: [String: String] = [:]
        @Zero public var devices: [String: [String: String]] = [:]
        /// With the profiles' keys below the own ones.
        @Zero public var expandedConfig: [String: String] = [:]
        @Zero public var expandedDevices: [String: [String: String]] = [:]
        /// With `recursion=2` only.
        public var state: InstanceState?
        public var snapshots: [InstanceSnapshot]?
        public var backups: [Backup]?

        // Isle's own.

        /// Sixteen hexadecimal digits, kept over renames.
        public var id: String?
        /// `application`, `system`, `machine` or `module`.
        public var kind: String?
        /// The reference that the image was asked for by.
        public var imageReference: String?
        /// How the last run ended; nil if it never ran or runs now.
        public var exit: InstanceExit?
        /// The bare addresses that the instance has, IPv4 first.
        public var addresses: [String]?
        /// The ports of the host that lead to it.
        public var ports: [PublishedPort]?
        /// What health tests have shown; nil if it does not run or is not tested.
        public var health: InstanceHealth?

        enum CodingKeys: String, CodingKey {
            case health
            case name, description, status, location, type, project, architecture, ephemeral, stateful, profiles
            case config, devices, state, snapshots, backups, id, kind, exit, addresses, ports
            case statusCode = "status_code"
            case createdAt = "created_at"
            case lastUsedAt = "last_used_at"
            case expandedConfig = "expanded_config"
            case expandedDevices = "expanded_devices"
            case imageReference = "image_reference"
        }

        public init() {}
    }

    /// How a run ended (Isle's).
    public struct InstanceExit: Codable, Sendable, Hashable {
        /// The exit code, or 128 plus the signal's number.
        @Zero public var exitCode: Int32 = 0
        public var signal: Int32?
        @Zero public var outOfMemory = false
        @Zero public var finishedAt = ""
        public var reason: String?

        enum CodingKeys: String, CodingKey {
            case signal, reason
            case exitCode = "exit_code"
            case outOfMemory = "out_of_memory"
            case finishedAt = "finished_at"
        }

        public init() {}
    }

    /// A port of the host that leads to a port of an instance (Isle's).
    public struct PublishedPort: Codable, Sendable, Hashable {
        @Zero public var instance = ""
        @Zero public var hostAddress = ""
        @Zero public var hostPort = 0
        @Zero public var guestPort = 0
        /// `tcp` or `udp`.
        @Zero public var transport = "tcp"

        enum CodingKeys: String, CodingKey {
            case instance
            case hostAddress = "host_address"
            case hostPort = "host_port"
            case guestPort = "guest_port"
            case transport = "protocol"
        }

        public init() {}
    }

    /// `POST /1.0/instances`.
    public struct InstancesPost: Codable, Sendable, Hashable {
        /// Empty: the server makes one up.
        @Zero public var name = ""
        @Zero public var source = InstanceSource()
        /// `container` or `virtual-machine`; empty: what the image is.
        @Zero public var type = ""
        @Zero public var description = ""
        @Zero public var architecture = ""
        @Zero public var config: [String: String] = [:]
        @Zero public var devices: [String: [String: String]] = [:]
        @Zero public var ephemeral = false
        /// nil: `default`; empty: none.
        public var profiles: [String]?
        @Zero public var stateful = false
        /// A cloud's name of a size, as `c2-m4`.
        public var instanceType: String?
        public var restore: String?
        /// Start it as soon as it is made.
        @Zero public var start = false

        /// Isle's: `application`, `system`, `machine` or `module`; nil: what the image is.
        public var kind: String?

        enum CodingKeys: String, CodingKey {
            case name, source, type, description, architecture, config, devices, ephemeral, profiles, stateful
            case restore, start, kind
            case instanceType = "instance_type"
        }

        public init() {}
    }

    /// What an instance is made from.
    public struct InstanceSource: Codable, Sendable, Hashable, HasZero {
        /// `image`, `none`, `copy` or `migration`.
        @Zero public var type = "image"
        public var certificate: String?
        public var alias: String?
        public var fingerprint: String?
        public var properties: [String: String]?
        public var server: String?
        /// `simplestreams`, `lxd`; Isle's: `oci`.
        public var `protocol`: String?
        public var secret: String?
        public var baseImage: String?
        /// `pull`, `push` or `relay`.
        public var mode: String?
        public var operation: String?
        public var secrets: [String: String]?
        /// The instance to copy.
        public var source: String?
        public var project: String?
        public var live: Bool?
        public var instanceOnly: Bool?
        public var refresh: Bool?
        public var allowInconsistent: Bool?

        /// Isle's: a reference as the user types it: a registry's (`alpine:3.20`), a suite (`debian/bookworm`), a tag
        /// or fingerprint of the store.
        public var reference: String?
        /// Isle's: `missing` (the default), `always` or `never`.
        public var pull: String?

        enum CodingKeys: String, CodingKey {
            case type, certificate, alias, fingerprint, properties, server, `protocol`, secret, mode, operation
            case secrets, source, project, live, refresh, reference, pull
            case baseImage = "base-image"
            case instanceOnly = "instance_only"
            case allowInconsistent = "allow_inconsistent"
        }

        public init() {}

        public static var zero: InstanceSource { InstanceSource() }
    }

    /// `PUT /1.0/instances/{name}`: the whole configuration; and `PATCH`, where a nil field stays as it is, and a key
    /// with an empty value is removed.
    public struct InstancePut: Codable, Sendable, Hashable {
        public var architecture: String?
        public var config: [String: String]?
        public var devices: [String: [String: String]]?
        public var ephemeral: Bool?
        public var profiles: [String]?
        public var restore: String?
        public var stateful: Bool?
        public var description: String?
        public init() {}
    }

    /// `POST /1.0/instances/{name}`: a new name.
    public struct InstancePost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        public var migration: Bool?
        public var live: Bool?
        public var instanceOnly: Bool?
        public var project: String?
        public var pool: String?

        enum CodingKeys: String, CodingKey {
            case name, migration, live, project, pool
            case instanceOnly = "instance_only"
        }

        public init() {}
    }
}
