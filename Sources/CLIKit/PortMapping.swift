/// A published port: `-p [[ADDRESS:]HOST:]GUEST[/tcp|udp]`, ranges too. Without a port of the host, or with 0, Isle
/// chooses one that is free.
public struct PortMapping: Sendable, Hashable {
    public var address: String
    public var host: ClosedRange<UInt16>
    public var guest: ClosedRange<UInt16>
    /// `tcp` or `udp`.
    public var transport: String

    /// Reads what `-p` takes. Without an address the port is open on 127.0.0.1 only.
    public init(_ text: String) throws(UsageError) {
        let wrong = UsageError(
            "-p \(Quantity.quoted(text)) is no published port",
            hint: "write [ADDRESS:]HOST:GUEST[/udp], as 8080:80 or 0.0.0.0:8080:80")
        var rest = Substring(text)
        transport = "tcp"
        if let slash = rest.lastIndex(of: "/") {
            transport = rest[rest.index(after: slash)...].lowercased()
            rest = rest[..<slash]
            guard transport == "tcp" || transport == "udp" else { throw wrong }
        }
        guard let last = rest.lastIndex(of: ":") else {
            guard let guest = Self.range(rest) else { throw wrong }
            (address, host, self.guest) = ("127.0.0.1", 0...0, guest)
            return
        }
        guard let guest = Self.range(rest[rest.index(after: last)...]) else { throw wrong }
        rest = rest[..<last]
        address = "127.0.0.1"
        if let colon = rest.lastIndex(of: ":") {
            var given = rest[..<colon]
            if given.hasPrefix("["), given.hasSuffix("]") {
                given = given.dropFirst().dropLast()
            } else if given.contains(":") {
                throw UsageError(
                    "-p \(Quantity.quoted(text)): an IPv6 address stands in brackets", hint: "[::1]:8080:80")
            }
            guard Self.isAddress(given) else { throw wrong }
            address = String(given)
            rest = rest[rest.index(after: colon)...]
        }
        guard let host = rest == "0" ? 0...0 : Self.range(rest), host == 0...0 || host.count == guest.count else {
            throw wrong
        }
        self.host = host
        self.guest = guest
    }

    private static func range(_ text: Substring) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2, let first = ends.first.flatMap({ port($0) }), let last = ends.last.flatMap({ port($0) }),
            first <= last
        else { return nil }
        return first...last
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(text), port > 0 else { return nil }
        return port
    }

    private static func isAddress(_ text: Substring) -> Bool {
        if text.contains(":") { return text.utf8.allSatisfy { isHexDigit($0) || $0 == 58 || $0 == 46 } }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil && !$0.hasPrefix("+") }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }

    /// The `proxy` devices of LXD that do it, one for each port.
    public var devices: [[String: String]] {
        let listenAddress = address.contains(":") ? "[\(address)]" : address
        let connectAddress = address.contains(":") ? "[::1]" : "127.0.0.1"
        let hosts = host == 0...0 ? guest.map { _ in UInt16(0) } : Array(host)
        return zip(hosts, guest).map { host, guest in
            [
                "type": "proxy", "listen": "\(transport):\(listenAddress):\(host)",
                "connect": "\(transport):\(connectAddress):\(guest)", "nat": "true",
            ]
        }
    }
}
