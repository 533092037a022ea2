import Glibc
import Model
import Netlink
import Synchronization

/// A thread that runs the jobs of one actor, one after the other. Netlink, nftables and small files in /run block
/// for a millisecond or so and the kernel serialises them anyhow: on a thread of their own they stall nobody, and
/// an actor on it has no suspension points inside its methods, so that each is atomic. The thread can live in a
/// network namespace of its own: sockets, /proc/sys/net and child processes are then those of that namespace.
final class NetworkThread: SerialExecutor {
    private let queue = JobQueue()

    /// - Throws: `NetlinkError` if there is no thread to be had or the namespace cannot be entered.
    init(in namespace: OwnedDescriptor?) throws {
        let context = Unmanaged.passRetained(queue)
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, networkThreadMain, context.toOpaque())
        guard code == 0 else {
            context.release()
            throw NetlinkError(errno: code, request: "start a thread")
        }
        pthread_detach(thread)
        guard let namespace else { return }
        let outcome = Mutex<Result<Void, any Error>?>(nil)
        let entered = DoneFlag()
        queue.put {
            let result = Result { try NetworkNamespace.enter(namespace) }
            outcome.withLock { $0 = result }
            entered.set()
        }
        entered.wait()
        try outcome.withLock { $0 }?.get()
    }

    deinit { queue.end() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedSerialExecutor()
        // The queue keeps the executor alive until the job has run.
        queue.put { [self] in
            withExtendedLifetime(self) { job.runSynchronously(on: executor) }
        }
    }
}

/// Says from one thread to another that something has happened.
private final class DoneFlag: @unchecked Sendable {
    // sem_t may not move; sem_overview(7) allows its use from any thread.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func set() { sem_post(semaphore) }

    func wait() { while sem_wait(semaphore) != 0 {} }
}

/// A blocking queue. The members of pthreads may not move in memory, hence the pointers.
private final class JobQueue: @unchecked Sendable {
    private var jobs: [() -> Void] = []
    private var ended = false
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func put(_ job: @escaping () -> Void) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    func end() {
        pthread_mutex_lock(mutex)
        ended = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    func run() {
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty && !ended { pthread_cond_wait(condition, mutex) }
            let batch = jobs
            jobs = []
            let last = ended && batch.isEmpty
            pthread_mutex_unlock(mutex)
            if last { return }
            for job in batch { job() }
        }
    }
}

private func networkThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<JobQueue>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}
