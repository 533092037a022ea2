import DriverKit
import Nftables

/// Chains of others (Docker, ufw, firewalld, a hand-written ruleset) that would drop a network's packets, and the rules that
/// let them pass. An `accept` in one table never overrides a `drop` in another, so the rules must stand in
/// those chains; each carries a comment that names the bridge and is taken away with the network.
///
/// The rules use only matches that iptables-nft also understands, so that `iptables -S` goes on working.
struct ForeignFirewall {
    let network: ManagedNetwork

    /// A chain that drops what no rule of it accepts.
    struct Blocker: Hashable, CustomStringConvertible {
        var family: String
        var table: String
        /// The base chain.
        var chain: String
        var hook: String
        /// Where rules are inserted: the base chain, or the one that its owner gives to users.
        var entry: String

        var description: String { "\(family) \(table) \(chain)" }
    }

    /// The chains at `hook` (`forward`, `input`) that drop by policy or by their last rule.
    static func blockers(in ruleset: Ruleset, hook: String, ignoring ownTables: (String) -> Bool) -> [Blocker] {
        ruleset.chains.compactMap { chain in
            guard chain.hook == hook, chain.type == "filter", ["ip", "ip6", "inet"].contains(chain.family),
                !ownTables(chain.table), isIdentifier(chain.table), isIdentifier(chain.name)
            else { return nil }
            let rules = ruleset.rules.filter {
                $0.family == chain.family && $0.table == chain.table && $0.chain == chain.name
            }
            guard chain.policy == "drop" || rules.last.map(isRefusal) == true else { return nil }
            // Docker evaluates DOCKER-USER before its own rules and never empties it.
            let jumpsToUsers = rules.contains { $0.expressions.contains { $0.target == "DOCKER-USER" } }
            return Blocker(
                family: chain.family, table: chain.table, chain: chain.name, hook: hook,
                entry: jumpsToUsers ? "DOCKER-USER" : chain.name)
        }
    }

    /// Whether a name can stand in a command; nft's language has no quotes for others.
    static func isIdentifier(_ name: String) -> Bool {
        guard let first = name.utf8.first, HostNames.isLetter(first) || first == 0x5f else { return false }
        return name.utf8.allSatisfy {
            HostNames.isLetter($0) || HostNames.isDigit($0) || [0x2d, 0x2e, 0x5f].contains($0)
        }
    }

    /// A rule that drops or rejects everything that reaches it.
    private static func isRefusal(_ rule: Ruleset.Rule) -> Bool {
        let statements = rule.expressions.map(\.name).filter { !["counter", "log"].contains($0) }
        return statements == ["drop"] || statements == ["reject"]
    }

    /// Commands that put our rules where they are missing; empty if all is well.
    func accept(in ruleset: Ruleset, ignoring ownTables: (String) -> Bool) -> (commands: String, blockers: [Blocker]) {
        var commands = ""
        var touched: [Blocker] = []
        for hook in ["forward", "input"] {
            for blocker in Self.blockers(in: ruleset, hook: hook, ignoring: ownTables) {
                let wanted = matches(blocker)
                let present = ruleset.rules.filter {
                    $0.family == blocker.family && $0.table == blocker.table && $0.chain == blocker.entry
                        && $0.comment == network.ruleComment
                }
                guard present.count != wanted.count else { continue }
                touched.append(blocker)
                commands += present.map(Self.delete).joined()
                for match in wanted {
                    commands +=
                        "insert rule \(blocker.family) \(blocker.table) \(blocker.entry) \(match) "
                        + "counter accept comment \"\(network.ruleComment)\"\n"
                }
            }
        }
        return (commands, touched)
    }

    /// Commands that take away every rule of ours from the tables of others.
    func remove(from ruleset: Ruleset, ignoring ownTables: (String) -> Bool) -> String {
        ruleset.rules.filter {
            $0.comment == network.ruleComment && !ownTables($0.table) && Self.isIdentifier($0.table)
                && Self.isIdentifier($0.chain)
        }.map(Self.delete).joined()
    }

    private static func delete(_ rule: Ruleset.Rule) -> String {
        "delete rule \(rule.family) \(rule.table) \(rule.chain) handle \(rule.handle)\n"
    }

    private func matches(_ blocker: Blocker) -> [String] {
        let bridge = network.spec.bridge
        if blocker.hook == "forward" {
            // What may come in is decided in our own table's forward chain, which sees the same packets.
            return ["iifname \"\(bridge)\"", "oifname \"\(bridge)\""]
        }
        // What guests need of the host itself: names, DHCP, and finding the router.
        var services = ["tcp dport 53", "udp dport 53"]
        if blocker.family != "ip6" { services.append("udp dport 67") }
        if blocker.family != "ip" { services += ["udp dport 547", "meta l4proto ipv6-icmp"] }
        return services.map { "iifname \"\(bridge)\" \($0)" }
    }
}
