import CHost

/// The writing end of an attached client's pipe. What the pipe does not take is kept, at most one block, and the
/// source rests meanwhile; a client that takes nothing for ten seconds is dropped.
final class Sink {
    private static let patience: Int64 = 10_000

    private let loop: Loop
    private var descriptor: Int32
    private var watcher: Watcher?
    private var pending: [UInt8] = []
    private var timer: Timer?
    /// Called when there is room again, and when the sink has closed.
    var onChange: () -> Void = {}

    var isOpen: Bool { descriptor >= 0 }
    var isStalled: Bool { !pending.isEmpty }

    /// Takes over the descriptor. Nil, and closed, if it cannot be watched.
    init?(_ descriptor: Int32, _ loop: Loop) {
        self.loop = loop
        self.descriptor = descriptor
        _ = isle_nonblocking(descriptor, 1)
        // Without any event asked for the kernel still reports that the reader is gone.
        watcher = loop.add(descriptor, 0) { [self] events in ready(events) }
        if watcher == nil {
            isle_close(descriptor)
            self.descriptor = -1
            return nil
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen else { return }
        let count = put(bytes)
        guard isOpen, count < bytes.count else { return }
        pending.append(contentsOf: bytes[count...])
        startWaiting()
    }

    func close() {
        guard isOpen else { return }
        loop.remove(watcher)
        loop.cancel(timer)
        watcher = nil
        timer = nil
        pending = []
        closeIfOpen(&descriptor)
        onChange()
    }

    private func ready(_ events: UInt32) {
        if events & UInt32(ISLE_EPOLLERR) != 0 { return close() }
        guard isStalled else { return }
        let count = pending.withUnsafeBytes { put($0) }
        guard isOpen else { return }
        if count > 0 { pending.removeFirst(count) }
        loop.cancel(timer)
        timer = nil
        if isStalled { return startWaiting() }
        pending = []
        if let watcher { loop.modify(watcher, 0) }
        onChange()
    }

    private func startWaiting() {
        if let watcher { loop.modify(watcher, Int(ISLE_EPOLLOUT)) }
        loop.cancel(timer)
        timer = loop.after(milliseconds: Self.patience) { [self] in close() }
    }

    /// Writes what the pipe takes: the number of bytes. Closes if the reader is gone.
    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        var done = 0
        while done < bytes.count {
            let count = isle_write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count > 0 {
                done += count
            } else if count == -Int(EAGAIN) {
                break
            } else if count != -Int(EINTR) {
                close()
                break
            }
        }
        return done
    }
}
