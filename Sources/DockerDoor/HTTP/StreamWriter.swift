import NIOCore
import Synchronization

/// Sends the pieces of a streamed answer. A write suspends while the client is far behind.
final class StreamWriter: Sendable {
    private struct State {
        var pending = 0
        var ended = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let pieces: AsyncThrowingStream<ByteBuffer, any Error>.Continuation
    private let state = Mutex(State())
    /// Bytes that may wait to be sent.
    private static let window = 1 << 20

    init(pieces: AsyncThrowingStream<ByteBuffer, any Error>.Continuation) { self.pieces = pieces }

    func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    if state.pending < Self.window || state.ended || Task.isCancelled { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            end()
        }
        try Task.checkCancellation()
        state.withLock { $0.pending += bytes.readableBytes }
        pieces.yield(bytes)
    }

    func write(text: String) async throws { try await write(ByteBuffer(string: text)) }

    /// One JSON value on a line, as Docker's streams have it.
    func write(_ value: JSON) async throws {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        bytes += [0x0d, 0x0a]
        try await write(ByteBuffer(bytes: bytes))
    }

    /// So many bytes have gone out.
    func sent(_ count: Int) {
        let waiters = state.withLock { state in
            state.pending -= count
            guard state.pending < Self.window else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Nobody reads any more: writes return at once.
    func end() {
        let waiters = state.withLock { state in
            state.ended = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
