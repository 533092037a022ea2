import DriverKit
import Model
import Nftables

/// The nftables table of one network, as nft(8) commands. Pure: what it says is what is run.
///
/// Three maps per family lead from a port of the host to a port of an instance: `loop` for 127.0.0.0/8, which only
/// packets of the host itself are looked up in; `bound` for one address of the host; `any` for all of them.
struct FirewallTable {
    let network: ManagedNetwork

    private var table: String { "inet \(network.table)" }
    private var bridge: String { network.spec.bridge }

    /// Replaces the table, in one transaction, by one that publishes `ports`. Connections that are established stay:
    /// the kernel keeps their translation apart from the rules.
    func replace(ports: [PublishedPort], shared: [PublishedPort] = []) -> String {
        var text = "add table \(table)\ndelete table \(table)\n"
        text += "table \(table) {\n"
        for family in IPAddress.Family.allCases { text += maps(family) }
        text += "  chain balance {\n" + balanceRules(shared).map { "    \($0)\n" }.joined() + "  }\n"
        for chain in chains {
            text += "  chain \(chain.name) {\n"
            if let hook = chain.hook { text += "    type \(hook); policy accept;\n" }
            text += chain.rules.map { "    \($0)\n" }.joined() + "  }\n"
        }
        text += "}\n"
        return text + add(ports)
    }

    /// Makes shared ports lead to these endpoints and no others, in one transaction.
    func balance(_ shared: [PublishedPort]) -> String {
        "flush chain \(table) balance\n"
            + balanceRules(shared).map { "add rule \(table) balance \($0)\n" }.joined()
    }

    /// One rule for each port of the host: connections go to its endpoints in turn.
    private func balanceRules(_ shared: [PublishedPort]) -> [String] {
        Dictionary(grouping: shared, by: { "\($0)" }).sorted { $0.key < $1.key }.compactMap { _, ports in
            guard let port = ports.first else { return nil }
            let ip = port.hostAddress.family == .v4 ? "ip" : "ip6"
            let isEvery = port.hostAddress.isUnspecified
            let match =
                isEvery
                ? "meta nfproto \(ip == "ip" ? "ipv4" : "ipv6") fib daddr type local"
                : "\(ip) daddr \(port.hostAddress)"
            let targets = Set(ports.map { "\($0.guestAddress) . \($0.guestPort)" }).sorted()
            let map = targets.enumerated().map { "\($0.offset) : \($0.element)" }.joined(separator: ", ")
            return "\(match) \(port.transport.rawValue) dport \(port.hostPort) "
                + "dnat \(ip) to numgen inc mod \(targets.count) map { \(map) }"
        }
    }

    /// Whether the table is there with every rule; what the maps hold is not looked at.
    func isComplete(in ruleset: Ruleset) -> Bool {
        chains.allSatisfy { chain in
            let rules = ruleset.rules.filter {
                $0.family == "inet" && $0.table == network.table && $0.chain == chain.name
            }
            return rules.count == chain.rules.count
        }
    }

    /// Removes the table; no error if there is none.
    var remove: String { "add table \(table)\ndelete table \(table)\n" }

    func add(_ ports: [PublishedPort]) -> String {
        ports.map { "add element \(table) \(map(of: $0)) { \(key(of: $0)) : \($0.guestAddress) . \($0.guestPort) }\n" }
            .joined()
    }

    func delete(_ ports: [PublishedPort]) -> String {
        ports.map { "delete element \(table) \(map(of: $0)) { \(key(of: $0)) }\n" }.joined()
    }

    private func map(of port: PublishedPort) -> String {
        let suffix = port.hostAddress.family == .v4 ? "4" : "6"
        if port.hostAddress.isUnspecified { return "any\(suffix)" }
        return port.hostAddress.isLoopback ? "loop\(suffix)" : "bound\(suffix)"
    }

    private func key(of port: PublishedPort) -> String {
        let service = "\(port.transport.rawValue) . \(port.hostPort)"
        return port.hostAddress.isUnspecified ? service : "\(port.hostAddress) . \(service)"
    }

    private func maps(_ family: IPAddress.Family) -> String {
        let (type, suffix) = family == .v4 ? ("ipv4_addr", "4") : ("ipv6_addr", "6")
        let target = "\(type) . inet_service"
        var text = "  map any\(suffix) { type inet_proto . inet_service : \(target); }\n"
        for name in family == .v4 ? ["loop", "bound"] : ["bound"] {
            text += "  map \(name)\(suffix) { type \(type) . inet_proto . inet_service : \(target); }\n"
        }
        return text
    }

    /// A chain. One at a hook accepts what no rule decides.
    private struct Chain {
        var name: String
        /// Type, hook and priority; nil: other chains lead to it.
        var hook: String?
        var rules: [String]
    }

    private var chains: [Chain] { aclChains + ownChains }

    private var aclChains: [Chain] {
        guard let security = network.spec.security, !security.acls.isEmpty else { return [] }
        let rules = ACLRules(bridge: bridge, security: security, acls: network.spec.acls ?? [])
        return [
            Chain(name: "acl", rules: rules.rules),
            Chain(name: "acl_input", hook: "filter hook input priority filter", rules: rules.inputRules),
            Chain(name: "acl_output", hook: "filter hook output priority filter", rules: rules.outputRules),
            Chain(name: "acl_forward", hook: "filter hook forward priority filter", rules: rules.forwardRules),
        ]
    }

    private var ownChains: [Chain] {
        [
            Chain(name: "guard", hook: "filter hook prerouting priority raw", rules: guardRules),
            Chain(
                name: "dstnat", hook: "nat hook prerouting priority dstnat",
                // A packet from outside to 127.0.0.1 would be dropped as a martian only after translation: it is never
                // looked up. ::1 cannot be a translated packet's source, so it is left alone.
                rules: ["ip daddr 127.0.0.0/8 return", "ip6 daddr ::1 return", "jump balance"] + destinationRules),
            Chain(
                name: "output", hook: "nat hook output priority -100",
                rules: [
                    "ip6 daddr ::1 return", "jump balance", "dnat ip to ip daddr . meta l4proto . th dport map @loop4",
                ]
                    + destinationRules),
            Chain(name: "srcnat", hook: "nat hook postrouting priority srcnat", rules: sourceRules),
            Chain(name: "forward", hook: "filter hook forward priority filter", rules: forwardRules),
        ]
    }

    /// Answers to translated connections from 127.0.0.1 need `route_localnet` on the bridge, which would also let
    /// guests reach what listens on the host's loopback: these packets go before anything looks at them.
    private var guardRules: [String] {
        ["saddr", "daddr"].map { "iifname \"\(bridge)\" ip \($0) 127.0.0.0/8 drop" }
    }

    private var destinationRules: [String] {
        [
            "dnat ip to ip daddr . meta l4proto . th dport map @bound4",
            "dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6",
            "fib daddr type local dnat ip to meta l4proto . th dport map @any4",
            "fib daddr type local dnat ip6 to meta l4proto . th dport map @any6",
        ] + ForwardRules.rules(network.spec.forwards ?? [])
    }

    private var sourceRules: [String] {
        var rules = ["oifname \"\(bridge)\" ip saddr 127.0.0.0/8 masquerade"]
        for family in IPAddress.Family.allCases {
            guard let prefix = network.prefix(family) else { continue }
            let ip = family == .v4 ? "ip" : "ip6"
            let net = "\(prefix.network)/\(prefix.length)"
            // A guest that reaches its neighbour, or itself, through a port of the host must get its answer by the
            // same way.
            rules.append("\(ip) saddr \(net) \(ip) daddr \(net) ct status dnat masquerade")
            if network.isTranslated(family), network.spec.isInternal != true {
                rules.append("oifname != \"\(bridge)\" \(ip) saddr \(net) \(ip) daddr != \(net) masquerade")
            }
        }
        return rules
    }

    /// Behind translation nobody outside reaches what is not published, not even by a route of their own.
    private var forwardRules: [String] {
        if network.spec.isInternal == true {
            // Bridged packets do not come here, unless the host filters those too.
            return [
                "iifname \"\(bridge)\" oifname \"\(bridge)\" accept", "iifname \"\(bridge)\" drop",
                "oifname \"\(bridge)\" drop",
            ]
        }
        var rules = [
            "iifname \"\(bridge)\" accept",
            "oifname != \"\(bridge)\" accept",
            "ct state established,related accept",
            "ct status dnat accept",
        ]
        for family in IPAddress.Family.allCases where network.isTranslated(family) {
            rules.append("meta nfproto \(family == .v4 ? "ipv4" : "ipv6") drop")
        }
        return rules
    }
}
