import CHost

/// A registration of one descriptor with the loop.
final class Watcher {
    let key: UInt64
    let descriptor: Int32
    var handler: (UInt32) -> Void

    init(_ key: UInt64, _ descriptor: Int32, _ handler: @escaping (UInt32) -> Void) {
        self.key = key
        self.descriptor = descriptor
        self.handler = handler
    }
}

/// A call at a later time.
final class Timer {
    let deadline: Int64
    let handler: () -> Void

    init(_ deadline: Int64, _ handler: @escaping () -> Void) {
        self.deadline = deadline
        self.handler = handler
    }
}

/// The one thread's loop: epoll(7) and timers.
final class Loop {
    private let epoll: Int32
    private var watchers: [Watcher] = []
    private var timers: [Timer] = []
    private var nextKey: UInt64 = 1
    private var running = true

    init() throws(ShimFailure) { epoll = try check(isle_epoll_create(), "making an epoll descriptor") }

    /// Nil if the kernel cannot watch the descriptor.
    func add(_ descriptor: Int32, _ events: Int, _ handler: @escaping (UInt32) -> Void) -> Watcher? {
        let watcher = Watcher(nextKey, descriptor, handler)
        nextKey += 1
        guard isle_epoll_add(epoll, descriptor, UInt32(events), watcher.key) == 0 else { return nil }
        watchers.append(watcher)
        return watcher
    }

    func modify(_ watcher: Watcher, _ events: Int) {
        _ = isle_epoll_modify(epoll, watcher.descriptor, UInt32(events), watcher.key)
    }

    /// To be called before the descriptor is closed. Events already fetched for it are not delivered.
    func remove(_ watcher: Watcher?) {
        guard let watcher, let index = index(of: watcher.key) else { return }
        _ = isle_epoll_remove(epoll, watcher.descriptor)
        watchers.remove(at: index)
    }

    func after(milliseconds: Int64, _ handler: @escaping () -> Void) -> Timer {
        let timer = Timer(isle_monotonic_ms() + milliseconds, handler)
        timers.append(timer)
        return timer
    }

    func cancel(_ timer: Timer?) {
        guard let timer else { return }
        timers.removeAll { $0 === timer }
    }

    func stop() { running = false }

    func run() {
        let capacity = 32
        var ready = [isle_epoll_ready](repeating: isle_epoll_ready(), count: capacity)
        while running {
            let count = isle_epoll_wait(epoll, &ready, Int32(capacity), timeout())
            if count > 0 {
                for entry in ready[..<Int(count)] {
                    guard running, let index = index(of: entry.key) else { continue }
                    let watcher = watchers[index]
                    watcher.handler(entry.events)
                }
            }
            fireTimers()
        }
    }

    private func fireTimers() {
        guard !timers.isEmpty else { return }
        let now = isle_monotonic_ms()
        while running, let index = timers.firstIndex(where: { $0.deadline <= now }) {
            let timer = timers.remove(at: index)
            timer.handler()
        }
    }

    /// Milliseconds until the next timer, -1 for none.
    private func timeout() -> Int32 {
        var earliest: Int64 = -1
        for timer in timers where earliest < 0 || timer.deadline < earliest { earliest = timer.deadline }
        if earliest < 0 { return -1 }
        return Int32(clamping: max(0, earliest - isle_monotonic_ms()))
    }

    private func index(of key: UInt64) -> Int? { watchers.firstIndex { $0.key == key } }
}
