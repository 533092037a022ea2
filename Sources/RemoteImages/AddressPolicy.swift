import Glibc
import LinuxHost
import Model

/// Which addresses the daemon connects to on behalf of a client. An address that only this host can reach is refused
/// unless the administrator allowed it: a client must not reach through the daemon what it cannot reach itself.
public struct AddressPolicy: Sendable {
    /// Allow this host's own addresses and those of its links.
    public var allowsLocal: Bool

    public init(allowsLocal: Bool) { self.allowsLocal = allowsLocal }

    /// An address of the host `name` that may be connected to; all that it has must be allowed.
    func address(of name: String) async throws -> String {
        let found = try await runBlocking { try Self.resolve(name) }
        for address in found where !allows(address) {
            throw EngineError(
                .permissionDenied,
                "the image server \(Names.quoted(name)) has the address \(address), which is not fetched from",
                hint: "isled --local-image-servers allows addresses of this host itself")
        }
        guard let first = found.first else {
            throw EngineError(.unavailable, "the image server \(Names.quoted(name)) has no address")
        }
        return first
    }

    /// Loopback, link-local (where clouds have their metadata), unspecified and multicast addresses are local.
    func allows(_ text: String) -> Bool {
        if allowsLocal { return true }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return Self.allows(ipv4: UInt32(bigEndian: four.s_addr)) }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return false }
        let bytes = withUnsafeBytes(of: six) { Array($0) }
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
        let isCompatible = bytes[..<12].allSatisfy { $0 == 0 }
        if isMapped || isCompatible {
            let address = bytes[12...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return address > 1 && Self.allows(ipv4: address)
        }
        return !(bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80) && bytes[0] != 0xff
    }

    private static func allows(ipv4 address: UInt32) -> Bool {
        let first = address >> 24
        return first != 0 && first != 127 && address >> 16 != 0xa9fe && first < 224
    }

    private static func resolve(_ name: String) throws -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let bare = name.hasPrefix("[") ? String(name.dropFirst().dropLast()) : name
        let result = getaddrinfo(bare, nil, &hints, &list)
        guard result == 0 else {
            throw EngineError(
                .unavailable,
                "the image server \(Names.quoted(name)) cannot be found: \(String(cString: gai_strerror(result)))")
        }
        defer { freeaddrinfo(list) }
        var found: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let status = getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            if status == 0 {
                let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                if !found.contains(address) { found.append(address) }
            }
            next = entry.pointee.ai_next
        }
        return found
    }
}
