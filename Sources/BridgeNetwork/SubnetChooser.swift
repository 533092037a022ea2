import Glibc
import LinuxHost
public import Model
import Netlink

/// Chooses addresses for a new network.
public enum SubnetChooser {
    /// Networks and addresses that a new network must not overlap: addresses and routes of the host and its name
    /// servers. Blocks for about a millisecond.
    public static func inUse() throws -> [IPPrefix] {
        let session = try NetlinkSession()
        var used = try session.addresses().map(\.prefix)
        used += try session.routes().map(\.destination).filter { $0.length > 0 }
        let text = (try? readSmallFile("/etc/resolv.conf")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            if words.count > 1, words[0] == "nameserver", let address = IPAddress(String(words[1])),
                let prefix = IPPrefix(address, length: address.family.bits)
            {
                used.append(prefix)
            }
        }
        return used
    }

    /// A gateway address `10.x.y.1/24`, chosen at random among the free ones.
    /// - Throws: `resourceExhausted` if 10.0.0.0/8 has no room.
    public static func ipv4(
        avoiding used: [IPPrefix], using generator: inout some RandomNumberGenerator
    ) throws -> IPPrefix {
        let start = UInt32.random(in: 0..<65536, using: &generator)
        for offset in 0..<UInt32(65536) {
            let number = (start &+ offset) % 65536
            let bytes: [UInt8] = [10, UInt8(number >> 8), UInt8(number & 255), 1]
            guard let address = IPAddress(bytes: bytes), let prefix = IPPrefix(address, length: 24) else { continue }
            if !used.contains(where: { $0.overlaps(prefix) }) { return prefix }
        }
        throw EngineError(
            .resourceExhausted, "no /24 of 10.0.0.0/8 is free on this host",
            hint: "choose a subnet yourself, as 192.168.77.1/24")
    }

    /// A gateway address `fdxx:xxxx:xxxx:xxxx::1/64` with a random global id (RFC 4193).
    public static func ipv6(
        avoiding used: [IPPrefix], using generator: inout some RandomNumberGenerator
    ) throws -> IPPrefix {
        for _ in 0..<1000 {
            let id = (0..<7).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            let bytes: [UInt8] = [0xfd] + id + [0, 0, 0, 0, 0, 0, 0, 1]
            guard let address = IPAddress(bytes: bytes), let prefix = IPPrefix(address, length: 64) else { continue }
            if !used.contains(where: { $0.overlaps(prefix) }) { return prefix }
        }
        throw EngineError(.resourceExhausted, "no IPv6 /64 of fd00::/8 is free on this host")
    }

    /// The address that a guest with hardware address `mac` gives itself on `network`, a /64, by router advertisement
    /// (modified EUI-64, RFC 4291 appendix A). Reserve this one for guests that configure themselves: it is right
    /// whether they use DHCPv6 or not. Nil if `mac` is no hardware address or `network` no IPv6 /64.
    public static func eui64(_ network: IPPrefix, mac: String) -> IPAddress? {
        guard let mac = MACAddress(mac)?.bytes, network.address.family == .v6, network.length == 64 else { return nil }
        let interface = [mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]
        return IPAddress(bytes: network.network.bytes[..<8] + interface)
    }
}
