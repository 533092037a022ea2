import CHost
import Glibc
import LinuxHost
public import Model

/// Where a server listens for TCP connections, as people and LXD write it: `[::]:8443`, `:8443`, `10.0.0.1`,
/// `[::1]:443`.
public struct TCPAddress: Sendable, Hashable, CustomStringConvertible {
    public var address: IPAddress
    public var port: UInt16

    /// LXD's.
    public static let standardPort: UInt16 = 8443

    public init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Nothing before the port is all addresses; no port is 8443; names are not taken.
    /// - Throws: `invalidArgument`.
    public init(_ text: String) throws {
        func refusal() -> EngineError {
            EngineError(
                .invalidArgument, "\(Names.quoted(text)) is not an address to listen on",
                hint: "write an IP address with a port, as [::]:8443 or 127.0.0.1:8443")
        }
        var host = text
        var port = Self.standardPort
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw refusal() }
            host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.hasPrefix(":"), let value = UInt16(rest.dropFirst()), value > 0 else { throw refusal() }
                port = value
            }
        } else if text.filter({ $0 == ":" }).count == 1 {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard let value = UInt16(parts[1]), value > 0 else { throw refusal() }
            (host, port) = (String(parts[0]), value)
        }
        guard let address = IPAddress(host.isEmpty || host == "*" ? "::" : host) else { throw refusal() }
        self.init(address: address, port: port)
    }

    public var description: String { address.family == .v6 ? "[\(address)]:\(port)" : "\(address):\(port)" }
}

/// Listening TCP sockets.
public enum TCPListener {
    /// A listening socket; for all addresses (`::`) also those of IPv4, and those alone on a host without IPv6.
    /// - Throws: `conflict` when the port is taken, `invalidArgument` when the host does not have the address.
    public static func open(_ place: TCPAddress) throws -> OwnedDescriptor {
        do {
            return try bind(place)
        } catch let error as EngineError
            where error.code == .unsupported && place.address.family == .v6 && place.address.isUnspecified
        {
            guard let any = IPAddress("0.0.0.0") else { throw error }
            return try bind(TCPAddress(address: any, port: place.port))
        }
    }

    private static func bind(_ place: TCPAddress) throws -> OwnedDescriptor {
        let isV6 = place.address.family == .v6
        let flags = Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = OwnedDescriptor(
            socket(isV6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | flags, Int32(IPPROTO_TCP)))
        guard descriptor.raw >= 0 else {
            guard errno == EAFNOSUPPORT else { throw failure("socket(2)", place) }
            throw EngineError(.unsupported, "this host has no IPv6, and \(place) needs it")
        }
        try set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1, place)
        if isV6 { try set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, place.address.isUnspecified ? 0 : 1, place) }
        guard bind(descriptor.raw, place) == 0 else {
            switch errno {
            case EADDRINUSE:
                throw EngineError(
                    .conflict, "\(place) is in use by another program", hint: "see ss -ltnp, or choose another port")
            case EADDRNOTAVAIL: throw EngineError(.invalidArgument, "this host does not have the address of \(place)")
            default: throw failure("bind(2)", place)
            }
        }
        guard listen(descriptor.raw, 1024) == 0 else {
            if errno == EADDRINUSE { throw EngineError(.conflict, "\(place) is in use by another program") }
            throw failure("listen(2)", place)
        }
        return descriptor
    }

    private static func bind(_ descriptor: Int32, _ place: TCPAddress) -> Int32 {
        func call<Address>(_ address: Address) -> Int32 {
            withUnsafeBytes(of: address) { raw in
                guard let base = raw.baseAddress else { return -1 }
                return Glibc.bind(
                    descriptor, base.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<Address>.size))
            }
        }
        let bytes = place.address.bytes
        if place.address.family == .v6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = place.port.bigEndian
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: bytes) }
            return call(address)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = place.port.bigEndian
        withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: bytes) }
        return call(address)
    }

    private static func set(
        _ descriptor: OwnedDescriptor, _ level: Int32, _ option: Int32, _ value: Int32, _ place: TCPAddress
    ) throws {
        var value = value
        guard setsockopt(descriptor.raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw failure("setsockopt(2)", place)
        }
    }

    private static func failure(_ call: String, _ place: TCPAddress) -> EngineError {
        let code: EngineError.Code = errno == EACCES ? .permissionDenied : .internal
        return EngineError(code, "\(call) for \(place): \(String(errno: errno))")
    }
}
