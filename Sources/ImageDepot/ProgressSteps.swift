import Synchronization

/// Lets one report through for each eight mebibytes.
final class ProgressSteps: Sendable {
    private let last = Atomic<Int64>(-1)

    func isNew(_ done: Int64) -> Bool {
        let step = done >> 23
        return last.exchange(step, ordering: .relaxed) != step
    }
}
