import Glibc
import Model

extension TCPAddress {
    /// Where others reach a server that listens here: this address, or for all addresses each that the host's
    /// interfaces have, without loopback and link-local ones (getifaddrs(3)).
    public var reachable: [TCPAddress] {
        guard address.isUnspecified else { return [self] }
        return Self.interfaceAddresses().filter { candidate in
            (address.family == .v6 || candidate.family == .v4) && !candidate.isLoopback && !candidate.isLinkLocal
        }.map { TCPAddress(address: $0, port: port) }
    }

    private static func interfaceAddresses() -> [IPAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [IPAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let address = entry.ifa_addr else { continue }
            let raw = UnsafeRawPointer(address)
            switch Int32(address.pointee.sa_family) {
            case AF_INET:
                let value = raw.loadUnaligned(as: sockaddr_in.self)
                withUnsafeBytes(of: value.sin_addr) { found += [IPAddress(bytes: $0)].compactMap { $0 } }
            case AF_INET6:
                let value = raw.loadUnaligned(as: sockaddr_in6.self)
                withUnsafeBytes(of: value.sin6_addr) { found += [IPAddress(bytes: $0)].compactMap { $0 } }
            default: continue
            }
        }
        return found
    }
}
