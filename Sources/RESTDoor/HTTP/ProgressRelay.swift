import DriverKit
import Engine
import Model
import Synchronization

/// Passes progress on to an operation, at most ten times a second; what comes faster is skipped.
final class ProgressRelay: Sendable {
    private struct State {
        var latest: TransferProgress?
        var task: Task<Void, Never>?
    }

    private let context: OperationContext
    private let state = Mutex(State())

    init(_ context: OperationContext) { self.context = context }

    /// Called by the engine from any thread.
    func report(_ progress: TransferProgress) {
        state.withLock { state in
            state.latest = progress
            if state.task == nil { state.task = Task { await pass() } }
        }
    }

    /// Waits until nothing is passed on any more.
    func finish() async {
        let task = state.withLock { state in
            state.latest = nil
            return state.task
        }
        task?.cancel()
        await task?.value
    }

    private func pass() async {
        while true {
            let next = state.withLock { state -> TransferProgress? in
                defer { state.latest = nil }
                if state.latest == nil { state.task = nil }
                return state.latest
            }
            guard let next else { return }
            await context.update(["progress": next.metadata])
            // Cut short when the work is over.
            try? await Task.sleep(for: .milliseconds(100))
        }
    }
}
