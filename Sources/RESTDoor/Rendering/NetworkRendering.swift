import DriverKit
import Engine
import Model
import WireTypes

extension API.Network {
    init(_ network: NetworkSpec, usedBy: [String], ports: [API.PublishedPort]) {
        self.init()
        name = network.name
        description = network.description ?? ""
        type = "bridge"
        managed = true
        status = "Created"
        config = [
            "ipv4.address": network.ipv4 ?? "none", "ipv4.nat": network.ipv4NAT ? "true" : "false",
            "ipv6.address": network.ipv6 ?? "none", "ipv6.nat": network.ipv6NAT ? "true" : "false",
            "dns.domain": network.domain, "bridge.name": network.bridge,
        ].merging(network.userKeys ?? [:]) { $1 }
        if let dhcp = network.dhcp {
            if !dhcp.isOn { config["ipv4.dhcp"] = "false" }
            if !dhcp.ranges.isEmpty { config["ipv4.dhcp.ranges"] = dhcp.ranges.joined(separator: ",") }
            if dhcp.expiry != NetworkDHCP().expiry { config["ipv4.dhcp.expiry"] = dhcp.expiry }
            if !dhcp.hasNames { config["dns.mode"] = "none" }
            if let search = dhcp.search { config["dns.search"] = search.joined(separator: ",") }
            if let gateway = dhcp.gateway { config["ipv4.dhcp.gateway"] = gateway }
        }
        if let security = network.security {
            config["security.acls"] = security.acls.joined(separator: ",")
            for (direction, standard) in [("ingress", security.ingress), ("egress", security.egress)] {
                guard standard != NetworkSecurity.Standard() else { continue }
                config["security.acls.default.\(direction).action"] = standard.action.rawValue
                config["security.acls.default.\(direction).logged"] = standard.isLogged ? "true" : "false"
            }
        }
        if let raw = network.rawDnsmasq { config["raw.dnsmasq"] = raw }
        if let mtu = network.mtu { config["bridge.mtu"] = String(mtu) }
        if network.isInternal == true { config["internal"] = "true" }
        self.usedBy = usedBy
        self.ports = ports
        locations = ["none"]
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.NetworkPut {
        var put = API.NetworkPut()
        (put.config, put.description) = (config, description)
        return put
    }
}

extension NetworkSpec {
    /// Keys with a meaning; those below `user.` are free.
    private static let known = [
        "ipv4.address", "ipv4.nat", "ipv6.address", "ipv6.nat", "bridge.mtu", "dns.domain", "bridge.name",
        "internal", "ipv4.dhcp", "ipv4.dhcp.ranges", "ipv4.dhcp.expiry", "ipv4.dhcp.gateway", "dns.mode", "dns.search",
        "raw.dnsmasq",
        "security.acls", "security.acls.default.ingress.action", "security.acls.default.ingress.logged",
        "security.acls.default.egress.action", "security.acls.default.egress.logged",
    ]

    /// Reads LXD's keys. Errors name the key.
    init(_ post: API.NetworksPost) throws {
        guard post.type.isEmpty || post.type == "bridge" else {
            throw EngineError(
                .unsupported, "network type \(Names.quoted(post.type)) is not offered", hint: "use 'bridge'")
        }
        var config = post.config
        // As LXD: a new network gets a subnet unless it is to have none.
        if config["ipv4.address"] == nil { config["ipv4.address"] = "auto" }
        try self.init(name: post.name, description: post.description, config: config)
    }

    init(name: String, description: String, config: [String: String]) throws {
        if let unknown = config.keys.sorted().first(where: { !Self.known.contains($0) && !$0.hasPrefix("user.") }) {
            throw EngineError(
                .invalidArgument, "unknown network key \(Names.quoted(unknown))",
                hint: "known: \(Self.known.joined(separator: ", ")), user.*")
        }
        func address(_ key: String) throws -> String? {
            guard let value = config[key], !value.isEmpty, value != "none" else { return nil }
            guard value == "auto" || IPPrefix(value) != nil else {
                throw EngineError(
                    .invalidArgument, "\(key)=\(Names.quoted(value)) is not a gateway with a prefix length",
                    hint: "as 10.80.0.1/24 or fd42:1::1/64, or none")
            }
            return value
        }
        func flag(_ key: String, standard: String = "true") throws -> Bool {
            switch config[key].flatMap({ $0.isEmpty ? nil : $0 }) ?? standard {
            case "true", "1", "yes", "on": return true
            case "false", "0", "no", "off": return false
            case let value: throw EngineError(.invalidArgument, "\(key)=\(Names.quoted(value)) is not true or false")
            }
        }
        var mtu: Int?
        if let text = config["bridge.mtu"], !text.isEmpty {
            guard let value = Int(text), (1280...65_535).contains(value) else {
                throw EngineError(.invalidArgument, "bridge.mtu=\(Names.quoted(text)) is not 1280 to 65535")
            }
            mtu = value
        }
        let domain = config["dns.domain"].flatMap { $0.isEmpty ? nil : $0 } ?? "isle"
        let bridge = config["bridge.name"].flatMap { $0.isEmpty ? nil : $0 } ?? Self.bridgeName(for: name)
        self.init(
            name: name, bridge: bridge, ipv4: try address("ipv4.address"), ipv4NAT: try flag("ipv4.nat"),
            ipv6: try address("ipv6.address"), ipv6NAT: try flag("ipv6.nat"), mtu: mtu, domain: domain)
        self.description = description.isEmpty ? nil : description
        let own = config.filter { $0.key.hasPrefix("user.") && !$0.value.isEmpty }
        userKeys = own.isEmpty ? nil : own
        if try flag("internal", standard: "false") { isInternal = true }
        if let raw = config["raw.dnsmasq"], !raw.isEmpty {
            guard !raw.utf8.contains(0), raw.utf8.count <= 64 << 10 else {
                throw EngineError(.invalidArgument, "raw.dnsmasq is not a text of at most 64 KiB")
            }
            rawDnsmasq = raw
        }
        let dhcp = try Self.dhcp(config, isOn: try flag("ipv4.dhcp"))
        if dhcp != NetworkDHCP() { self.dhcp = dhcp }
        func standard(_ direction: String) throws -> NetworkSecurity.Standard {
            let key = "security.acls.default.\(direction)"
            let text = config["\(key).action"].flatMap { $0.isEmpty ? nil : $0 } ?? "reject"
            guard let action = NetworkACL.Action(rawValue: text) else {
                throw EngineError(
                    .invalidArgument, "\(key).action=\(Names.quoted(text)) is not an action",
                    hint: "allow, reject or drop")
            }
            return NetworkSecurity.Standard(action: action, isLogged: try flag("\(key).logged", standard: "false"))
        }
        var acls: [String] = []
        for name in (config["security.acls"] ?? "").split(separator: ",").map({ $0.filter { $0 != " " } })
        where !acls.contains(name) { acls.append(name) }
        let security = NetworkSecurity(
            acls: acls, ingress: try standard("ingress"), egress: try standard("egress"))
        if security != NetworkSecurity() { self.security = security }
    }

    private static func dhcp(_ config: [String: String], isOn: Bool) throws -> NetworkDHCP {
        var dhcp = NetworkDHCP(isOn: isOn)
        dhcp.ranges = (config["ipv4.dhcp.ranges"] ?? "").split(separator: ",").map { $0.filter { $0 != " " } }
        if let expiry = config["ipv4.dhcp.expiry"], !expiry.isEmpty {
            let units = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
            let number = Int(expiry.dropLast()).flatMap { (1...31_536_000).contains($0) ? $0 : nil }
            // dnsmasq(8): two minutes at least.
            let seconds = number.flatMap { count in units[String(expiry.suffix(1))].map { count * $0 } }
            guard expiry == "infinite" || seconds.map({ (120...31_536_000).contains($0) }) == true else {
                throw EngineError(
                    .invalidArgument, "ipv4.dhcp.expiry=\(Names.quoted(expiry)) is not a time of two minutes to a year",
                    hint: "as 45m, 12h, 7d or infinite")
            }
            dhcp.expiry = expiry
        }
        let search = (config["dns.search"] ?? "").split(separator: ",").map { $0.filter { $0 != " " } }
        if let wrong = search.first(where: { !Names.isDomain($0) }) {
            throw EngineError(.invalidArgument, "dns.search: \(Names.quoted(wrong)) is not a domain name")
        }
        if !search.isEmpty { dhcp.search = search }
        if let gateway = config["ipv4.dhcp.gateway"], !gateway.isEmpty {
            guard let address = IPAddress(gateway), address.family == .v4 else {
                throw EngineError(
                    .invalidArgument, "ipv4.dhcp.gateway=\(Names.quoted(gateway)) is not an IPv4 address")
            }
            dhcp.gateway = address.description
        }
        switch config["dns.mode"] ?? "" {
        // Guests cannot give themselves names here: `dynamic` is what LXD's clients know as more than `managed`.
        case "", "managed": break
        case "none": dhcp.hasNames = false
        case let mode:
            throw EngineError(
                .invalidArgument, "dns.mode=\(Names.quoted(mode)) is not offered", hint: "managed or none")
        }
        return dhcp
    }
}
