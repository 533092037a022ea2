import LinuxHost
import Model
import Synchronization

/// Counts the calls that use a tree of files, so that it can be closed when none of them is under way. A descriptor that
/// is closed earlier could stand for somebody else's file by the time it is used.
final class FileGate: Sendable {
    private struct State {
        var active = 0
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        /// Descriptors to be closed with the tree.
        var descriptors: [Int32: OwnedDescriptor] = [:]
    }

    private let name: String
    private let state = Mutex(State())

    /// - Parameter name: of the instance, for messages.
    init(name: String) { self.name = name }

    /// Runs a call that uses the tree.
    /// - Throws: `conflict` once the tree is closed.
    func pass<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        try state.withLock { state in
            guard !state.isClosed else { throw closed }
            state.active += 1
        }
        defer { leave() }
        return try await body()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func keep(_ descriptor: OwnedDescriptor) { state.withLock { $0.descriptors[descriptor.raw] = descriptor } }

    /// Closes one file before the tree.
    func drop(_ descriptor: OwnedDescriptor) {
        state.withLock { state in
            if state.descriptors[descriptor.raw] === descriptor { state.descriptors[descriptor.raw] = nil }
        }
        descriptor.close()
    }

    /// Refuses calls from now on, and returns when the last one is over and all is closed.
    func close() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                state.isClosed = true
                if state.active > 0 { state.waiters.append(continuation) }
                return state.active == 0
            }
            if isIdle { continuation.resume() }
        }
        let open = state.withLock { state in
            defer { state.descriptors = [:] }
            return state.descriptors.values
        }
        for descriptor in open { descriptor.close() }
    }

    private func leave() {
        let waiters = state.withLock { state in
            state.active -= 1
            guard state.active == 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private var closed: EngineError {
        EngineError(
            .conflict, "the files of instance \(name) were closed: it was started, stopped or deleted meanwhile",
            hint: "ask again")
    }
}
