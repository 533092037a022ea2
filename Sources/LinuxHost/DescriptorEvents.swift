import CHost
public import Model
import Glibc
import Synchronization

/// Waits for events of file descriptors (sockets, pipes, pidfds, ptys) without occupying a thread per wait: one
/// thread of the process sits in epoll_wait(2) for all.
public enum DescriptorEvents {
    /// Suspends until `descriptor` can be read without blocking, is at end of file or has an error.
    ///
    /// Any number of tasks may wait for one descriptor. The reference keeps it open meanwhile.
    /// - Throws: `CancellationError` when the task is cancelled; `EngineError.internal` if the kernel refuses to watch it.
    public static func readable(_ descriptor: OwnedDescriptor) async throws {
        try await EventLoop.shared.wait(descriptor, events: UInt32(ISLE_EPOLLIN))
    }

    /// Suspends until `descriptor` can be written without blocking or has an error.
    public static func writable(_ descriptor: OwnedDescriptor) async throws {
        try await EventLoop.shared.wait(descriptor, events: UInt32(ISLE_EPOLLOUT))
    }
}

private final class EventLoop: Sendable {
    static let shared = EventLoop()

    private struct Waiter {
        var continuation: CheckedContinuation<Void, any Error>
        /// A duplicate of the caller's descriptor: epoll knows one registration per open file and number, so each
        /// wait has a number of its own.
        var duplicate: Int32
        var owner: OwnedDescriptor
    }

    private struct State {
        var nextKey: UInt64 = 1
        var waiters: [UInt64: Waiter] = [:]
        /// Waits that were cancelled before they were registered.
        var cancelled: Set<UInt64> = []
    }

    private let state = Mutex(State())
    private let epoll: Int32

    init() {
        epoll = isle_epoll_create()
        let descriptor = epoll
        _ = startThread { [self] in run(descriptor) }
    }

    func wait(_ owner: OwnedDescriptor, events: UInt32) async throws {
        let key = state.withLock { state in
            defer { state.nextKey += 1 }
            return state.nextKey
        }
        defer { state.withLock { _ = $0.cancelled.remove(key) } }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                register(key, owner, events, continuation)
            }
        } onCancel: {
            finish(key, .failure(CancellationError()), mayComeLater: true)
        }
    }

    private func register(
        _ key: UInt64, _ owner: OwnedDescriptor, _ events: UInt32, _ continuation: CheckedContinuation<Void, any Error>
    ) {
        let duplicate = fcntl(owner.raw, F_DUPFD_CLOEXEC, 3)
        guard duplicate >= 0 else {
            continuation.resume(throwing: EngineError(.internal, "watching a descriptor: \(String(errno: errno))"))
            return
        }
        let accepted = state.withLock { state in
            if state.cancelled.remove(key) != nil { return false }
            state.waiters[key] = Waiter(continuation: continuation, duplicate: duplicate, owner: owner)
            return true
        }
        guard accepted else {
            close(duplicate)
            continuation.resume(throwing: CancellationError())
            return
        }
        let result = isle_epoll_add(epoll, duplicate, events | UInt32(ISLE_EPOLLONESHOT), key)
        if result < 0 {
            // EPERM: a regular file or folder, which is always ready (epoll_ctl(2)).
            finish(
                key,
                result == -EPERM
                    ? .success(())
                    : .failure(EngineError(.internal, "watching a descriptor: \(String(errno: -result))")))
        }
    }

    private func finish(_ key: UInt64, _ result: Result<Void, any Error>, mayComeLater: Bool = false) {
        let waiter = state.withLock { state -> Waiter? in
            guard let waiter = state.waiters.removeValue(forKey: key) else {
                if mayComeLater { state.cancelled.insert(key) }
                return nil
            }
            return waiter
        }
        guard let waiter else { return }
        // The open file may live on in other descriptors, so closing alone would leave the registration.
        _ = isle_epoll_remove(epoll, waiter.duplicate)
        close(waiter.duplicate)
        waiter.continuation.resume(with: result)
    }

    private func run(_ epoll: Int32) {
        var ready = [isle_epoll_ready](repeating: isle_epoll_ready(), count: 32)
        while true {
            let count = isle_epoll_wait(epoll, &ready, Int32(ready.count), -1)
            guard count > 0 else { continue }
            for entry in ready.prefix(Int(count)) { finish(entry.key, .success(())) }
        }
    }
}
