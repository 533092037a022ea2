import DriverKit
import Model
import Netlink

/// What names an endpoint over its life: one device of one instance.
struct EndpointKey: Sendable, Hashable {
    var instance: InstanceID
    var device: String

    init(_ endpoint: NetworkEndpoint) {
        instance = endpoint.instance
        device = endpoint.device
    }

    /// How the alias of its link ends.
    var alias: String { "\(instance):\(device)" }

    /// Name of the endpoint's files below the network's folder.
    var fileName: String { "\(instance)-\(device)" }
}

/// An endpoint's values, checked.
struct CheckedEndpoint: Sendable {
    let endpoint: NetworkEndpoint
    let key: EndpointKey
    let mac: MACAddress
    let ipv4: IPAddress?
    let ipv6: IPAddress?
    let ports: [PublishedPort]

    /// - Throws: `invalidArgument` naming the value that is wrong.
    init(_ endpoint: NetworkEndpoint, in network: ManagedNetwork) throws {
        self.endpoint = endpoint
        key = EndpointKey(endpoint)
        guard ManagedNetwork.isInterfaceName(endpoint.device) else {
            throw EngineError(
                .invalidArgument,
                "device name \(Names.quoted(endpoint.device)) of instance \(endpoint.hostname)"
                    + " is not the name of an interface")
        }
        guard let mac = MACAddress(endpoint.mac), mac.bytes[0] & 1 == 0 else {
            throw EngineError(
                .invalidArgument,
                "\(Names.quoted(endpoint.mac)) of instance \(endpoint.hostname) is not a hardware address",
                hint: "as 00:16:3e:01:02:03")
        }
        self.mac = mac
        if let name = endpoint.hostName, !DirectEndpoint.isInterfaceName(name) {
            throw EngineError(.invalidArgument, "\(Names.quoted(name)) is not the name of an interface")
        }
        for name in [endpoint.hostname] + endpoint.aliases where !Names.isDomain(name) {
            throw EngineError(.invalidArgument, "\(Names.quoted(name)) is not a host name")
        }
        ipv4 = try Self.address(endpoint.ipv4, .v4, network)
        ipv6 = try Self.address(endpoint.ipv6, .v6, network)
        ports = try endpoint.ports.map { [ipv4, ipv6] in try PublishedPort($0, ipv4: ipv4, ipv6: ipv6, of: endpoint) }
    }

    func address(_ family: IPAddress.Family) -> IPAddress? { family == .v4 ? ipv4 : ipv6 }

    /// Nil: the kernel's standard.
    func mtu(in network: NetworkSpec) -> UInt32? { (endpoint.mtu ?? network.mtu).map { UInt32($0) } }

    private static func address(_ text: String?, _ family: IPAddress.Family, _ network: ManagedNetwork) throws
        -> IPAddress?
    {
        guard let text else { return nil }
        guard let address = IPAddress(text), address.family == family,
            let prefix = network.prefix(family), prefix.contains(address), address != prefix.address
        else {
            throw EngineError(
                .invalidArgument,
                "\(Names.quoted(text)) is not an address of network \(network.spec.name)"
                    + (network.prefix(family).map { " (\($0))" } ?? ", which has none of this family"))
        }
        return address
    }
}

/// A port of the host and where it leads.
struct PublishedPort: Sendable, Hashable {
    let transport: PortMapping.Transport
    /// 0.0.0.0 or :: for every address of the host.
    let hostAddress: IPAddress
    let hostPort: UInt16
    let guestAddress: IPAddress
    let guestPort: UInt16
    /// The service whose instances share the port; nil: this one's alone.
    let service: String?

    init(_ mapping: PortMapping, ipv4: IPAddress?, ipv6: IPAddress?, of endpoint: NetworkEndpoint) throws {
        let text = mapping.hostAddress.isEmpty ? "0.0.0.0" : mapping.hostAddress
        guard let hostAddress = IPAddress(text) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(text)) is not an address to publish a port on",
                hint: "give an address of this host, 127.0.0.1 or 0.0.0.0")
        }
        guard mapping.hostPort != 0, mapping.guestPort != 0 else {
            throw EngineError(.invalidArgument, "port 0 of instance \(endpoint.hostname) cannot be published")
        }
        if hostAddress.family == .v6, hostAddress.isLoopback {
            throw EngineError(
                .unsupported, "port \(mapping.hostPort) cannot be published on ::1: the kernel does not translate it",
                hint: "use 127.0.0.1, or an IPv6 address of the host")
        }
        guard let guestAddress = hostAddress.family == .v4 ? ipv4 : ipv6 else {
            throw EngineError(
                .invalidArgument,
                "port \(mapping.hostPort) cannot be published on \(hostAddress): instance \(endpoint.hostname) has no "
                    + "\(hostAddress.family == .v4 ? "IPv4" : "IPv6") address")
        }
        transport = mapping.transport
        self.hostAddress = hostAddress
        hostPort = mapping.hostPort
        self.guestAddress = guestAddress
        guestPort = mapping.guestPort
        service = mapping.service
    }

    /// Whether both want the same packets.
    func collides(with other: PublishedPort) -> Bool {
        if let service, service == other.service, hostAddress == other.hostAddress { return false }
        return transport == other.transport && hostPort == other.hostPort
            && hostAddress.family == other.hostAddress.family
            && (hostAddress == other.hostAddress || hostAddress.isUnspecified || other.hostAddress.isUnspecified)
    }
}

extension PublishedPort: CustomStringConvertible {
    /// `127.0.0.1:8080/tcp`.
    var description: String {
        let host = hostAddress.family == .v4 ? "\(hostAddress)" : "[\(hostAddress)]"
        return "\(host):\(hostPort)/\(transport.rawValue)"
    }
}
