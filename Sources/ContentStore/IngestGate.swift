import OCI
import Synchronization

/// Lets one writer at a time have a digest; the others wait in order.
final class IngestGate: Sendable {
    private struct Waiter {
        var id: Int
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var waiting: [ContentDigest: [Waiter]] = [:]
        var cancelled: Set<Int> = []
        var nextID = 0
    }

    private let state = Mutex(State())

    /// Returns when the digest is free and now the caller's; `CancellationError` if the task ends before.
    func enter(_ digest: ContentDigest) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let entered = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return false }
                    if state.waiting[digest] == nil {
                        state.waiting[digest] = []
                        return true
                    }
                    state.waiting[digest]?.append(Waiter(id: id, continuation: continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiting[digest]?.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.waiting[digest]?.remove(at: index)
            }
            waiter?.continuation.resume(returning: false)
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        guard entered else { throw CancellationError() }
    }

    func leave(_ digest: ContentDigest) {
        let next = state.withLock { state -> Waiter? in
            guard var queue = state.waiting[digest] else { return nil }
            guard !queue.isEmpty else {
                state.waiting[digest] = nil
                return nil
            }
            let first = queue.removeFirst()
            state.waiting[digest] = queue
            return first
        }
        next?.continuation.resume(returning: true)
    }
}
