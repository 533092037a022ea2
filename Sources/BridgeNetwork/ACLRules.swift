import DriverKit
import Model

/// A network's ACLs as nft(8) rules. Values come from parsed addresses, numbers and the checked names of bridge and ACLs
/// alone, so that nothing else can get into the ruleset.
///
/// What drops comes before what rejects, that before what allows, and what the network does with the rest last,
/// whatever the order in which the rules were written: as LXD has it.
struct ACLRules {
    let bridge: String
    let security: NetworkSecurity
    let acls: [NetworkACL]

    private enum Direction: String {
        case ingress, egress
        /// Which of a packet's interfaces is the bridge.
        func interface(_ bridge: String) -> String {
            "\(self == .ingress ? "oifname" : "iifname") \"\(bridge)\""
        }
    }

    /// Rules of the chain that packets from and to the bridge go through.
    var rules: [String] {
        ["ct state established,related accept", "ct state invalid drop"] + rules(.egress) + rules(.ingress)
    }

    /// Rules of the chains at the hooks, which lead there.
    ///
    /// What a guest needs to have an address and names at all is allowed always: DHCP, DNS of the bridge, neighbours.
    var inputRules: [String] {
        let from = "iifname \"\(bridge)\""
        return [
            "\(from) udp dport { 53, 67, 547 } accept", "\(from) tcp dport 53 accept",
            "\(from) icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, "
                + "mld2-listener-report } accept",
            "\(from) jump acl",
        ]
    }

    var outputRules: [String] {
        let to = "oifname \"\(bridge)\""
        return [
            "\(to) udp sport { 53, 67, 547 } accept", "\(to) tcp sport 53 accept",
            "\(to) icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
            "\(to) jump acl",
        ]
    }

    var forwardRules: [String] {
        [
            // Between two instances; such packets come here only where the host filters bridged ones.
            "iifname \"\(bridge)\" oifname \"\(bridge)\" accept",
            "iifname \"\(bridge)\" jump acl", "oifname \"\(bridge)\" jump acl",
        ]
    }

    private func rules(_ direction: Direction) -> [String] {
        let standard = direction == .ingress ? security.ingress : security.egress
        let sorted = [NetworkACL.Action.drop, .reject, .allow].flatMap { action in
            acls.flatMap { acl in
                (direction == .ingress ? acl.ingress : acl.egress)
                    .filter { $0.action == action && $0.state != .disabled }
                    .flatMap { rule($0, of: acl, direction) }
            }
        }
        let log = standard.isLogged ? "log prefix \"isle-\(bridge)-\(direction.rawValue): \" " : ""
        return sorted + ["\(direction.interface(bridge)) \(log)\(verdict(standard.action))"]
    }

    /// One rule for each address family that it can be about.
    private func rule(_ rule: NetworkACL.Rule, of acl: NetworkACL, _ direction: Direction) -> [String] {
        let sources = rule.source.compactMap { NetworkSubject($0) }
        let destinations = rule.destination.compactMap { NetworkSubject($0) }
        let log = rule.state == .logged ? "log prefix \"isle-\(acl.name.prefix(40))-\(direction.rawValue): \" " : ""
        let end = "\(transport(rule))\(log)\(verdict(rule.action))"
        guard !sources.isEmpty || !destinations.isEmpty else { return ["\(direction.interface(bridge)) \(end)"] }
        return IPAddress.Family.allCases.compactMap { family in
            var matches: [String] = []
            for (field, subjects) in [("saddr", sources), ("daddr", destinations)] where !subjects.isEmpty {
                let own = subjects.filter { $0.family == family }
                guard !own.isEmpty else { return nil }
                let set = Self.merged(own).map(\.description).joined(separator: ", ")
                matches.append("\(family == .v4 ? "ip" : "ip6") \(field) { \(set) }")
            }
            return "\(direction.interface(bridge)) \(matches.joined(separator: " ")) \(end)"
        }
    }

    private func transport(_ rule: NetworkACL.Rule) -> String {
        switch rule.transport {
        case nil: return ""
        case .tcp?, .udp?:
            let name = rule.transport == .tcp ? "tcp" : "udp"
            var text = ""
            for (field, ports) in [("sport", rule.sourcePorts), ("dport", rule.destinationPorts)] where !ports.isEmpty {
                text += "\(name) \(field) { \(Self.merged(ports).map(\.portText).joined(separator: ", ")) } "
            }
            return text.isEmpty ? "meta l4proto \(name) " : text
        case .icmp4?, .icmp6?:
            let name = rule.transport == .icmp4 ? "icmp" : "icmpv6"
            var text = "meta l4proto \(name == "icmp" ? "icmp" : "ipv6-icmp") "
            if let type = rule.icmpType { text += "\(name) type \(type) " }
            if let code = rule.icmpCode { text += "\(name) code \(code) " }
            return text
        }
    }

    /// The same without overlaps, which a set of nft(8) does not take.
    private static func merged(_ subjects: [NetworkSubject]) -> [NetworkSubject] {
        var result: [NetworkSubject] = []
        for next in subjects.sorted(by: { $0.first.bytes.lexicographicallyPrecedes($1.first.bytes) }) {
            guard let last = result.last, !last.last.bytes.lexicographicallyPrecedes(next.first.bytes) else {
                result.append(next)
                continue
            }
            if last.last.bytes.lexicographicallyPrecedes(next.last.bytes) {
                result[result.count - 1] = .range(last.first, next.last)
            }
        }
        return result
    }

    private static func merged(_ ports: [ClosedRange<UInt16>]) -> [ClosedRange<UInt16>] {
        var result: [ClosedRange<UInt16>] = []
        for next in ports.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, next.lowerBound <= last.upperBound {
                result[result.count - 1] = last.lowerBound...max(last.upperBound, next.upperBound)
            } else {
                result.append(next)
            }
        }
        return result
    }

    private func verdict(_ action: NetworkACL.Action) -> String {
        switch action {
        case .allow: "accept"
        case .reject: "reject"
        case .drop: "drop"
        }
    }
}
