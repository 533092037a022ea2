import Model
import Synchronization

/// Why containers did not start, for `State.Error` and `State.ExitCode`. It is the door's: forgotten with the daemon, and
/// with the next start that works.
final class StartFailures: Sendable {
    struct Failure: Sendable {
        var message: String
        var code: Int32
    }

    private struct Kept {
        var failures: [InstanceID: Failure] = [:]
        var order: [InstanceID] = []
    }

    private let kept = Mutex(Kept())
    /// Containers that are remembered at most; the oldest go first.
    private static let limit = 256

    func note(_ id: InstanceID, _ message: String, code: Int32) {
        kept.withLock { kept in
            kept.order.removeAll { $0 == id }
            kept.order.append(id)
            kept.failures[id] = Failure(message: message, code: code)
            if kept.order.count > Self.limit { kept.failures[kept.order.removeFirst()] = nil }
        }
    }

    func forget(_ id: InstanceID) {
        kept.withLock { kept in
            guard kept.failures.removeValue(forKey: id) != nil else { return }
            kept.order.removeAll { $0 == id }
        }
    }

    func of(_ id: InstanceID) -> Failure? { kept.withLock { $0.failures[id] } }
}
