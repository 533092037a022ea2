import DriverKit
import Model

/// `POST /networks/create` as a managed network.
struct NetworkCreation {
    let spec: NetworkSpec
    private(set) var warnings: [String] = []

    init(_ body: Fields, name: String, used: [NetworkSpec]) throws {
        let driver = try body.text("Driver") ?? "bridge"
        guard driver == "bridge" || driver == "default" else {
            throw EngineError(
                ["overlay", "macvlan", "ipvlan"].contains(driver) ? .unsupported : .notFound,
                "could not find plugin \(driver) in v1 plugin registry: plugin not found",
                hint: "the driver is 'bridge'")
        }
        for key in ["Ingress", "ConfigOnly"] where try body.bool(key) {
            throw EngineError(.unsupported, "networks with \(key) are not offered by this engine")
        }
        let options = try body.texts("Options")
        let bridge = options["com.docker.network.bridge.name"] ?? Self.bridge(name)
        let mtu = try options["com.docker.network.driver.mtu"].map { text in
            guard let mtu = Int(text), (68...65_535).contains(mtu) else {
                throw EngineError(.invalidArgument, "invalid MTU: \(text)")
            }
            return mtu
        }
        let known: Set<String> = [
            "com.docker.network.bridge.name", "com.docker.network.driver.mtu",
            "com.docker.network.bridge.enable_ip_masquerade", "com.docker.network.bridge.default_bridge",
            "com.docker.network.bridge.host_binding_ipv4",
        ]
        for option in options.keys.sorted() where !known.contains(option) { warnings.append("\(option) was ignored") }
        let translates = options["com.docker.network.bridge.enable_ip_masquerade"] != "false"
        var (ipv4, ipv6): (String?, String?)
        var addresses: AddressPool?
        for pool in try body.object("IPAM").objects("Config") {
            guard let subnet = try pool.text("Subnet") else { continue }
            guard let prefix = IPPrefix(subnet) else {
                throw EngineError(.invalidArgument, "invalid subnet \(subnet)")
            }
            let gateway = try Self.gateway(prefix, asked: try pool.text("Gateway"))
            if prefix.address.family == .v4 {
                ipv4 = gateway
                addresses = try AddressPool(pool, subnet: prefix)
            } else {
                ipv6 = gateway
                for key in ["IPRange", "AuxiliaryAddresses"] where AddressPool.isStated(pool.json[key]) {
                    warnings.append("\(key) of \(subnet) was ignored: IPv6 addresses follow from the instance")
                }
            }
        }
        if ipv4 == nil, try body.optionalBool("EnableIPv4") ?? true { ipv4 = try Self.free(used) }
        if ipv6 == nil, try body.bool("EnableIPv6") { ipv6 = Self.unique(name) }
        var spec = NetworkSpec(
            name: name, bridge: bridge, ipv4: ipv4, ipv4NAT: translates, ipv6: ipv6, ipv6NAT: translates, mtu: mtu)
        if let addresses, !addresses.ranges.isEmpty { spec.dhcp = NetworkDHCP(ranges: addresses.ranges) }
        let labels = try body.texts("Labels").map { ("user.\($0.key)", $0.value) }
        if !labels.isEmpty { spec.userKeys = Dictionary(labels) { $1 } }
        if let asked = addresses?.asked, !asked.members.isEmpty {
            spec.userKeys = (spec.userKeys ?? [:]).merging([AddressPool.key: asked.text]) { $1 }
        }
        if try body.bool("Internal") { spec.isInternal = true }
        self.spec = spec
    }

    /// A name of at most thirteen characters for the interface.
    private static func bridge(_ name: String) -> String { "br-" + ContainerID.of(name: name).prefix(10) }

    /// The gateway with the prefix length: the one asked for, else the subnet's first address.
    private static func gateway(_ subnet: IPPrefix, asked: String?) throws -> String {
        if let asked {
            guard let address = IPAddress(asked), subnet.contains(address) else {
                throw EngineError(.invalidArgument, "no matching subnet for gateway \(asked)")
            }
            return "\(address)/\(subnet.length)"
        }
        var bytes = subnet.network.bytes
        bytes[bytes.count - 1] |= 1
        return "\(IPAddress(bytes: bytes) ?? subnet.address)/\(subnet.length)"
    }

    /// A network of 256 addresses in 172.17.0.0 to 172.31.255.0 that no other of ours overlaps.
    private static func free(_ used: [NetworkSpec]) throws -> String {
        let taken = used.compactMap { $0.ipv4.flatMap { IPPrefix($0) } }
        for second in UInt8(18)...31 {
            for third in UInt8(0)...255 {
                guard let address = IPAddress(bytes: [172, second, third, 1]),
                    let prefix = IPPrefix(address, length: 24)
                else { continue }
                if !taken.contains(where: { $0.overlaps(prefix) }) { return prefix.description }
            }
        }
        throw EngineError(.resourceExhausted, "all predefined address pools have been fully subnetted")
    }

    /// A unique local network (RFC 4193) that follows from the name.
    private static func unique(_ name: String) -> String {
        let digits = ContainerID.of(name: "ipv6/" + name)
        func group(_ index: Int) -> Substring { digits.dropFirst(index * 4).prefix(4) }
        return "fd\(digits.prefix(2)):\(group(1)):\(group(2)):\(group(3))::1/64"
    }
}
