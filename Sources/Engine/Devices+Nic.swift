import DriverKit
import Model

// Interfaces: on a managed network, with another's network namespace, or connected to the host by themselves.
extension Devices {
    private static let nicTypes = "'bridged' on a managed network, 'macvlan', 'p2p', 'routed', 'host', or 'instance'"

    mutating func addNic(_ reader: inout KeyReader) throws {
        switch reader.take("nictype") {
        case nil, "bridged": nics.append(try Self.bridged(&reader))
        case "macvlan": nics.append(try Self.macvlan(&reader))
        case "p2p": nics.append(try Self.pointToPoint(&reader))
        case "routed": nics.append(try Self.routed(&reader))
        case "instance":
            guard let other = reader.take("parent") else {
                throw EngineError(
                    .invalidArgument, "nic device \(Names.quoted(reader.device)) names no instance as 'parent'")
            }
            sharedNetwork = other
            _ = reader.take("name")
        case "host":
            hostNetwork = true
            _ = reader.take("name")
        case let type?: throw reader.error("nictype", type, Self.nicTypes)
        }
    }

    private static func bridged(_ reader: inout KeyReader) throws -> Nic {
        let interface = try interface(&reader)
        guard let network = reader.take("network") ?? reader.take("parent") else {
            throw EngineError(
                .invalidArgument, "nic device \(Names.quoted(reader.device)) has no 'network'",
                hint: "isle network list shows them")
        }
        let mac = try mac(&reader)
        let ipv4 = reader.take("ipv4.address")
        if let ipv4, IPv4Address(ipv4) == nil { throw reader.error("ipv4.address", ipv4, "an IPv4 address") }
        let ipv6 = reader.take("ipv6.address")
        if let ipv6, IPAddress(ipv6)?.family != .v6 { throw reader.error("ipv6.address", ipv6, "an IPv6 address") }
        var nic = Nic(device: reader.device, interface: interface, network: network, mac: mac, ipv4: ipv4, ipv6: ipv6)
        if let text = reader.take("aliases") {
            nic.aliases = OptionForms.list(text)
            guard nic.aliases.allSatisfy(OptionForms.isHostName) else {
                throw reader.error("aliases", text, "host names between commas")
            }
        }
        nic.gatewayPriority = try priority(&reader)
        nic.hostName = reader.take("host_name")
        if let name = nic.hostName { try checkHostName(name, "host_name", reader) }
        nic.mtu = try mtu(&reader)
        var rules = try rates(&reader)
        rules.filtersMAC = try reader.bool("security.mac_filtering")
        rules.filtersIPv4 = try reader.bool("security.ipv4_filtering")
        rules.filtersIPv6 = try reader.bool("security.ipv6_filtering")
        rules.isIsolated = try reader.bool("security.port_isolation")
        // The addresses of others are kept from it only where it cannot be another.
        if rules.filtersIPv4 || rules.filtersIPv6 { rules.filtersMAC = true }
        if !rules.isEmpty { nic.rules = rules }
        return nic
    }

    /// `limits.ingress`, `limits.egress` and `limits.max`, which is both.
    private static func rates(_ reader: inout KeyReader) throws -> InterfaceRules {
        var rules = InterfaceRules()
        let most = try reader.bitRate("limits.max")
        rules.ingress = try reader.bitRate("limits.ingress") ?? most
        rules.egress = try reader.bitRate("limits.egress") ?? most
        return rules
    }

    private static func mtu(_ reader: inout KeyReader) throws -> Int? {
        guard let text = reader.take("mtu") else { return nil }
        guard let mtu = Int(text), (68...65535).contains(mtu) else { throw reader.error("mtu", text, "68 to 65535") }
        return mtu
    }

    /// LXD's keys, but for `vlan`, for which the host can have an interface.
    private static func macvlan(_ reader: inout KeyReader) throws -> Nic {
        guard let parent = reader.take("parent") else {
            throw EngineError(
                .invalidArgument, "nic device \(Names.quoted(reader.device)) has no 'parent'",
                hint: "the host's interface to share, as parent=eth0")
        }
        try checkHostName(parent, "parent", reader)
        return try direct(&reader, DirectLink(.macvlan, parent: parent))
    }

    private static func pointToPoint(_ reader: inout KeyReader) throws -> Nic {
        var link = DirectLink(.p2p)
        link.hostName = reader.take("host_name")
        link.routes = try routes(&reader)
        return try direct(&reader, link)
    }

    private static func routed(_ reader: inout KeyReader) throws -> Nic {
        var link = DirectLink(.routed)
        link.parent = reader.take("parent")
        if let parent = link.parent { try checkHostName(parent, "parent", reader) }
        link.hostName = reader.take("host_name")
        try read(&reader, "ipv4", .v4, into: &link.ipv4)
        try read(&reader, "ipv6", .v6, into: &link.ipv6)
        link.routes = try routes(&reader)
        guard !link.ipv4.addresses.isEmpty || !link.ipv6.addresses.isEmpty else {
            throw EngineError(
                .invalidArgument,
                "nic device \(Names.quoted(reader.device)) has neither 'ipv4.address' nor 'ipv6.address'",
                hint: "a routed interface has fixed addresses, as ipv4.address=192.0.2.7")
        }
        let priority = try priority(&reader)
        var nic = try direct(&reader, link)
        nic.gatewayPriority = priority
        return nic
    }

    private static func read(
        _ reader: inout KeyReader, _ prefix: String, _ family: IPAddress.Family,
        into routing: inout DirectLink.Routing
    ) throws {
        let name = family == .v4 ? "IPv4" : "IPv6"
        if let text = reader.take("\(prefix).address") {
            let addresses = OptionForms.list(text).map { IPAddress($0) }
            guard !addresses.isEmpty, addresses.allSatisfy({ $0?.family == family }) else {
                throw reader.error("\(prefix).address", text, "\(name) addresses between commas")
            }
            routing.addresses = addresses.compactMap { $0?.description }
            guard Set(routing.addresses).count == routing.addresses.count else {
                throw reader.error("\(prefix).address", text, "each address once")
            }
        }
        if let text = reader.take("\(prefix).gateway") {
            guard text == "auto" || text == "none" else {
                throw reader.error("\(prefix).gateway", text, "auto or none")
            }
            routing.hasGateway = text == "auto"
        }
        if let text = reader.take("\(prefix).host_address") {
            guard let address = IPAddress(text), address.family == family else {
                throw reader.error("\(prefix).host_address", text, "an \(name) address")
            }
            routing.hostAddress = address.description
        }
        routing.probesNeighbours = try reader.bool("\(prefix).neighbor_probe", unset: true)
    }

    private static func routes(_ reader: inout KeyReader) throws -> [String] {
        try [("ipv4.routes", IPAddress.Family.v4), ("ipv6.routes", .v6)].flatMap { key, family in
            guard let text = reader.take(key) else { return [String]() }
            return try OptionForms.list(text).map { word in
                guard let prefix = IPPrefix(word), prefix.address.family == family else {
                    throw reader.error(
                        key, word, "subnets between commas, as \(family == .v4 ? "10.9.0.0/24" : "fd42::/64")")
                }
                return "\(prefix.network)/\(prefix.length)"
            }
        }
    }

    /// What all of them have: the two names, the hardware address and `mtu`.
    private static func direct(_ reader: inout KeyReader, _ wanted: DirectLink) throws -> Nic {
        var link = wanted
        if let name = link.hostName { try checkHostName(name, "host_name", reader) }
        link.mtu = try mtu(&reader)
        // The host has no end of its own of one that shares an interface.
        let rules = link.kind == .macvlan ? InterfaceRules() : try rates(&reader)
        if let vlan = reader.peek("vlan") {
            throw EngineError(
                .unsupported, "device \(Names.quoted(reader.device)): 'vlan' is not offered",
                hint:
                    "ip link add link \(link.parent ?? "eth0") name vlan\(vlan) type vlan id \(vlan) on the host, and name that as parent"
            )
        }
        var nic = Nic(device: reader.device, interface: try interface(&reader), network: "", mac: try mac(&reader))
        nic.direct = link
        if !rules.isEmpty { nic.rules = rules }
        return nic
    }

    private static func priority(_ reader: inout KeyReader) throws -> Int {
        guard let text = reader.take("gateway.priority") else { return 0 }
        guard let priority = Int(text) else { throw reader.error("gateway.priority", text, "a number") }
        return priority
    }

    private static func interface(_ reader: inout KeyReader) throws -> String {
        let interface = reader.take("name") ?? reader.device
        guard isInterface(interface) else {
            throw reader.error("name", interface, "an interface name of 1 to 15 characters")
        }
        return interface
    }

    private static func checkHostName(_ name: String, _ key: String, _ reader: KeyReader) throws {
        guard isInterface(name), !name.contains(where: { "\"*\\:".contains($0) }) else {
            throw reader.error(key, name, "an interface name of 1 to 15 characters")
        }
    }

    private static func isInterface(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && !name.contains("/") && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 32 && $0 < 127 }
    }

    private static func mac(_ reader: inout KeyReader) throws -> String? {
        let mac = reader.take("hwaddr")
        if let mac, !isMAC(mac) { throw reader.error("hwaddr", mac, "a unicast MAC address, six hex pairs") }
        return mac
    }
}
