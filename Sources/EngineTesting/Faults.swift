import Model
import Synchronization

/// Steps that fail on request, and a list of those that were taken.
public final class Faults: Sendable {
    private struct State {
        var armed: [String: Int] = [:]
        var taken: [String] = []
    }
    private let state = Mutex(State())

    public init() {}

    /// Lets the next `times` calls of `step` fail.
    public func arm(_ step: String, times: Int = 1) { state.withLock { $0.armed[step] = times } }

    /// Notes the step; throws if it is to fail.
    func reach(_ step: String) throws {
        let fails = state.withLock { state in
            state.taken.append(step)
            guard let left = state.armed[step], left > 0 else { return false }
            state.armed[step] = left - 1
            return true
        }
        if fails { throw EngineError(.unavailable, "the fault of step \(step)") }
    }

    /// Notes what was done and cannot fail.
    func note(_ step: String) { state.withLock { $0.taken.append(step) } }

    /// What was done so far, oldest first.
    public var taken: [String] { state.withLock { $0.taken } }
    public func count(_ step: String) -> Int { taken.count { $0 == step } }
}
