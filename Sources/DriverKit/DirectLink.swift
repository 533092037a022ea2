/// How an interface is connected that is on no managed network.
public struct DirectLink: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable {
        /// Shares an interface of the host, beside the host: with a hardware address of its own on the same network.
        case macvlan
        /// A wire to an interface of the host's, on which the host has no address.
        case p2p
        /// As `p2p`, and the host passes on what goes to and comes from the instance's fixed addresses.
        case routed
    }

    /// What holds of one family of addresses, for `routed`.
    public struct Routing: Sendable, Hashable, Codable {
        /// Of the instance, bare.
        public var addresses: [String] = []
        /// The host's own on the wire: the next hop of the default route.
        public var hostAddress: String
        /// Whether there is a default route by the host.
        public var hasGateway = true
        /// Whether it is asked on the parent's network first that nobody has the addresses.
        public var probesNeighbours = true

        public init(hostAddress: String) { self.hostAddress = hostAddress }
    }

    public var kind: Kind
    /// The host's interface: of `macvlan` always, of `routed` the one on whose network the host answers for the
    /// addresses, if any.
    public var parent: String?
    /// Name of the host's end of the wire; nil: one is chosen.
    public var hostName: String?
    public var mtu: Int?
    /// Subnets that the host sends over the wire, `10.9.0.0/24`.
    public var routes: [String] = []
    public var ipv4 = Routing(hostAddress: "169.254.0.1")
    public var ipv6 = Routing(hostAddress: "fe80::1")

    public init(_ kind: Kind, parent: String? = nil) {
        self.kind = kind
        self.parent = parent
    }
}

/// An interface as it is inside a network namespace.
public struct GuestInterface: Sendable, Hashable {
    public struct Address: Sendable, Hashable {
        public var address: String
        public var prefixLength: Int
        public var isIPv6: Bool
        /// `global`, `link` or `local`.
        public var scope: String

        public init(address: String, prefixLength: Int, isIPv6: Bool, scope: String) {
            self.address = address
            self.prefixLength = prefixLength
            self.isIPv6 = isIPv6
            self.scope = scope
        }
    }

    public var name: String
    public var mac: String
    public var mtu: Int
    public var isUp: Bool
    public var isLoopback: Bool
    public var addresses: [Address]
    public var counters: NetworkCounters

    public init(
        name: String, mac: String, mtu: Int, isUp: Bool, isLoopback: Bool, addresses: [Address],
        counters: NetworkCounters
    ) {
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.isUp = isUp
        self.isLoopback = isLoopback
        self.addresses = addresses
        self.counters = counters
    }
}
