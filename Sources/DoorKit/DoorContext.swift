public import Hummingbird

/// What a route knows about a request beyond the request itself.
public struct DoorContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    public var peer: Peer
    public let upgrade: UpgradeSlot

    public init(source: ApplicationRequestContextSource) {
        self.init(source: source, peer: Peer(credentials: nil))
    }

    init(source: ApplicationRequestContextSource, peer: Peer) {
        coreContext = CoreRequestContextStorage(source: source)
        self.peer = peer
        upgrade = UpgradeSlot()
    }
}
