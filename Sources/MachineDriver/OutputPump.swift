import Glibc
import GuestCore
import LinuxHost
import Model
import Synchronization

/// Writes what comes from the guest to a descriptor as fast as that takes it, and gives credit back for it. When nobody
/// reads any more, the bytes are dropped, so that the process in the guest never stalls.
final class OutputPump: Sendable {
    private struct State {
        var waiting: [UInt8] = []
        var isEnded = false
        var isBroken = false
        var isWriting = false
        var credit: @Sendable (Int) -> Void = { _ in }
    }

    private let descriptor: OwnedDescriptor
    private let state = Mutex(State())

    init(_ descriptor: OwnedDescriptor) {
        self.descriptor = descriptor
        _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK)
    }

    func begin(_ credit: @escaping @Sendable (Int) -> Void) { state.withLock { $0.credit = credit } }

    /// False if more waits than the window allows.
    func append(_ bytes: [UInt8]) -> Bool {
        let fits = state.withLock { state in
            guard state.waiting.count + bytes.count <= Frame.window else { return false }
            state.waiting += bytes
            return true
        }
        if fits { work() }
        return fits
    }

    func end() {
        state.withLock { $0.isEnded = true }
        work()
    }

    /// Suspends until all that was appended is written or nobody reads any more.
    func drained() async {
        while state.withLock({ $0.isWriting }) {
            // Too rare and short a wait to keep a list of waiters for.
            do { try await Task.sleep(for: .milliseconds(2)) } catch { return }
        }
    }

    private func work() {
        let needsTask = state.withLock { state in
            if state.isWriting { return false }
            state.isWriting = true
            return true
        }
        guard needsTask else { return }
        if writeSome() { return }
        Task { [self] in
            while true {
                do { try await DescriptorEvents.writable(descriptor) } catch {
                    state.withLock { $0.isBroken = true }
                }
                if writeSome() { return }
            }
        }
    }

    /// True when there is nothing left to wait for; the writing role is given up then.
    private func writeSome() -> Bool {
        let (taken, credit, isIdle, isOver) = state.withLock { state in
            var taken = 0
            while !state.waiting.isEmpty {
                if state.isBroken {
                    taken += state.waiting.count
                    state.waiting = []
                    break
                }
                let count = Glibc.write(descriptor.raw, state.waiting, state.waiting.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    if errno == EAGAIN { break }
                    state.isBroken = true
                    continue
                }
                taken += count
                state.waiting.removeFirst(count)
            }
            let isIdle = state.waiting.isEmpty
            if isIdle { state.isWriting = false }
            return (taken, state.credit, isIdle, isIdle && state.isEnded)
        }
        if taken > 0 { credit(taken) }
        // A socket is shared with the input's reader: shutting it down is the end that the other side sees.
        if isOver {
            shutdown(descriptor.raw, Int32(SHUT_WR))
            descriptor.close()
        }
        return isIdle
    }
}
