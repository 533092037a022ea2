import DriverKit
import Model

/// A network's specification, checked, and every name that is derived from it.
struct ManagedNetwork: Sendable, Hashable {
    let spec: NetworkSpec
    let ipv4: IPPrefix?
    let ipv6: IPPrefix?

    /// - Throws: `invalidArgument` naming the value that is wrong.
    init(_ spec: NetworkSpec) throws {
        self.spec = spec
        guard Self.isInterfaceName(spec.bridge) else {
            throw EngineError(
                .invalidArgument, "bridge name \(Names.quoted(spec.bridge)) is not allowed",
                hint: "use 1 to 15 letters, digits, '_' and '-', a letter first")
        }
        guard Names.isDomain(spec.domain) else {
            throw EngineError(.invalidArgument, "domain \(Names.quoted(spec.domain)) is not a domain name")
        }
        if let mtu = spec.mtu, !(1280...65535).contains(mtu) {
            throw EngineError(.invalidArgument, "mtu \(mtu) of network \(spec.name) is not between 1280 and 65535")
        }
        ipv4 = try spec.gateway(.v4)
        ipv6 = try spec.gateway(.v6)
    }

    /// The nftables table of this network alone.
    var table: String { "isle_\(spec.bridge)" }
    /// Comment of the rules that are put into chains of others.
    var ruleComment: String { "isle:\(spec.bridge)" }

    func prefix(_ family: IPAddress.Family) -> IPPrefix? { family == .v4 ? ipv4 : ipv6 }
    func isTranslated(_ family: IPAddress.Family) -> Bool { family == .v4 ? spec.ipv4NAT : spec.ipv6NAT }

    /// 1 to 15 bytes that need no quotes anywhere: file names, nftables identifiers, dnsmasq options.
    static func isInterfaceName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (1...15).contains(bytes.count), let first = bytes.first, HostNames.isLetter(first) else { return false }
        return bytes.allSatisfy { HostNames.isLetter($0) || HostNames.isDigit($0) || $0 == 0x5f || $0 == 0x2d }
    }
}

/// Names as the DNS has them.
enum HostNames {
    static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
    static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}
