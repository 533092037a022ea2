import Model
import DriverKit

/// The content of the files by which an instance knows its own name, others' and its name servers.
struct NetworkFiles: Sendable, Hashable {
    var hostname: String
    /// hosts(5)
    var hosts: String
    /// resolv.conf(5)
    var resolvConf: String

    init(hostname: String, hosts: String, resolvConf: String) {
        self.hostname = hostname
        self.hosts = hosts
        self.resolvConf = resolvConf
    }

    /// - Parameters:
    ///   - hostResolvConf: the host's own, for an instance in the host's network.
    ///   - hostHosts: likewise.
    init(plan: LaunchPlan, hostResolvConf: String, hostHosts: String) {
        hostname = plan.hostname + "\n"
        var names = [plan.hostname]
        if plan.name != plan.hostname { names.append(plan.name) }
        switch plan.network {
        case .host, .instance:
            hosts = hostHosts
            resolvConf = hostResolvConf
        case .none:
            hosts = Self.localhost + "127.0.1.1\t\(names.joined(separator: " "))\n"
            resolvConf = ""
        case .endpoints(let endpoints):
            var lines = Self.localhost
            var own = false
            for endpoint in endpoints where !endpoint.configuredByGuest {
                for address in [endpoint.ipv4, endpoint.ipv6].compactMap({ $0 }) {
                    let all = names + endpoint.aliases.filter { !names.contains($0) }
                    lines += "\(address)\t\(all.joined(separator: " "))\n"
                    own = true
                }
            }
            if !own { lines += "127.0.1.1\t\(names.joined(separator: " "))\n" }
            hosts = lines
            resolvConf = Self.resolvConf(endpoints)
        }
    }

    /// Adds what the options say: further hosts, and resolver settings in place of the network's.
    mutating func apply(_ options: ContainerOptions) {
        if !options.hosts.isEmpty, !hosts.hasSuffix("\n"), !hosts.isEmpty { hosts += "\n" }
        for host in options.hosts { hosts += "\(host.address)\t\(host.name)\n" }
        guard !options.nameServers.isEmpty || !options.searchDomains.isEmpty || !options.resolverOptions.isEmpty else {
            return
        }
        var lines = resolvConf.split(separator: "\n").map(String.init)
        if !options.nameServers.isEmpty {
            lines.removeAll { $0.hasPrefix("nameserver") }
            lines += options.nameServers.prefix(3).map { "nameserver \($0)" }
        }
        if !options.searchDomains.isEmpty {
            lines.removeAll { $0.hasPrefix("search") || $0.hasPrefix("domain") }
            // A dot alone is Docker's word for no search at all.
            let domains = options.searchDomains.filter { $0 != "." }
            if !domains.isEmpty { lines.insert("search \(domains.joined(separator: " "))", at: 0) }
        }
        if !options.resolverOptions.isEmpty {
            lines.removeAll { $0.hasPrefix("options") }
            lines.append("options \(options.resolverOptions.joined(separator: " "))")
        }
        resolvConf = lines.joined(separator: "\n") + "\n"
    }

    private static let localhost = """
        127.0.0.1\tlocalhost
        ::1\tlocalhost ip6-localhost ip6-loopback
        fe00::0\tip6-localnet
        ff02::1\tip6-allnodes
        ff02::2\tip6-allrouters

        """

    /// At most three servers: the C library reads no more.
    private static func resolvConf(_ endpoints: [NetworkEndpoint]) -> String {
        var servers: [String] = []
        var domains: [String] = []
        for endpoint in endpoints {
            // The host is no name server on interfaces that are on no network of ours.
            let own =
                endpoint.dns.isEmpty && endpoint.direct == nil
                ? [endpoint.gateway4, endpoint.gateway6].compactMap { $0 } : endpoint.dns
            for server in own where !servers.contains(server) { servers.append(server) }
            for domain in endpoint.searchDomains where !domains.contains(domain) { domains.append(domain) }
        }
        var text = ""
        if !domains.isEmpty { text += "search \(domains.joined(separator: " "))\n" }
        for server in servers.prefix(3) { text += "nameserver \(server)\n" }
        return text
    }
}
