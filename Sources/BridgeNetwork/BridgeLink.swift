import DriverKit
import Model
import Netlink

/// The bridge interface of one network, and which links belong to it.
struct BridgeLink {
    let network: ManagedNetwork
    private let runDirectory: String

    init(_ network: ManagedNetwork, runDirectory: String) {
        self.network = network
        self.runDirectory = runDirectory
    }

    private var name: String { network.spec.bridge }

    /// Ends in the run directory: a daemon with another one has other bridges.
    private var alias: String { "\(Self.aliasPrefix)\(network.spec.name):\(runDirectory)" }
    private static let aliasPrefix = "isle:network:"

    private func isOurs(_ link: Link) -> Bool { Self.isBridge(link, of: runDirectory) }

    /// Whether the daemon with this run directory made the bridge.
    static func isBridge(_ link: Link, of runDirectory: String) -> Bool {
        guard link.kind == "bridge", let alias = link.alias else { return false }
        return alias.hasPrefix(aliasPrefix) && alias.hasSuffix(":\(runDirectory)")
    }

    /// Makes the bridge, or mends it, and gives its index.
    func ensure(_ session: NetlinkSession) throws -> UInt32 {
        let found = try session.link(named: name)
        if let found, !isOurs(found) {
            throw EngineError(
                .alreadyExists, "interface \(name) exists and was not made by this daemon",
                hint: "choose another bridge name, or remove it with: ip link delete \(name)")
        }
        try checkOverlap(session, own: found?.index)
        if found == nil {
            // With an address of its own the bridge does not change it with the first port that comes or goes.
            try session.perform([.makeBridge(LinkSettings(name: name, mac: hardwareAddress))])
        }
        try writeSettings()
        try session.perform([
            .change(.name(name), LinkSettings(mtu: network.spec.mtu.map { UInt32($0) }), alias: alias),
            .change(.name(name), LinkSettings(up: true)),
        ])
        guard let link = try session.link(named: name) else {
            throw EngineError(.busy, "bridge \(name) vanished while it was made")
        }
        try setAddresses(session, link.index)
        return link.index
    }

    /// Removes the bridge and every port of it that is ours; nothing of anybody else's.
    func remove(_ session: NetlinkSession) throws {
        let links = try session.links()
        let bridge = links.first { $0.name == name && isOurs($0) }
        let ports = links.filter { HostLink.bridge(ofAlias: $0.alias) == name }
        for link in ports + [bridge].compactMap({ $0 }) {
            do {
                try session.perform([.deleteLink(.index(link.index))])
            } catch let error as NetlinkError where error.isGone {
                // Its namespace ended meanwhile and took it along.
            }
        }
    }

    /// The same for every life of the bridge, so that neighbours' caches stay right.
    private var hardwareAddress: MACAddress? {
        let hash = (name + runDirectory).utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        let bytes = [
            UInt8(truncatingIfNeeded: hash >> 16), UInt8(truncatingIfNeeded: hash >> 8),
            UInt8(truncatingIfNeeded: hash),
        ]
        return MACAddress(bytes: [0x00, 0x16, 0x3e] + bytes)
    }

    private func checkOverlap(_ session: NetlinkSession, own: UInt32?) throws {
        let addresses = try session.addresses().filter { $0.link != own }
        let routes = try session.routes().filter { $0.link != own && $0.destination.length > 0 }
        for prefix in [network.ipv4, network.ipv6].compactMap({ $0 }) {
            // A wide route of the host, as a VPN's, may well lie around ours; one within ours would take packets away.
            let route = routes.first { $0.destination.overlaps(prefix) && $0.destination.length >= prefix.length }
            let clash = addresses.first { $0.prefix.overlaps(prefix) }?.prefix ?? route?.destination
            guard let clash else { continue }
            throw EngineError(
                .conflict, "network \(network.spec.name) wants \(prefix), but this host has \(clash) elsewhere",
                hint: "choose another subnet for the network")
        }
    }

    /// Settings of the bridge alone; they go with it.
    private func writeSettings() throws {
        if network.ipv4 != nil { try KernelSetting.write("ipv4/conf/\(name)/route_localnet", "1") }
        // A kernel without IPv6 has no such settings, and the network no such address.
        guard KernelSetting.read("ipv6/conf/\(name)/disable_ipv6") != nil else { return }
        try KernelSetting.write("ipv6/conf/\(name)/disable_ipv6", network.ipv6 == nil ? "1" : "0")
        guard network.ipv6 != nil else { return }
        for (setting, value) in [("accept_ra", "0"), ("autoconf", "0"), ("accept_dad", "0"), ("forwarding", "1")] {
            try KernelSetting.write("ipv6/conf/\(name)/\(setting)", value)
        }
    }

    private func setAddresses(_ session: NetlinkSession, _ index: UInt32) throws {
        let wanted = [network.ipv4, network.ipv6].compactMap { $0 }
        let present = try session.addresses().filter { $0.link == index }.map(\.prefix)
        let surplus = present.filter { !wanted.contains($0) && !$0.address.isLinkLocal }
        try session.perform(surplus.map { .deleteAddress($0, of: index) } + wanted.map { .addAddress($0, to: index) })
    }
}

/// The host's end of an endpoint: a veth or a tap interface that is a port of a bridge.
struct HostLink: Sendable, Hashable {
    var name: String
    var index: UInt32
    /// A veth goes with the namespace that its other end is in; a tap only when it is deleted.
    var isTap: Bool

    static let aliasPrefix = "isle:port:"

    static func alias(bridge: String, key: EndpointKey) -> String {
        "\(aliasPrefix)\(bridge):\(key.alias)"
    }

    /// The bridge that a link of ours belongs to; nil for links of others.
    static func bridge(ofAlias alias: String?) -> String? {
        guard let alias, alias.hasPrefix(aliasPrefix) else { return nil }
        return alias.dropFirst(aliasPrefix.count).split(separator: ":").first.map(String.init)
    }

    /// What a port of the bridge needs. With br_netfilter, which Docker loads, a guest that reaches itself through a
    /// published port is translated inside the bridge, so that its frames go back by the port they came in by.
    static func portSettings(_ endpoint: CheckedEndpoint) -> LinkSettings {
        LinkSettings(ipv6LinkLocal: false, hairpin: endpoint.ports.isEmpty ? nil : true)
    }

    /// A name that no link has: an old link of the same endpoint may still be on its way out.
    static func randomName() -> String {
        let digits = String(UInt64.random(in: 0..<(1 << 44)), radix: 16)
        return "isle" + String(repeating: "0", count: 11 - digits.utf8.count) + digits
    }
}
