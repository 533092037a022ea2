import CHost
import Glibc
public import Model

/// Where netlink datagrams go to and come from. The kernel answers each request before the next is sent, so that a
/// transport needs no concurrency of its own.
public protocol NetlinkTransport: Sendable {
    /// Sends one datagram, which may hold several messages.
    func send(_ datagram: [UInt8]) throws
    /// The next datagram; waits for it. `ETIMEDOUT` when the kernel stays silent.
    func receive() throws -> [UInt8]
}

/// The real transport: a netlink socket. It stays bound to the network namespace it was opened in.
public final class NetlinkSocket: NetlinkTransport {
    /// Families of netlink (netlink(7)).
    public enum Family: Int32, Sendable {
        /// Links, addresses, routes.
        case route = 0
        /// nftables and connection tracking.
        case netfilter = 12
    }

    /// Becomes readable when the kernel has sent something.
    public let descriptor: OwnedDescriptor

    /// Opens a socket in the calling thread's network namespace; to work in another, see `NetworkNamespace`.
    /// - Parameters:
    ///   - group: a multicast group to listen to; 0 is none.
    ///   - timeout: seconds that `receive` waits; 0 waits for ever.
    public init(_ family: Family = .route, group: UInt32 = 0, timeout: Int32 = 10) throws {
        let raw = isle_net_socket(family.rawValue, group, timeout)
        guard raw >= 0 else { throw NetlinkError(errno: -raw, request: "open a netlink socket") }
        descriptor = OwnedDescriptor(raw)
    }

    /// Throws away everything that the kernel has sent so far; does not wait.
    public func drain() {
        var byte: UInt8 = 0
        // A full buffer (ENOBUFS) is reported once, and reading goes on behind it.
        while recv(descriptor.raw, &byte, 1, Int32(MSG_DONTWAIT)) > 0 || errno == ENOBUFS {}
    }

    public func send(_ datagram: [UInt8]) throws {
        while true {
            let sent = datagram.withUnsafeBytes { Glibc.send(descriptor.raw, $0.baseAddress, $0.count, 0) }
            if sent == datagram.count { return }
            if errno == EINTR { continue }
            throw NetlinkError(errno: errno, request: "send a netlink request")
        }
    }

    public func receive() throws -> [UInt8] {
        // Kernels make dump answers no larger than 32 KiB.
        try withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 8) { buffer in
            while true {
                let count = recv(descriptor.raw, buffer.baseAddress, buffer.count, 0)
                if count > 0 { return Array(buffer[..<count]) }
                if count < 0 && errno == EINTR { continue }
                let number = count == 0 ? ECONNRESET : (errno == EAGAIN ? ETIMEDOUT : errno)
                throw NetlinkError(errno: number, request: "read the kernel's netlink answer")
            }
        }
    }
}

/// What the kernel refused, and its reason.
public struct NetlinkError: Error, Sendable, CustomStringConvertible {
    /// As errno(3), positive.
    public var errno: Int32
    /// What was asked for, in words: `create link br0`.
    public var request: String
    /// The kernel's own explanation (extended acknowledgement), if it gave one.
    public var explanation: String?

    public init(errno: Int32, request: String, explanation: String? = nil) {
        self.errno = errno
        self.request = request
        self.explanation = explanation
    }

    public var description: String {
        let reason = String(cString: strerror(errno))
        guard let explanation, !explanation.isEmpty else { return "cannot \(request): \(reason)" }
        return "cannot \(request): \(reason) (\(explanation))"
    }
}
