import Glibc
import NIOCore
import NIOPosix

/// Who is at the other end of a connection.
public struct Peer: Sendable, Hashable {
    /// The process that connected to the unix socket, as the kernel knows it (SO_PEERCRED, unix(7)); nil for TCP.
    public var credentials: Credentials?

    public init(credentials: Credentials?) { self.credentials = credentials }

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
