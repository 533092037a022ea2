import Glibc
import NIOCore
import NIOPosix

/// Who is at the other end of a connection.
public struct Peer: Sendable, Hashable {
    /// The process that connected to the unix socket, as the kernel knows it (SO_PEERCRED, unix(7)); nil for TCP.
    public var credentials: Credentials?
    /// Address of the host that connected over TCP, without the port; nil for the unix socket.
    public var address: String?
    /// The certificate that it proved to hold the key of; nil if it showed none.
    public var certificate: Certificate?

    public init(credentials: Credentials?, address: String? = nil, certificate: Certificate? = nil) {
        self.credentials = credentials
        self.address = address
        self.certificate = certificate
    }

    /// What a client showed in the TLS handshake. That somebody vouches for it is not said.
    public struct Certificate: Sendable, Hashable {
        /// As `TLSServer.fingerprint` gives it.
        public var fingerprint: String
        public var der: [UInt8]
        /// Seconds since 1970.
        public var notBefore: Double
        public var notAfter: Double

        public init(fingerprint: String, der: [UInt8], notBefore: Double, notAfter: Double) {
            self.fingerprint = fingerprint
            self.der = der
            self.notBefore = notBefore
            self.notAfter = notAfter
        }
    }

    /// At the time of connect(2).
    public struct Credentials: Sendable, Hashable {
        public var process: Int32
        public var user: UInt32
        public var group: UInt32

        public init(process: Int32, user: UInt32, group: UInt32) {
            self.process = process
            self.user = user
            self.group = group
        }
    }

    /// Asks the kernel. Completes at once when called on the channel's event loop.
    static func of(_ channel: any Channel) -> EventLoopFuture<Peer> {
        guard channel.remoteAddress?.protocol == .unix || channel.localAddress?.protocol == .unix,
            let provider = channel as? any SocketOptionProvider
        else { return channel.eventLoop.makeSucceededFuture(Peer(credentials: nil)) }
        // The layout of struct ucred.
        let value: EventLoopFuture<Credentials> = provider.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        return value.map { Peer(credentials: $0) }.recover { _ in Peer(credentials: nil) }
    }
}
