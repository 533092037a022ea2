import Model

/// An IPv4 address in host byte order.
struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
    var value: UInt32

    init(value: UInt32) { self.value = value }

    /// Four decimal numbers; nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let number = UInt8(part), part.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
            value = value << 8 | UInt32(number)
        }
        self.value = value
    }

    var description: String { "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)" }
}

/// An IPv4 network with the gateway's address in it: `10.104.0.1/24`.
struct IPv4Subnet: Sendable, Hashable {
    var gateway: IPv4Address
    var prefix: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let gateway = IPv4Address(String(parts[0])), let prefix = Int(parts[1]),
            (8...30).contains(prefix)
        else { return nil }
        self.gateway = gateway
        self.prefix = prefix
    }

    private var mask: UInt32 { ~UInt32(0) << (32 - UInt32(prefix)) }
    func contains(_ address: IPv4Address) -> Bool { address.value & mask == gateway.value & mask }

    /// Whether an interface can have the address: not the network's own, its broadcast or the gateway's.
    func canHold(_ address: IPv4Address) -> Bool {
        contains(address) && address != gateway && address.value & ~mask != 0 && address.value & ~mask != ~mask
    }

    /// The first address of `range` that is neither the network's, its broadcast, the gateway's nor in `taken`, in
    /// order.
    func firstFree(in range: ClosedRange<UInt32>? = nil, taken: Set<String>) -> IPv4Address? {
        let base = gateway.value & mask
        let last = min(base | ~mask, (range?.upperBound).map { $0 == .max ? $0 : $0 + 1 } ?? .max)
        var candidate = max(base + 1, range?.lowerBound ?? 0)
        while candidate < last {
            let address = IPv4Address(value: candidate)
            if address != gateway, !taken.contains(address.description) { return address }
            candidate += 1
        }
        return nil
    }
}

/// Chooses the addresses of an interface. Pure: the store calls it inside the transaction that writes the result.
enum AddressChooser {
    /// Keeps what `previous` had where it is still right; `wanted` addresses must be in the network and free.
    static func choose(
        instance: InstanceID, nic: Devices.Nic, network: NetworkSubnets, previous: AddressReservation?,
        taken: [AddressReservation]
    ) throws -> AddressReservation {
        let mac = nic.mac?.lowercased() ?? previous?.mac ?? randomMAC()
        var result = AddressReservation(
            instance: instance, device: nic.device, network: nic.network, mac: mac, ipv4: nil, ipv6: nil)
        if let subnet = network.ipv4 {
            let used = Set(taken.compactMap(\.ipv4))
            if let wanted = nic.ipv4 {
                guard let address = IPv4Address(wanted), subnet.canHold(address) else {
                    throw EngineError(
                        .invalidArgument,
                        "address \(wanted) is not one for instances of network \(nic.network) (\(subnet.gateway)/\(subnet.prefix))"
                    )
                }
                guard !used.contains(address.description) else {
                    throw EngineError(
                        .conflict, "address \(wanted) of network \(nic.network) belongs to another instance")
                }
                result.ipv4 = address.description
            } else if let kept = previous?.ipv4, previous?.network == nic.network, let address = IPv4Address(kept),
                subnet.contains(address), network.allows(address), !used.contains(kept)
            {
                result.ipv4 = kept
            } else {
                guard let free = network.firstFree(in: subnet, taken: used) else {
                    throw EngineError(
                        .resourceExhausted, "network \(nic.network) has no free IPv4 address",
                        hint: "delete instances, or use a network with a larger subnet")
                }
                result.ipv4 = free.description
            }
        }
        if let prefix = network.ipv6Prefix {
            let text = nic.ipv6 ?? (prefix + interfaceIdentifier(mac: mac))
            guard let address = IPAddress(text), address.masked(64) == IPAddress(prefix + ":") else {
                throw EngineError(
                    .invalidArgument, "address \(text) is not in network \(nic.network) (\(prefix):/64)")
            }
            guard !taken.contains(where: { $0.ipv6 == address.description }) else {
                throw EngineError(
                    .conflict, "address \(address) of network \(nic.network) belongs to another instance")
            }
            result.ipv6 = address.description
        }
        return result
    }

    /// Of an interface on no network: only its hardware address is kept.
    static func choose(
        instance: InstanceID, direct nic: Devices.Nic, previous: AddressReservation?
    ) -> AddressReservation {
        let kept = previous?.mac.isEmpty == false ? previous?.mac : nil
        return AddressReservation(
            instance: instance, device: nic.device, network: "", mac: nic.mac?.lowercased() ?? kept ?? randomMAC(),
            ipv4: nil, ipv6: nil)
    }

    /// A locally usable address in the range that virtual machines commonly have.
    private static func randomMAC() -> String {
        let tail = UInt32.random(in: 0...0xff_ffff)
        return "00:16:3e:" + [tail >> 16, tail >> 8 & 255, tail & 255].map { hex(UInt8($0)) }.joined(separator: ":")
    }

    /// Modified EUI-64 (RFC 4291, appendix A), what a guest that configures itself chooses as well.
    private static func interfaceIdentifier(mac: String) -> String {
        let bytes = mac.split(separator: ":").compactMap { UInt8($0, radix: 16) }
        guard bytes.count == 6 else { return "1" }
        let full = [bytes[0] ^ 2, bytes[1], bytes[2], 0xff, 0xfe, bytes[3], bytes[4], bytes[5]]
        return stride(from: 0, to: 8, by: 2)
            .map { String(UInt16(full[$0]) << 8 | UInt16(full[$0 + 1]), radix: 16) }.joined(separator: ":")
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return digits.utf8.count == 1 ? "0" + digits : digits
    }
}

/// What address choice needs to know of a network.
struct NetworkSubnets: Sendable {
    var ipv4: IPv4Subnet?
    /// The first four groups with the closing colon: `fd42:1:2:3:`; nil without IPv6.
    var ipv6Prefix: String?

    /// What instances get their IPv4 addresses of; empty: the whole subnet.
    var ranges: [ClosedRange<UInt32>] = []

    /// - Parameters:
    ///   - ipv6: the gateway with its prefix length, `fd42:1:2:3::1/64`.
    ///   - ranges: as `10.0.0.100-10.0.0.200`; what is none is left out.
    init(ipv4: String?, ipv6: String?, ranges: [String] = []) {
        self.ranges = ranges.compactMap(Self.range)
        self.ipv4 = ipv4.flatMap { IPv4Subnet($0) }
        guard let ipv6, let end = ipv6.range(of: "::") else { return }
        let groups = ipv6[..<end.lowerBound].split(separator: ":", omittingEmptySubsequences: false)
        guard groups.count <= 4 else { return }
        ipv6Prefix =
            (groups.map(String.init) + Array(repeating: "0", count: 4 - groups.count)).joined(separator: ":") + ":"
    }
}

extension NetworkSubnets {
    func allows(_ address: IPv4Address) -> Bool {
        ranges.isEmpty || ranges.contains { $0.contains(address.value) }
    }

    /// The first free address of the ranges, or of the subnet where there are none.
    func firstFree(in subnet: IPv4Subnet, taken: Set<String>) -> IPv4Address? {
        guard !ranges.isEmpty else { return subnet.firstFree(taken: taken) }
        return ranges.lazy.compactMap { subnet.firstFree(in: $0, taken: taken) }.first
    }

    /// `invalidArgument` unless each of `ranges` is one of addresses of the network.
    static func check(_ ranges: [String], in network: String?) throws {
        for text in ranges {
            guard let range = range(text), let subnet = network.flatMap({ IPv4Subnet($0) }),
                subnet.contains(IPv4Address(value: range.lowerBound)),
                subnet.contains(IPv4Address(value: range.upperBound))
            else {
                throw EngineError(
                    .invalidArgument, "ipv4.dhcp.ranges: \(Names.quoted(text)) is not a range of the network",
                    hint: "first and last address, as 10.0.0.100-10.0.0.200")
            }
        }
    }

    private static func range(_ text: String) -> ClosedRange<UInt32>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { IPv4Address(String($0)) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first.value <= last.value else { return nil }
        return first.value...last.value
    }
}

extension String {
    fileprivate func range(of needle: String) -> Range<String.Index>? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(needle) { return index..<self.index(index, offsetBy: needle.count) }
            index = self.index(after: index)
        }
        return nil
    }
}
