import DriverKit
import LinuxHost
import Logging
import Model
import Netlink
import Nftables

// What interfaces are held to at the host's end.
extension BridgeNetwork {
    /// Holds the link to its new rules, where there are any or were.
    func apply(_ new: InterfaceTable, replacing old: InterfaceRules?) throws {
        let (rules, old) = (new.rules, old ?? InterfaceRules())
        guard rules != old else { return }
        if rules.ingress != old.ingress || rules.isIsolated != old.isIsolated {
            guard let link = try session().link(named: new.link)?.index else {
                throw NetlinkError(errno: 19, request: "find link \(new.link)")
            }
            if rules.isIsolated != old.isIsolated {
                try session().perform([.change(.index(link), LinkSettings(isolated: rules.isIsolated))])
            }
            if rules.ingress != old.ingress { try limit(link, rules.ingress) }
        }
        if Self.hasTable(rules) {
            try nftables().run(new.replace)
            try watchFirewall()
        } else if Self.hasTable(old) {
            try nftables().run(InterfaceTable.remove(new.link))
        }
    }

    private func limit(_ link: UInt32, _ bits: Int64?) throws {
        guard let bits else {
            do { return try session().perform([.unlimitRate(of: link)]) } catch let error as NetlinkError
                where error.errno == 2
            {
                // It has none.
                return
            }
        }
        let rate = InterfaceRate(bits: bits)
        do {
            try session().perform([
                .limitRate(of: link, bytes: rate.bytes, burst: rate.burst, queue: rate.queue)
            ])
        } catch let error as NetlinkError where [2, 95].contains(error.errno) {
            throw EngineError(
                .unsupported, "limits.ingress needs the kernel's token bucket filter (sch_tbf), which is not there",
                hint: "leave it out, or install the kernel's further modules")
        }
    }

    static func hasTable(_ rules: InterfaceRules?) -> Bool { rules.map { $0.filters || $0.egress != nil } ?? false }

    /// Takes away what is not on the link itself. Until the link is gone nothing goes through it unfiltered.
    func withdrawRules(_ rules: InterfaceRules?, of link: String) throws {
        guard Self.hasTable(rules) else { return }
        try ignoringGone { try session().perform([.change(.name(link), LinkSettings(up: false))]) }
        try nftables().run(InterfaceTable.remove(link))
    }

    /// Takes away the tables of interfaces that are not there any more, and of those of the `bridges` that are not
    /// connected.
    func removeOrphanedTables(_ bridges: Set<String>) throws {
        let links = Dictionary(try session().links().map { ($0.name, $0) }) { $1 }
        let kept = Set(attachments.values.map(\.link.name))
        let orphans = try nftables().list("list tables netdev").tables.compactMap {
            InterfaceTable.link(ofTable: $0.name)
        }.filter { name in
            guard let link = links[name] else { return true }
            guard let bridge = HostLink.bridge(ofAlias: link.alias) else { return false }
            return bridges.contains(bridge) && !kept.contains(name)
        }
        guard !orphans.isEmpty else { return }
        try nftables().run(orphans.map { InterfaceTable.remove($0) }.joined())
    }

    /// The tables of everything that is connected and has one.
    var interfaceTables: [InterfaceTable] {
        attachments.values.map { InterfaceTable($0.checked, link: $0.link.name) }.filter { Self.hasTable($0.rules) }
            + directs.values.compactMap { InterfaceTable($0) }.filter { Self.hasTable($0.rules) }
    }
}

extension InterfaceTable {
    init(_ endpoint: CheckedEndpoint, link: String) {
        self.init(
            link: link, mac: endpoint.mac, addresses: [endpoint.ipv4, endpoint.ipv6].compactMap { $0 },
            rules: endpoint.endpoint.rules ?? InterfaceRules())
    }

    /// Nil for one whose link is the instance's own, or whose values are none.
    init?(_ record: DirectRecord) {
        guard let link = record.link, let direct = record.endpoint.direct,
            let checked = try? DirectEndpoint(record.endpoint, direct)
        else { return nil }
        self.init(
            link: link, mac: checked.mac, addresses: checked.addresses,
            rules: record.endpoint.rules ?? InterfaceRules())
    }
}
