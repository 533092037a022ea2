import CHost
import LinuxHost
public import Model
import ShimCore
import Synchronization

/// A further process of an instance. Ends with the daemon's streams, not with this object.
public final class ShimExecSession: Sendable {
    /// The process's id on the host.
    public let pid: Int32
    /// Written by the daemon; closing it closes the process's standard input. Nil if that is /dev/null. With a
    /// terminal it is the terminal's master, like `output`, and closing it alone changes nothing.
    public let input: OwnedDescriptor?
    /// Read by the daemon. With a terminal the master itself: its end shows as error EIO, read(2) of a pty.
    public let output: OwnedDescriptor
    /// Nil with a terminal.
    public let error: OwnedDescriptor?
    private let socket: ShimSocket
    private let path: String
    private let result: Mutex<ExitState>

    private struct ExitState {
        var outcome: Result<ExitRecord, any Error>?
        var isReceiving = false
        var nextKey = 0
        var waiters: [Int: CheckedContinuation<ExitRecord, any Error>] = [:]
        var cancelled: Set<Int> = []
    }

    init(
        socket: ShimSocket, pid: Int32, path: String, input: OwnedDescriptor?, output: OwnedDescriptor,
        error: OwnedDescriptor?
    ) {
        self.socket = socket
        self.pid = pid
        self.path = path
        self.input = input
        self.output = output
        self.error = error
        result = Mutex(ExitState())
    }

    /// Sets the terminal's size; nothing happens without a terminal or after the end.
    public func resize(columns: UInt16, rows: UInt16) async throws {
        guard error == nil else { return }
        _ = isle_terminal_size(output.raw, columns, rows)
    }

    /// Sends a signal to the process; nothing happens if it has ended.
    public func signal(_ number: Int32) async throws {
        do {
            try await socket.send(.signal(number))
        } catch is ShimGone {
            return
        }
    }

    /// Suspends until the process has ended, and says how; any number of callers, also later.
    /// - Throws: `unavailable` if the shim was killed meanwhile; `CancellationError`.
    public func wait() async throws -> ExitRecord {
        let key = result.withLock { state in
            state.nextKey += 1
            return state.nextKey
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enter(key, continuation)
            }
        } onCancel: {
            let waiter = result.withLock { state in
                state.cancelled.insert(key)
                return state.waiters.removeValue(forKey: key)
            }
            waiter?.resume(throwing: CancellationError())
        }
    }

    private func enter(_ key: Int, _ continuation: CheckedContinuation<ExitRecord, any Error>) {
        let (outcome, begins) = result.withLock { state -> (Result<ExitRecord, any Error>?, Bool) in
            if let outcome = state.outcome { return (outcome, false) }
            if state.cancelled.contains(key) { return (.failure(CancellationError()), false) }
            state.waiters[key] = continuation
            defer { state.isReceiving = true }
            return (nil, !state.isReceiving)
        }
        if let outcome { continuation.resume(with: outcome) }
        // Owned by the session: it ends with the process or the shim, which close the connection.
        if begins { Task { await self.receiveExit() } }
    }

    private func receiveExit() async {
        let outcome: Result<ExitRecord, any Error>
        do {
            let (reply, _) = try await socket.receive()
            if case .exited(let exit) = reply {
                outcome = .success(ExitRecord(exit))
            } else {
                outcome = .failure(EngineError(.internal, "the shim in \(path) answered \(reply) to an exec session"))
            }
        } catch is ShimGone {
            outcome = .failure(EngineError(.unavailable, "the shim in \(path) ended before process \(pid) did"))
        } catch {
            outcome = .failure(error)
        }
        let waiters = result.withLock { state in
            state.outcome = outcome
            defer { state.waiters = [:] }
            return state.waiters.values.map { $0 }
        }
        for waiter in waiters { waiter.resume(with: outcome) }
    }
}
