import CHost
import Glibc
public import Model

/// What the interfaces of the daemon's network namespace are called and have as addresses.
public enum HostInterfaces {
    public struct Address: Sendable {
        public var interface: String
        public var address: IPAddress
        public var prefixLength: Int
    }

    /// Names in the kernel's order (if_nameindex(3)); none if they cannot be read.
    public static func names() -> [String] {
        guard let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        var found: [String] = []
        var entry = list
        while entry.pointee.if_index != 0, let name = entry.pointee.if_name {
            found.append(String(cString: name))
            entry += 1
        }
        return found
    }

    /// IPv4 and IPv6 addresses (getifaddrs(3)); none if they cannot be read.
    public static func addresses() -> [Address] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [Address] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let name = entry.ifa_name, let address = entry.ifa_addr.flatMap(Self.bytes),
                let ip = IPAddress(bytes: address)
            else { continue }
            let mask = entry.ifa_netmask.flatMap(Self.bytes) ?? []
            found.append(
                Address(
                    interface: String(cString: name), address: ip,
                    prefixLength: mask.reduce(0) { $0 + $1.nonzeroBitCount }))
        }
        return found
    }

    /// In network order; empty for an address of another family.
    private static func bytes(_ address: UnsafeMutablePointer<sockaddr>) -> [UInt8] {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { Array($0) }
        case AF_INET6:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
        default: return []
        }
    }
}

extension TCPAddress {
    /// Where others reach a server that listens here: this address, or for all addresses each that the host's
    /// interfaces have, without loopback and link-local ones.
    public var reachable: [TCPAddress] {
        guard address.isUnspecified else { return [self] }
        return HostInterfaces.addresses().map(\.address).filter { candidate in
            (address.family == .v6 || candidate.family == .v4) && !candidate.isLoopback && !candidate.isLinkLocal
        }.map { TCPAddress(address: $0, port: port) }
    }
}
