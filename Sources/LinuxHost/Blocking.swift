import CHost
import Glibc
import Synchronization

/// Runs `body` on a thread where it may block, and suspends the caller until it returns.
///
/// For system calls that can take long (fsync, mount, large reads, recursive removal): the cooperative pool has
/// only one thread per processor, and a blocked one stalls every task of the daemon. Threads are made on demand, at
/// most 128, and end after ten idle seconds. Nothing that waits for an event without a bound belongs here: that is
/// `DescriptorEvents`. Cancellation does not interrupt `body`.
public func runBlocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        BlockingPool.shared.submit { continuation.resume(with: Result(catching: body)) }
    }
}

/// `runBlocking` for a body that does not throw.
public func runBlocking<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
    await withCheckedContinuation { continuation in
        BlockingPool.shared.submit { continuation.resume(returning: body()) }
    }
}

/// Runs `body` on a new thread that ends with it: for calls that change the thread itself, as setns(2),
/// unshare(2) and setfsuid(2) do.
public func runOnOwnThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        let job = BlockingJob { continuation.resume(with: Result(catching: body)) }
        if !startThread({ job.run() }) { BlockingPool.shared.runInline(job) }
    }
}

/// Work that is done once.
private final class BlockingJob: Sendable {
    private let work: Mutex<(@Sendable () -> Void)?>

    init(_ work: @escaping @Sendable () -> Void) { self.work = Mutex(work) }

    func run() {
        let body = work.withLock { slot -> (@Sendable () -> Void)? in
            defer { slot = nil }
            return slot
        }
        body?()
    }
}

/// Threads that take jobs from one queue.
final class BlockingPool: Sendable {
    static let shared = BlockingPool(limit: 128)

    private struct State {
        var queue: [BlockingJob] = []
        /// Index of the next job; the array is compacted when it grows.
        var head = 0
        var threads = 0
        var idle = 0

        mutating func next() -> BlockingJob? {
            guard head < queue.count else { return nil }
            let job = queue[head]
            head += 1
            if head == queue.count || head > 1024 {
                queue.removeFirst(head)
                head = 0
            }
            return job
        }
    }

    private let state = Mutex(State())
    private let wakeup = Semaphore()
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func submit(_ work: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.queue.append(BlockingJob(work))
            let waiting = state.queue.count - state.head
            guard waiting > state.idle, state.threads < limit else { return false }
            state.threads += 1
            return true
        }
        if needsThread, !startThread({ [self] in loop() }) {
            // Without a new thread the others serve the job; without any thread the caller has to.
            let alone = state.withLock { state in
                state.threads -= 1
                return state.threads == 0
            }
            if alone, let job = state.withLock({ $0.next() }) { job.run() }
        }
        wakeup.post()
    }

    fileprivate func runInline(_ job: BlockingJob) { submit { job.run() } }

    private func loop() {
        while true {
            if let job = state.withLock({ $0.next() }) {
                job.run()
                continue
            }
            state.withLock { $0.idle += 1 }
            let woken = wakeup.wait(seconds: 10)
            let ends = state.withLock { state in
                state.idle -= 1
                guard !woken, state.head == state.queue.count else { return false }
                state.threads -= 1
                return true
            }
            if ends { return }
        }
    }
}

/// A counting semaphore in memory that stays at one address.
private final class Semaphore: @unchecked Sendable {
    // sem_t may not move; access is what sem_overview(7) allows from any thread.
    private let pointer = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(pointer, 0, 0) }

    deinit {
        sem_destroy(pointer)
        pointer.deallocate()
    }

    func post() { sem_post(pointer) }

    /// False when the time passed without a post.
    func wait(seconds: Int) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += seconds
        while sem_timedwait(pointer, &deadline) != 0 {
            if errno != EINTR { return false }
        }
        return true
    }
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Starts a detached thread with all signals blocked; false if the kernel refuses another one.
func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 1 << 20)
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let argument = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, &attributes,
        { raw in
            if let raw { Unmanaged<ThreadBody>.fromOpaque(raw).takeRetainedValue().body() }
            return nil
        }, argument.toOpaque())
    if result != 0 { argument.release() }
    return result == 0
}
