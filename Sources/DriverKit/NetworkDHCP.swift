/// How a network hands out its IPv4 addresses and names.
public struct NetworkDHCP: Sendable, Hashable, Codable {
    /// False: guests that ask get no IPv4 address. Containers have theirs all the same: they do not ask.
    public var isOn: Bool
    /// First and last addresses, as `10.0.0.100-10.0.0.200`, of which instances get theirs; empty: the whole subnet.
    public var ranges: [String]
    /// How long an address is lent, as dnsmasq(8) writes it: `45m`, `1h`, `infinite`.
    public var expiry: String
    /// False: instances have no names in the network's name server.
    public var hasNames: Bool
    /// Domains that guests look bare names up in; nil: the network's own.
    public var search: [String]?
    /// The router that guests are told of; nil: the bridge.
    public var gateway: String?

    public init(isOn: Bool = true, ranges: [String] = [], expiry: String = "1h", hasNames: Bool = true) {
        self.isOn = isOn
        self.ranges = ranges
        self.expiry = expiry
        self.hasNames = hasNames
    }
}
