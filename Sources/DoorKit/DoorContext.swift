public import Hummingbird
public import NIOCore

/// What a route knows about a request beyond the request itself.
public struct DoorContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    public var peer: Peer
    public let upgrade: UpgradeSlot
    /// Completes when the connection is gone; a client that has only finished sending is still there.
    public let closing: EventLoopFuture<Void>

    public init(source: ApplicationRequestContextSource) {
        self.init(source: source, peer: Peer(credentials: nil))
    }

    init(source: ApplicationRequestContextSource, peer: Peer) {
        coreContext = CoreRequestContextStorage(source: source)
        self.peer = peer
        upgrade = UpgradeSlot()
        closing = source.channel.closeFuture
    }
}
