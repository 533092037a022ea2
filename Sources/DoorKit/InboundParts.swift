import Hummingbird
import NIOCore
import NIOHTTPTypes

/// The parts of one connection's requests, read one after the other by whoever serves the request just now.
final class InboundParts: @unchecked Sendable {
    // One task reads at a time: the connection's, or the one it hands the request to while it waits for the answer.
    private var iterator: NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator
    /// All of the current request was read.
    private(set) var requestEnded = true

    init(_ iterator: NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator) { self.iterator = iterator }

    func next() async throws -> HTTPRequestPart? {
        var copy = iterator
        let part = try await copy.next()
        iterator = copy
        switch part {
        case .head: requestEnded = false
        case .end, nil: requestEnded = true
        case .body: break
        }
        return part
    }

    /// The next piece of the body; nil at its end.
    func nextOfBody() async throws -> ByteBuffer? {
        guard !requestEnded, case .body(let bytes)? = try await next() else { return nil }
        return bytes
    }

    /// Reads on to the end of the request; false if that is more than `limit` bytes away.
    func skipBody(limit: Int) async throws -> Bool {
        var left = limit
        while let bytes = try await nextOfBody() {
            left -= bytes.readableBytes
            if left < 0 { return false }
        }
        return true
    }
}

/// A request's body as it comes in.
struct BodyBytes: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    let parts: InboundParts

    struct AsyncIterator: AsyncIteratorProtocol {
        let parts: InboundParts
        func next() async throws -> ByteBuffer? { try await parts.nextOfBody() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(parts: parts) }
}
