public import Model

/// One managed network.
public struct NetworkSpec: Sendable, Hashable, Codable {
    public var name: String
    /// Name of the bridge interface, at most 15 bytes.
    public var bridge: String
    /// `10.104.0.1/24`: the gateway's own address and the prefix length; nil is no IPv4.
    public var ipv4: String?
    public var ipv4NAT: Bool
    /// `fd42:…::1/64`, likewise.
    public var ipv6: String?
    public var ipv6NAT: Bool
    public var mtu: Int?
    /// Names are resolvable bare and below this domain.
    public var domain: String
    /// What it is for, and keys of the user's own (`user.…`); nil is none.
    public var description: String?
    public var userKeys: [String: String]?
    /// Addresses of the host that lead to instances; nil is none.
    public var forwards: [NetworkForward]?
    /// nil: as `NetworkDHCP` begins.
    public var dhcp: NetworkDHCP?
    /// Lines of the user's own for its DHCP and name server (dnsmasq(8)), after Isle's; nil is none.
    public var rawDnsmasq: String?
    /// Its ACLs; nil is none.
    public var security: NetworkSecurity?
    /// What those ACLs are at the moment: filled in for the driver, not stored.
    public var acls: [NetworkACL]?
    /// Nothing leads out of it or in: no default route, no names of the outside; nil is false.
    public var isInternal: Bool?

    public init(
        name: String, bridge: String, ipv4: String?, ipv4NAT: Bool = true, ipv6: String?, ipv6NAT: Bool = true,
        mtu: Int? = nil, domain: String = "isle"
    ) {
        self.name = name
        self.bridge = bridge
        self.ipv4 = ipv4
        self.ipv4NAT = ipv4NAT
        self.ipv6 = ipv6
        self.ipv6NAT = ipv6NAT
        self.mtu = mtu
        self.domain = domain
    }
}

extension NetworkSpec {
    /// The gateway's address with the prefix length; nil if the network has none of the family.
    /// - Throws: `invalidArgument` for an address that can be no gateway.
    public func gateway(_ family: IPAddress.Family) throws -> IPPrefix? {
        guard let text = family == .v4 ? ipv4 : ipv6 else { return nil }
        let lengths = family == .v4 ? 8...30 : 48...126
        guard let prefix = IPPrefix(text), prefix.address.family == family, lengths.contains(prefix.length),
            prefix.address != prefix.network, !prefix.address.isLoopback, !prefix.address.isLinkLocal,
            family == .v6 || prefix.address != prefix.broadcast
        else {
            let example = family == .v4 ? "10.104.0.1/24" : "fd42:1::1/64"
            throw EngineError(
                .invalidArgument, "\(Names.quoted(text)) is no gateway address for network \(name)",
                hint: "give the gateway's address and a prefix length of \(lengths.lowerBound) to "
                    + "\(lengths.upperBound), as \(example)")
        }
        return prefix
    }

    /// A name for the bridge of the network `name`: the same if it can be one, else one made from it.
    public static func bridgeName(for name: String) -> String {
        let isLetter = name.utf8.first.map { (65...90).contains($0) || (97...122).contains($0) } ?? false
        let fits = (1...15).contains(name.utf8.count) && isLetter
        let isPlain = name.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95
        }
        if fits, isPlain { return name }
        // FNV-1a: short, and the same for the same name always.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "is-" + String(hash & 0xffff_ffff_ffff, radix: 36)
    }
}

/// One interface of one instance. The engine chooses the addresses; the driver applies them.
public struct NetworkEndpoint: Sendable, Hashable, Codable {
    public var instance: InstanceID
    /// The instance's name: what others resolve.
    public var hostname: String
    public var aliases: [String]
    public var network: String
    /// Name of the interface inside (`eth0`).
    public var device: String
    /// `00:16:3e:…`
    public var mac: String
    /// Bare address, and with the network's prefix length applied inside.
    public var ipv4: String?
    public var ipv6: String?
    /// The guest configures itself (DHCP, router advertisement): only the link is made, and the addresses are
    /// reserved. Else the driver configures addresses and routes inside.
    public var configuredByGuest: Bool
    public var ports: [PortMapping]
    /// Bare addresses of the network's gateway: the next hop of the default routes.
    public var gateway4: String?
    public var gateway6: String?
    /// Bare addresses of name servers for the instance's resolv.conf, in order; usually the gateway's.
    public var dns: [String]
    /// Prefix lengths of the network, for drivers that configure the guest themselves.
    public var prefixLength4: Int
    public var prefixLength6: Int
    /// Domains in which bare names are searched.
    public var searchDomains: [String]
    /// Whether the instance's default routes lead through this interface.
    public var hasDefaultRoute = true
    /// It is on no managed network (`network` is empty) but connected so.
    public var direct: DirectLink?
    /// Name of the host's end of one on a managed network; nil: one is chosen. A direct one has its own.
    public var hostName: String?
    /// Of one on a managed network, in bytes; nil: the network's.
    public var mtu: Int?
    /// nil: none.
    public var rules: InterfaceRules?

    public init(
        instance: InstanceID, hostname: String, aliases: [String] = [], network: String, device: String,
        mac: String, ipv4: String?, ipv6: String?, configuredByGuest: Bool, ports: [PortMapping] = [],
        gateway4: String? = nil, gateway6: String? = nil, dns: [String] = [], searchDomains: [String] = [],
        prefixLength4: Int = 24, prefixLength6: Int = 64
    ) {
        self.instance = instance
        self.hostname = hostname
        self.aliases = aliases
        self.network = network
        self.device = device
        self.mac = mac
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.configuredByGuest = configuredByGuest
        self.ports = ports
        self.gateway4 = gateway4
        self.gateway6 = gateway6
        self.dns = dns
        self.prefixLength4 = prefixLength4
        self.prefixLength6 = prefixLength6
        self.searchDomains = searchDomains
    }
}

/// A port of the host that leads to a port of an instance.
public struct PortMapping: Sendable, Hashable, Codable {
    public enum Transport: String, Sendable, Codable { case tcp, udp }
    /// Address of the host it is bound to; `127.0.0.1` unless the user gave another.
    public var hostAddress: String
    public var hostPort: UInt16
    public var guestPort: UInt16
    public var transport: Transport
    /// The service whose instances share the port of the host: each new connection goes to one of those that are
    /// ready. Nil: the port is this instance's alone.
    public var service: String?

    public init(
        hostAddress: String = "127.0.0.1", hostPort: UInt16, guestPort: UInt16, transport: Transport = .tcp,
        service: String? = nil
    ) {
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.guestPort = guestPort
        self.transport = transport
        self.service = service
    }
}

/// Connects instances to managed networks, and to the host otherwise (`NetworkEndpoint.direct`).
///
/// `up` makes a network exist on the host and is called before its first endpoint; `down` takes it away after the
/// last. Both may be called again at any time and bring the host to the wanted state from whatever it is in, so
/// that a crash at any step is mended by the next call. `connect` and `tap` replace what an earlier call for the
/// same endpoint left. No call touches links, tables or processes that Isle did not make.
public protocol NetworkDriver: Sendable {
    /// Makes bridge, addresses, firewall table and DHCP/DNS service exist as `network` says.
    func up(_ network: NetworkSpec) async throws
    /// Removes everything `up` made. Fails with `busy` while endpoints are connected.
    func down(_ network: NetworkSpec) async throws
    /// Puts an interface into the network namespace `namespace` and, unless the guest does, configures it.
    func connect(_ endpoint: NetworkEndpoint, namespace: OwnedDescriptor) async throws
    /// Makes a tap interface on the bridge that the user id `owner` may open, and gives its name; or, where frames are
    /// taken from a device file, which root alone may open, that file's absolute path.
    func tap(_ endpoint: NetworkEndpoint, owner: UInt32) async throws -> String
    /// Takes link, names, reservation and ports of the endpoint away; no error if there is nothing.
    func disconnect(_ endpoint: NetworkEndpoint) async throws
    /// `disconnect` for an instance that goes on in `namespace`: afterwards the interface is not in it any more.
    func detach(_ endpoint: NetworkEndpoint, from namespace: OwnedDescriptor) async throws
    /// Every interface of a network namespace, with what it has got by itself.
    func interfaces(in namespace: OwnedDescriptor) async throws -> [GuestInterface]
    /// Gives a connected endpoint the names and rules that it has now; link, addresses and ports stay. No error if it
    /// is not connected.
    func refresh(_ endpoint: NetworkEndpoint) async throws
    /// Whether connections to ports that the endpoint shares with a service may lead to it: false until this was said.
    func setReady(_ endpoint: NetworkEndpoint, _ isReady: Bool) async throws
    /// Gateway addresses with prefix lengths for a new network: nothing on the host, and none of `taken`, overlaps.
    func freeSubnets(avoiding taken: [String]) async throws -> (ipv4: String, ipv6: String)
    /// A port of the host that is free now at `address` and not published.
    func freePort(_ address: String, _ transport: PortMapping.Transport) async throws -> UInt16
    /// Tells the driver, after a daemon restart, which endpoints live; everything else of ours is removed.
    ///
    /// - Parameter keepsOthers: there are more networks, of which nothing is known: what may be theirs stays.
    func adopt(_ networks: [NetworkSpec], endpoints: [NetworkEndpoint], keepsOthers: Bool) async throws
    /// Bytes and packets of the endpoint as the guest sees them; nil if it is not connected.
    func counters(_ endpoint: NetworkEndpoint) async throws -> NetworkCounters?
    /// The host's ends of those of the endpoints that have one and are connected.
    func links(of endpoints: [NetworkEndpoint]) async throws -> [NetworkEndpoint: HostEnd]
    /// Addresses that clients of the DHCP service hold now, by MAC.
    func leases(_ network: NetworkSpec) async throws -> [NetworkLease]
}

/// Traffic since the link was made, from the guest's side.
public struct NetworkCounters: Sendable, Hashable, Codable {
    public var bytesReceived: Int64
    public var bytesSent: Int64
    public var packetsReceived: Int64
    public var packetsSent: Int64
    public var errorsReceived: Int64 = 0
    public var errorsSent: Int64 = 0
    public var droppedReceived: Int64 = 0
    public var droppedSent: Int64 = 0
    public init(bytesReceived: Int64, bytesSent: Int64, packetsReceived: Int64, packetsSent: Int64) {
        self.bytesReceived = bytesReceived
        self.bytesSent = bytesSent
        self.packetsReceived = packetsReceived
        self.packetsSent = packetsSent
    }
}

/// The host's end of a connected endpoint.
public struct HostEnd: Sendable, Hashable {
    /// Name of the interface.
    public var name: String
    public var mtu: Int
    /// From the guest's side.
    public var counters: NetworkCounters
    public init(name: String, mtu: Int, counters: NetworkCounters) {
        self.name = name
        self.mtu = mtu
        self.counters = counters
    }
}

/// One address in use on a network.
public struct NetworkLease: Sendable, Hashable, Codable {
    public var hostname: String
    public var mac: String
    public var address: String
    public init(hostname: String, mac: String, address: String) {
        self.hostname = hostname
        self.mac = mac
        self.address = address
    }
}
