extension API {
    /// `GET /1.0/networks/{name}`.
    public struct Network: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var description = ""
        /// `bridge`, `physical`, `loopback`.
        @Zero public var type = ""
        @Zero public var managed = false
        /// `Created`, `Pending`, `Errored`; empty for what Isle does not manage.
        @Zero public var status = ""
        /// `ipv4.address`, `ipv4.nat`, `ipv6.address`, `ipv6.nat`, `bridge.mtu`, `dns.domain`, `user.*`.
        @Zero public var config: [String: String] = [:]
        /// Paths of instances and profiles.
        @Zero public var usedBy: [String] = []
        @Zero public var locations: [String] = []
        /// Isle's: what of the host leads into it.
        public var ports: [PublishedPort]?

        enum CodingKeys: String, CodingKey {
            case name, description, type, managed, status, config, locations, ports
            case usedBy = "used_by"
        }

        public init() {}
    }

    /// `POST /1.0/networks`.
    public struct NetworksPost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        @Zero public var type = ""
        @Zero public var description = ""
        @Zero public var config: [String: String] = [:]
        public init() {}
    }

    /// `PUT` and `PATCH /1.0/networks/{name}`.
    public struct NetworkPut: Codable, Sendable, Hashable {
        public var config: [String: String]?
        public var description: String?
        public init() {}
    }

    /// `POST /1.0/networks/{name}`, `/1.0/profiles/{name}`, `/1.0/storage-pools/{pool}/volumes/custom/{name}`,
    /// `/1.0/images/aliases/{name}`: a new name.
    public struct RenamePost: Codable, Sendable, Hashable {
        @Zero public var name = ""
        public init() {}
    }

    /// `GET /1.0/networks/{name}/leases`.
    public struct NetworkLease: Codable, Sendable, Hashable {
        @Zero public var hostname = ""
        @Zero public var hwaddr = ""
        @Zero public var address = ""
        /// `static`, `dynamic` or `gateway`.
        @Zero public var type = "dynamic"
        @Zero public var location = "none"
        public init() {}
    }

    /// `GET /1.0/networks/{name}/state`.
    public struct NetworkState: Codable, Sendable, Hashable {
        @Zero public var addresses: [Address] = []
        @Zero public var counters = Counters()
        @Zero public var hwaddr = ""
        @Zero public var mtu = 0
        /// `up` or `down`.
        @Zero public var state = ""
        @Zero public var type = ""
        /// Of a bridge.
        public var bridge: Bridge?
        public init() {}

        /// What the kernel tells of a bridge.
        public struct Bridge: Codable, Sendable, Hashable {
            @Zero public var id = ""
            @Zero public var stp = false
            /// Hundredths of a second.
            @Zero public var forwardDelay: Int64 = 0
            @Zero public var vlanDefault: Int64 = 0
            @Zero public var vlanFiltering = false
            /// Interfaces that are its ports.
            @Zero public var upperDevices: [String] = []

            enum CodingKeys: String, CodingKey {
                case id, stp
                case forwardDelay = "forward_delay"
                case vlanDefault = "vlan_default"
                case vlanFiltering = "vlan_filtering"
                case upperDevices = "upper_devices"
            }

            public init() {}
        }
    }
}
