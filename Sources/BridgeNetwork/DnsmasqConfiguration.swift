import DriverKit
import Model
import Netlink

/// Whom the network's name server asks for names it does not know.
public enum Resolvers: Sendable, Hashable {
    /// The name servers of the host's /etc/resolv.conf, whatever they are at the time.
    case host
    /// These addresses.
    case servers([String])
    /// Nobody: only instances have names.
    case none
}

/// The text files that dnsmasq(8) reads for one network. Pure.
struct DnsmasqConfiguration {
    let network: ManagedNetwork
    let folder: NetworkFolder
    let resolvers: Resolvers
    /// Whom dnsmasq becomes after it has bound its sockets.
    let user: String

    var text: String {
        var lines = [
            "interface=\(network.spec.bridge)",
            "except-interface=lo",
            // Follows the bridge when it is made anew; never listens on other addresses.
            "bind-dynamic",
            "user=\(user)",
            "pid-file=\(folder.pidFile)",
            "dhcp-leasefile=\(folder.leases)",
            // Both folders are watched (inotify): names and reservations take effect at once.
            "hostsdir=\(folder.hosts)",
            "dhcp-hostsdir=\(folder.reservations)",
            "no-hosts",
            "no-negcache",
            "domain-needed",
            "bogus-priv",
            "local=/\(network.spec.domain)/",
            // A guest cannot give itself a name: names come from the hosts folder alone. `domain` is not set for the
            // same reason: with it, dnsmasq would keep a name for as long as its address is leased.
            "dhcp-ignore-names",
            "dhcp-authoritative",
            "dhcp-rapid-commit",
            "no-ping",
            "quiet-dhcp",
            "quiet-dhcp6",
            "quiet-ra",
            "dhcp-option=option:domain-name,\(network.spec.domain)",
            "dhcp-option=option:domain-search,\(search)",
        ]
        // An empty option 3 keeps dnsmasq from naming itself as the router.
        lines.append(
            network.spec.isInternal == true ? "dhcp-option=option:router" : "dhcp-option=tag:noroute,option:router")
        if network.spec.isInternal != true, let gateway = network.spec.dhcp?.gateway {
            lines.append("dhcp-option=tag:!noroute,option:router,\(gateway)")
        }
        switch resolvers {
        case .host: break
        case .servers(let servers): lines += ["no-resolv"] + servers.map { "server=\($0)" }
        case .none: lines += ["no-resolv"]
        }
        if let mtu = network.spec.mtu { lines.append("dhcp-option=option:mtu,\(mtu)") }
        // `static`: only reserved addresses are handed out, so that nothing can clash with the engine's choice.
        let dhcp = network.spec.dhcp ?? NetworkDHCP()
        if let prefix = network.ipv4, dhcp.isOn {
            lines.append("dhcp-range=\(prefix.network),static,\(Self.mask(prefix.length)),\(dhcp.expiry)")
        }
        if let prefix = network.ipv6 {
            // Stateless configuration needs a /64 (RFC 4862).
            let mode = prefix.length == 64 ? "static,slaac" : "static"
            lines.append("dhcp-range=\(prefix.network),\(mode),\(prefix.length),1h")
            lines.append("dhcp-option=option6:dns-server,[\(prefix.address)]")
            lines.append("dhcp-option=option6:domain-search,\(search)")
            lines.append("enable-ra")
        }
        // Last: of options that hold one value the later one counts.
        if let raw = network.spec.rawDnsmasq { lines.append(raw) }
        return lines.joined(separator: "\n") + "\n"
    }

    private var search: String { (network.spec.dhcp?.search ?? [network.spec.domain]).joined(separator: ",") }

    /// The hosts file of an endpoint: its names, bare and below the domain. The full name comes first: it is what
    /// the address resolves to.
    ///
    /// - Parameter taken: bare names that are left out.
    func hosts(_ endpoint: CheckedEndpoint, without taken: Set<String> = []) -> String {
        guard network.spec.dhcp?.hasNames != false else { return "" }
        let own = ([endpoint.endpoint.hostname] + endpoint.endpoint.aliases).filter { !taken.contains($0) }
        guard !own.isEmpty else { return "" }
        let names = own.flatMap { ["\($0).\(network.spec.domain)", $0] }
        var seen = Set<String>()
        let unique = names.filter { seen.insert($0).inserted }.joined(separator: " ")
        return [endpoint.ipv4, endpoint.ipv6].compactMap { $0 }.map { "\($0) \(unique)\n" }.joined()
    }

    /// The reservation of an endpoint whose guest configures itself.
    func reservation(_ endpoint: CheckedEndpoint) -> String {
        var parts = [endpoint.mac.description] + (endpoint.endpoint.hasDefaultRoute ? [] : ["set:noroute"])
        if let address = endpoint.ipv6 { parts.append("[\(address)]") }
        if let address = endpoint.ipv4 { parts.append(address.description) }
        return parts.joined(separator: ",") + "\n"
    }

    static func mask(_ length: Int) -> String {
        let all = IPAddress(bytes: [255, 255, 255, 255])
        return all?.masked(length).description ?? "255.255.255.0"
    }

    /// Leases of IPv4 clients in dnsmasq's lease file: `expiry mac address name client-id`. IPv6 leases follow after
    /// a line `duid …` and have no hardware address.
    static func leases(_ text: String, now: Double, hostname: (String) -> String?) -> [NetworkLease] {
        text.split(separator: "\n").prefix { !$0.hasPrefix("duid ") }.compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4, let expiry = Double(fields[0]), expiry == 0 || expiry > now else { return nil }
            let mac = String(fields[1])
            let name = fields[3] == "*" ? "" : String(fields[3])
            return NetworkLease(hostname: hostname(mac) ?? name, mac: mac, address: String(fields[2]))
        }
    }
}
