import DriverKit
import Glibc
import Model

/// A port of the host that is kept from others for as long as this object lives: a socket that is bound to it and
/// never used. Packets to the port are translated before they would reach the socket.
final class PortReservation: Sendable {
    let port: PublishedPort
    private let socket: OwnedDescriptor

    /// - Throws: `conflict` if a program of the host has the port, `invalidArgument` if the host has no such address.
    init(_ port: PublishedPort, for instance: String) throws {
        self.port = port
        let family = port.hostAddress.family == .v4 ? AF_INET : AF_INET6
        let kind = port.transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let raw = Glibc.socket(family, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw Self.failure(port, instance, errno) }
        socket = OwnedDescriptor(raw)
        if family == AF_INET6 { Self.set(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        // Connections of an earlier server that only linger do not hold the port. Nobody else may have it for all
        // that: the option is taken back below, and a listener never shares.
        if port.transport == .tcp { Self.set(raw, SOL_SOCKET, SO_REUSEADDR, 1) }
        // A child between fork and exec has copies of all sockets, one that was just closed too: it is gone soon.
        var tries = 20
        while Self.bind(raw, port) != 0 {
            tries -= 1
            guard errno == EADDRINUSE, tries > 0 else { throw Self.failure(port, instance, errno) }
            usleep(10_000)
        }
        if port.transport == .tcp { Self.set(raw, SOL_SOCKET, SO_REUSEADDR, 0) }
    }

    /// A port that the kernel finds free now; it is not kept.
    /// - Throws: `invalidArgument` if the host has no such address.
    static func freePort(_ address: IPAddress, _ transport: PortMapping.Transport) throws -> UInt16 {
        let family = address.family == .v4 ? AF_INET : AF_INET6
        let kind = transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let socket = OwnedDescriptor(Glibc.socket(family, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        guard socket.raw >= 0, bind(socket.raw, address, 0) == 0 else {
            throw EngineError(
                .invalidArgument, "no port of \(address) can be had: \(String(cString: strerror(errno)))",
                hint: "give an address of this host, 127.0.0.1 or 0.0.0.0")
        }
        var name = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket.raw, $0, &length) }
        }
        guard result == 0 else { throw EngineError(.internal, "the kernel does not tell the port of a socket") }
        // The port is at the same place in both families.
        return withUnsafeBytes(of: &name) { UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    private static func bind(_ descriptor: Int32, _ port: PublishedPort) -> Int32 {
        bind(descriptor, port.hostAddress, port.hostPort)
    }

    private static func bind(_ descriptor: Int32, _ host: IPAddress, _ number: UInt16) -> Int32 {
        if host.family == .v4 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = number.bigEndian
            withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: host.bytes) }
            return withSocketAddress(of: &address) { Glibc.bind(descriptor, $0, $1) }
        }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = number.bigEndian
        withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: host.bytes) }
        return withSocketAddress(of: &address) { Glibc.bind(descriptor, $0, $1) }
    }

    private static func withSocketAddress<Address>(
        of address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func failure(_ port: PublishedPort, _ instance: String, _ number: Int32) -> EngineError {
        switch number {
        case EADDRINUSE:
            EngineError(
                .conflict, "port \(port) for instance \(instance) is in use by a program of this host",
                hint: "choose another host port, or see who has it with: ss -lnp", resource: "port \(port)")
        case EADDRNOTAVAIL:
            EngineError(
                .invalidArgument,
                "port \(port) for instance \(instance): this host has no address \(port.hostAddress)",
                hint: "give an address of this host, 127.0.0.1 or 0.0.0.0", resource: "port \(port)")
        default:
            EngineError(
                .internal,
                "port \(port) for instance \(instance) cannot be bound: \(String(cString: strerror(number)))",
                resource: "port \(port)")
        }
    }
}
