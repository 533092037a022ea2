/// One lock per key: first come, first served, and a waiter that is cancelled leaves the queue.
///
/// The lock is handed from holder to waiter directly, so nobody who comes later can slip in between.
public actor KeyedLock<Key: Hashable & Sendable> {
    private struct Waiter {
        let ticket: Int
        let continuation: CheckedContinuation<Void, any Error>
    }
    /// A key is present while its lock is held; the array holds those who wait.
    private var lanes: [Key: [Waiter]] = [:]
    private var nextTicket = 0

    public init() {}

    /// Runs `body` while holding the lock of `key`. Throws `CancellationError` if cancelled while waiting.
    public nonisolated func withLock<Result>(_ key: Key, _ body: () async throws -> Result) async throws -> Result {
        try await acquire(key)
        do {
            let result = try await body()
            await release(key)
            return result
        } catch {
            await release(key)
            throw error
        }
    }

    private func acquire(_ key: Key) async throws {
        try Task.checkCancellation()
        guard lanes[key] != nil else {
            lanes[key] = []
            return
        }
        nextTicket += 1
        let ticket = nextTicket
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                guard !Task.isCancelled else {
                    continuation.resume(throwing: CancellationError())
                    return
                }
                lanes[key]?.append(Waiter(ticket: ticket, continuation: continuation))
            }
        } onCancel: {
            Task { await self.leave(key, ticket) }
        }
    }

    private func leave(_ key: Key, _ ticket: Int) {
        guard let index = lanes[key]?.firstIndex(where: { $0.ticket == ticket }) else { return }
        lanes[key]?.remove(at: index).continuation.resume(throwing: CancellationError())
    }

    private func release(_ key: Key) {
        guard var lane = lanes[key], !lane.isEmpty else {
            lanes[key] = nil
            return
        }
        let next = lane.removeFirst()
        lanes[key] = lane
        next.continuation.resume()
    }
}
