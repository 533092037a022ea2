import DriverKit
import Model
import Netlink
import Nftables

/// The nftables table of one interface with rules, as nft(8) commands: what the host's end of it takes in is looked at
/// before anything else sees it. Pure: what it says is what is run.
struct InterfaceTable {
    /// Name of the host's end.
    let link: String
    let mac: MACAddress
    let addresses: [IPAddress]
    let rules: InterfaceRules

    private static let prefix = "isle_nic_"
    private static let chain = "ingress"

    /// Names of links may hold what names of tables may not.
    static func name(_ link: String) -> String { prefix + link.utf8.map { hex($0) }.joined() }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return digits.utf8.count == 1 ? "0" + digits : digits
    }

    /// The link that the table called `name` is of; nil for tables of other kinds.
    static func link(ofTable name: String) -> String? {
        guard name.hasPrefix(prefix) else { return nil }
        let digits = Array(name.dropFirst(prefix.count))
        guard digits.count % 2 == 0 else { return nil }
        let bytes = stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
        guard !bytes.contains(nil) else { return nil }
        return String(decoding: bytes.compactMap { $0 }, as: UTF8.self)
    }

    /// Replaces the table, in one transaction.
    var replace: String {
        Self.remove(link) + """
            table netdev \(Self.name(link)) {
              chain \(Self.chain) {
                type filter hook ingress device "\(link)" priority -500; policy accept;
            \(statements.map { "    \($0)" }.joined(separator: "\n"))
              }
            }

            """
    }

    /// Removes the table; no error if there is none.
    static func remove(_ link: String) -> String {
        // Adding what is there is no error; deleting what is not would be one.
        "add table netdev \(name(link))\ndelete table netdev \(name(link))\n"
    }

    /// Whether the table is there with every rule.
    func isComplete(in ruleset: Ruleset) -> Bool {
        statements.count
            == ruleset.rules.filter {
                $0.family == "netdev" && $0.table == Self.name(link) && $0.chain == Self.chain
            }.count
    }

    private var statements: [String] {
        var all: [String] = []
        if rules.filtersMAC { all += ["ether saddr != \(mac) drop", "arp saddr ether != \(mac) drop"] }
        if rules.filtersIPv4 || rules.filtersIPv6 { all.append("meta protocol != { arp, ip, ip6 } drop") }
        if rules.filtersIPv4 { all += ipv4 }
        if rules.filtersIPv6 { all += ipv6 }
        if let egress = rules.egress {
            let rate = InterfaceRate(bits: egress)
            all.append("limit rate over \(rate.bytes) bytes/second burst \(rate.burst) bytes drop")
        }
        return all
    }

    /// One that has no address yet asks for one (DHCP), or whether it is free (RFC 5227).
    private var ipv4: [String] {
        let own = (["0.0.0.0"] + addresses.filter { $0.family == .v4 }.map(\.description)).joined(separator: ", ")
        return [
            "arp saddr ip != { \(own) } drop", "ip saddr != { \(own) } drop",
            "ip saddr 0.0.0.0 meta l4proto != udp drop", "ip saddr 0.0.0.0 udp dport != 67 drop",
        ]
    }

    /// Addresses of the link itself are anyone's to make (RFC 4862), and so are not told apart.
    private var ipv6: [String] {
        let own = addresses.filter { $0.family == .v6 }
        let set = (["::", "fe80::/10"] + own.map(\.description)).joined(separator: ", ")
        // Where an advertisement names its target: after the header of 40 bytes and 8 more. nft(8) has a word for it
        // from 1.0.8 on alone.
        let others = own.map { "@nh,384,128 != 0x\($0.bytes.map { Self.hex($0) }.joined())" } + ["@nh,384,10 != 0x3fa"]
        return [
            "ip6 saddr != { \(set) } drop", "ip6 saddr :: meta l4proto != ipv6-icmp drop",
            "icmpv6 type nd-router-advert drop",
            "icmpv6 type nd-neighbor-advert \(others.joined(separator: " ")) drop",
        ]
    }
}

/// A rate as the kernel's limiters want it.
struct InterfaceRate {
    /// A second.
    let bytes: UInt64
    /// What may go at once: a fiftieth of a second, and at least the largest frame there is.
    let burst: UInt32
    /// What waits: another tenth of a second.
    let queue: UInt32

    init(bits: Int64) {
        bytes = max(UInt64(clamping: bits) / 8, 1)
        burst = UInt32(min(max(bytes / 50, 1 << 17), 1 << 30))
        queue = UInt32(min(max(bytes / 10, 1 << 17) + UInt64(burst), 1 << 31))
    }
}
