public import NIOCore
import NIOHTTPTypes
import Synchronization

/// The bytes of a connection that left HTTP, in both directions, with back pressure: nothing is read that nobody
/// asked for, and a write suspends while the peer does not take what was written before.
public struct UpgradedStream: Sendable {
    private let parts: InboundParts
    private let outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>

    init(parts: InboundParts, outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>) {
        self.parts = parts
        self.outbound = outbound
    }

    /// The next bytes; nil when the peer has finished sending. By one task at a time.
    public func read() async throws -> ByteBuffer? {
        guard case .body(let bytes)? = try await parts.next() else { return nil }
        return bytes
    }

    /// Sends the buffers one after the other, nothing of other calls in between.
    public func write(_ buffers: ByteBuffer...) async throws {
        try await outbound.write(contentsOf: buffers.map { .body($0) })
    }

    /// Tells the peer that nothing more comes (half-closure); it may go on sending.
    public func finish() { outbound.finish() }
}

/// Where a route leaves what is to happen with the connection once its 101 answer has gone out.
public final class UpgradeSlot: Sendable {
    public typealias Body = @Sendable (UpgradedStream) async throws -> Void
    private let body = Mutex<Body?>(nil)

    init() {}

    /// The connection belongs to `body` after the 101 answer, and is closed when it returns.
    public func put(_ body: @escaping Body) { self.body.withLock { $0 = body } }

    func take() -> Body? {
        body.withLock { slot in
            defer { slot = nil }
            return slot
        }
    }
}
