import Model

/// Which addresses of a subnet the engine may give to containers: `IPRange` and `AuxiliaryAddresses` of an IPAM
/// configuration. Addresses that a container asks for by itself are not bound to them.
struct AddressPool {
    /// `first-last`, in order; empty: all of the subnet.
    let ranges: [String]
    /// What was asked for, which the ranges do not tell: it is kept with the network (`AddressPool.key`) to be shown.
    let asked: JSON
    /// The network's key for it.
    static let key = "user.docker.ipam"

    init(_ pool: Fields, subnet: IPPrefix) throws {
        var free: [ClosedRange<UInt32>] = []
        let hosts = Self.hosts(of: subnet)
        if let text = try pool.text("IPRange"), !text.isEmpty {
            guard let range = IPPrefix(text), range.length >= subnet.length, subnet.contains(range.network) else {
                throw EngineError(.invalidArgument, "invalid ip-range \(text): it is not part of \(subnet)")
            }
            free = [Self.numbers(of: range).clamped(to: hosts)]
        }
        let reserved = try pool.texts("AuxiliaryAddresses")
        for (name, text) in reserved.sorted(by: { $0.key < $1.key }) {
            guard let address = IPAddress(text), subnet.contains(address) else {
                throw EngineError(.invalidArgument, "no matching subnet for aux-address \(name)=\(text)")
            }
            if free.isEmpty { free = [hosts] }
            free = free.flatMap { Self.without(Self.number(address), of: $0) }
            guard !free.isEmpty else {
                throw EngineError(.invalidArgument, "all addresses of \(subnet) are reserved by AuxiliaryAddresses")
            }
        }
        var asked: JSON = [:]
        for name in ["IPRange", "AuxiliaryAddresses"] {
            if Self.isStated(pool.json[name]) { asked = asked.merging([name: pool.json[name]]) }
        }
        self.asked = asked
        ranges = free.map { "\(Self.text($0.lowerBound))-\(Self.text($0.upperBound))" }
    }

    /// Whether a value is there and not empty.
    static func isStated(_ value: JSON) -> Bool {
        switch value {
        case .null, .string(""), .object([]): false
        default: true
        }
    }

    /// Without the address of the subnet itself and that of all its hosts.
    private static func hosts(of subnet: IPPrefix) -> ClosedRange<UInt32> {
        let all = numbers(of: subnet)
        return subnet.length < 31 ? all.lowerBound + 1...all.upperBound - 1 : all
    }

    private static func numbers(of prefix: IPPrefix) -> ClosedRange<UInt32> {
        let first = number(prefix.network)
        return first...(prefix.length == 0 ? .max : first | UInt32.max >> UInt32(prefix.length))
    }

    private static func without(_ number: UInt32, of range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        guard range.contains(number) else { return [range] }
        var rest: [ClosedRange<UInt32>] = []
        if number > range.lowerBound { rest.append(range.lowerBound...number - 1) }
        if number < range.upperBound { rest.append(number + 1...range.upperBound) }
        return rest
    }

    private static func number(_ address: IPAddress) -> UInt32 { address.bytes.reduce(0) { $0 << 8 | UInt32($1) } }

    private static func text(_ number: UInt32) -> String {
        stride(from: 24, through: 0, by: -8).map { String(number >> UInt32($0) & 255) }.joined(separator: ".")
    }
}
