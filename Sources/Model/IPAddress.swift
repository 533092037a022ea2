import Glibc

/// An IPv4 or IPv6 address.
public struct IPAddress: Hashable, Sendable {
    /// Which of the two it is.
    public enum Family: Sendable, Hashable, CaseIterable {
        case v4, v6
        /// Bits of an address.
        public var bits: Int { self == .v4 ? 32 : 128 }
    }

    /// Four or sixteen bytes in network order.
    public let bytes: [UInt8]

    /// Parses `10.0.0.1` or `fd42::1` (inet_pton(3)); nil for anything else, host names too.
    public init?(_ text: String) {
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            bytes = withUnsafeBytes(of: &v4) { Array($0) }
        } else if inet_pton(AF_INET6, text, &v6) == 1 {
            bytes = withUnsafeBytes(of: &v6) { Array($0) }
        } else {
            return nil
        }
    }

    /// Takes four or sixteen bytes in network order; nil for any other number.
    public init?(bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    public var family: Family { bytes.count == 4 ? .v4 : .v6 }

    /// 127.0.0.0/8 or ::1.
    public var isLoopback: Bool {
        family == .v4 ? bytes[0] == 127 : bytes[15] == 1 && bytes[..<15].allSatisfy { $0 == 0 }
    }

    /// 0.0.0.0 or ::.
    public var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }

    /// fe80::/10.
    public var isLinkLocal: Bool { family == .v6 && bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80 }

    /// The address with every bit after the first `length` cleared.
    public func masked(_ length: Int) -> IPAddress {
        var out = bytes
        for index in out.indices {
            let kept = min(8, max(0, length - index * 8))
            out[index] &= kept == 0 ? 0 : UInt8(truncatingIfNeeded: 0xff << (8 - kept))
        }
        return IPAddress(bytes: out) ?? self
    }
}

extension IPAddress: CustomStringConvertible {
    /// In the usual short form (inet_ntop(3)).
    public var description: String {
        var text = [CChar](repeating: 0, count: 64)
        let family = family == .v4 ? AF_INET : AF_INET6
        guard bytes.withUnsafeBytes({ inet_ntop(family, $0.baseAddress, &text, 64) }) != nil else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// An address and the number of leading bits that name its network: `10.104.0.1/24`.
public struct IPPrefix: Hashable, Sendable {
    /// As given, host bits included.
    public let address: IPAddress
    /// 0 to 32 or 128.
    public let length: Int

    /// Nil if `length` does not fit the address.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bits).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// Parses `10.104.0.1/24`; nil for anything else, a missing length too.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])),
            parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(parts[1])
        else { return nil }
        self.init(address, length: length)
    }

    /// The first address of the network.
    public var network: IPAddress { address.masked(length) }

    /// The last address of the network; of IPv4 the one that means all of it.
    public var broadcast: IPAddress {
        let bytes = address.bytes.enumerated().map { index, byte in
            byte | UInt8(truncatingIfNeeded: 0xff >> min(8, max(0, length - 8 * index)))
        }
        return IPAddress(bytes: bytes) ?? address
    }

    public func contains(_ other: IPAddress) -> Bool {
        other.family == address.family && other.masked(length) == network
    }

    /// Whether the two networks share an address.
    public func overlaps(_ other: IPPrefix) -> Bool {
        let shorter = min(length, other.length)
        return address.family == other.address.family && address.masked(shorter) == other.address.masked(shorter)
    }
}

extension IPPrefix: CustomStringConvertible {
    public var description: String { "\(address)/\(length)" }
}
