import DriverKit
import Engine
import Model
import WireTypes

extension API.Network {
    init(_ network: NetworkSpec, usedBy: [String], ports: [API.PublishedPort]) {
        self.init()
        name = network.name
        type = "bridge"
        managed = true
        status = "Created"
        config = [
            "ipv4.address": network.ipv4 ?? "none", "ipv4.nat": network.ipv4NAT ? "true" : "false",
            "ipv6.address": network.ipv6 ?? "none", "ipv6.nat": network.ipv6NAT ? "true" : "false",
            "dns.domain": network.domain, "bridge.name": network.bridge,
        ]
        if let mtu = network.mtu { config["bridge.mtu"] = String(mtu) }
        self.usedBy = usedBy
        self.ports = ports
        locations = ["none"]
    }
}

extension NetworkSpec {
    /// Reads LXD's keys. Errors name the key.
    init(_ post: API.NetworksPost) throws {
        guard post.type.isEmpty || post.type == "bridge" else {
            throw EngineError(
                .unsupported, "network type \(Names.quoted(post.type)) is not offered", hint: "use 'bridge'")
        }
        let known = [
            "ipv4.address", "ipv4.nat", "ipv6.address", "ipv6.nat", "bridge.mtu", "dns.domain", "bridge.name",
        ]
        if let unknown = post.config.keys.sorted().first(where: { !known.contains($0) }) {
            throw EngineError(
                .invalidArgument, "unknown network key \(Names.quoted(unknown))",
                hint: "known: \(known.joined(separator: ", "))")
        }
        func address(_ key: String) -> String? {
            guard let value = post.config[key], !value.isEmpty, value != "none" else { return nil }
            return value
        }
        func flag(_ key: String) throws -> Bool {
            switch post.config[key] ?? "true" {
            case "true", "1", "yes", "on": return true
            case "false", "0", "no", "off", "": return false
            case let value: throw EngineError(.invalidArgument, "\(key)=\(Names.quoted(value)) is not true or false")
            }
        }
        var mtu: Int?
        if let text = post.config["bridge.mtu"], !text.isEmpty {
            guard let value = Int(text), (1280...65_535).contains(value) else {
                throw EngineError(.invalidArgument, "bridge.mtu=\(Names.quoted(text)) is not 1280 to 65535")
            }
            mtu = value
        }
        self.init(
            name: post.name, bridge: post.config["bridge.name"] ?? post.name, ipv4: address("ipv4.address"),
            ipv4NAT: try flag("ipv4.nat"), ipv6: address("ipv6.address"), ipv6NAT: try flag("ipv6.nat"), mtu: mtu,
            domain: post.config["dns.domain"] ?? "isle")
    }
}

extension API.NetworkLease {
    init(_ lease: DriverKit.NetworkLease) {
        self.init()
        hostname = lease.hostname
        hwaddr = lease.mac
        address = lease.address
    }
}

extension API.Profile {
    init(_ profile: ProfileRecord, usedBy: [String]) {
        self.init()
        name = profile.name
        description = profile.description
        config = profile.config
        devices = profile.devices
        self.usedBy = usedBy
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.ProfilePut {
        var put = API.ProfilePut()
        put.description = description
        put.config = config
        put.devices = devices
        return put
    }
}

extension API.StorageVolume {
    init(_ volume: VolumeRecord, path: String, usedBy: [String]) {
        self.init()
        name = volume.name
        description = volume.description
        createdAt = WireTypes.Timestamp.string(volume.createdAt)
        config = volume.config
        self.path = path
        self.usedBy = usedBy
    }
}

extension API.DoctorCheck {
    init(_ check: HostCheck) {
        self.init()
        name = check.name
        level = check.level.rawValue
        finding = check.finding
        advice = check.advice
    }
}
