import Glibc
import Synchronization

/// Interrupts the guest when it has used up its wall or processor time.
///
/// A guest that computes is interrupted at its next epoch check and reports the limit itself; one that waits inside
/// the host does not check, so that a moment later the process is ended from here.
final class Watchdog: Sendable {
    struct Limit {
        var name: String
        var milliseconds: Int64
    }

    private let wall: Int64?
    private let processor: Int64?
    private let interrupt: @convention(c) (UnsafeMutableRawPointer?) -> Void
    private let engine: UInt
    /// 0 none, 1 wall time, 2 processor time.
    private let which = Atomic<Int>(0)

    /// - Parameters: limits in milliseconds, nil for none.
    init(
        wall: Int64?, processor: Int64?, interrupt: @convention(c) (UnsafeMutableRawPointer?) -> Void,
        engine: UnsafeMutableRawPointer
    ) {
        self.wall = wall
        self.processor = processor
        self.interrupt = interrupt
        self.engine = UInt(bitPattern: engine)
    }

    /// The limit that was reached, if one was.
    var reached: Limit? {
        switch which.load(ordering: .acquiring) {
        case 1: Limit(name: "wall time", milliseconds: wall ?? 0)
        case 2: Limit(name: "processor time", milliseconds: processor ?? 0)
        default: nil
        }
    }

    func start() {
        guard wall != nil || processor != nil else { return }
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Watchdog>.fromOpaque(context).takeRetainedValue().watch() }
                return nil
            }, context)
        pthread_detach(thread)
    }

    private func watch() {
        let begin = Self.now(CLOCK_MONOTONIC)
        while true {
            usleep(5_000)
            if let wall, Self.now(CLOCK_MONOTONIC) - begin >= wall { return stop(1) }
            if let processor, Self.now(CLOCK_PROCESS_CPUTIME_ID) >= processor { return stop(2) }
        }
    }

    private func stop(_ number: Int) {
        which.store(number, ordering: .releasing)
        interrupt(UnsafeMutableRawPointer(bitPattern: engine))
        usleep(200_000)
        if let limit = reached {
            Report.line("stopped: the limit of \(limit.milliseconds) ms of \(limit.name) is reached")
        }
        _exit(124)
    }

    private static func now(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
