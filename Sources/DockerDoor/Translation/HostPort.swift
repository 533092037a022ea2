import CHost
import Glibc
import LinuxHost
import Model

/// A port of the host for a container; of a range the first that is free.
enum HostPort {
    /// - Parameters:
    ///   - text: a number, a range, or empty: any.
    ///   - taken: ports chosen for the same container, as `tcp:80`.
    static func choose(_ text: String, _ address: IPAddress, _ transport: String, taken: inout Set<String>) throws
        -> UInt16
    {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        if text.isEmpty || text == "0" {
            for _ in 0..<100 {
                guard let port = bound(0, address, transport), taken.insert("\(transport):\(port)").inserted else {
                    continue
                }
                return port
            }
            throw EngineError(.resourceExhausted, "all ports are allocated")
        }
        guard (1...2).contains(ends.count), let first = UInt16(ends[0]), let last = UInt16(ends[ends.count - 1]),
            first > 0, first <= last
        else { throw EngineError(.invalidArgument, "invalid port specification: \"\(text)\"") }
        if first == last {
            taken.insert("\(transport):\(first)")
            return first
        }
        for port in first...last where !taken.contains("\(transport):\(port)") {
            guard bound(port, address, transport) != nil else { continue }
            taken.insert("\(transport):\(port)")
            return port
        }
        throw EngineError(.conflict, "all ports of \(text) are allocated")
    }

    /// The port that a socket gets that asks for `port` (0: any); nil if it gets none.
    private static func bound(_ port: UInt16, _ address: IPAddress, _ transport: String) -> UInt16? {
        let isV6 = address.family == .v6
        let type = Int32((transport == "udp" ? SOCK_DGRAM : SOCK_STREAM).rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = OwnedDescriptor(socket(isV6 ? AF_INET6 : AF_INET, type, 0))
        guard descriptor.raw >= 0 else { return nil }
        var v4 = sockaddr_in()
        var v6 = sockaddr_in6()
        v4.sin_family = sa_family_t(AF_INET)
        v6.sin6_family = sa_family_t(AF_INET6)
        v4.sin_port = port.bigEndian
        v6.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &v4.sin_addr) { if !isV6 { $0.copyBytes(from: address.bytes) } }
        withUnsafeMutableBytes(of: &v6.sin6_addr) { if isV6 { $0.copyBytes(from: address.bytes) } }
        func call(_ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            if isV6 {
                return withUnsafeMutableBytes(of: &v6) { raw in
                    raw.baseAddress.map {
                        body($0.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in6>.size))
                    } ?? -1
                }
            }
            return withUnsafeMutableBytes(of: &v4) { raw in
                raw.baseAddress.map {
                    body($0.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size))
                } ?? -1
            }
        }
        guard call({ bind(descriptor.raw, $0, $1) }) == 0 else { return nil }
        guard
            call({ address, size in
                var size = size
                return getsockname(descriptor.raw, address, &size)
            }) == 0
        else { return nil }
        return UInt16(bigEndian: isV6 ? v6.sin6_port : v4.sin_port)
    }
}
