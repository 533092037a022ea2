import CHost
import Glibc

/// A moment of the monotonic clock at which waiting ends; `never` waits for ever.
public struct Deadline: Sendable, Hashable {
    private let milliseconds: Int64?

    /// No end.
    public static let never = Deadline(milliseconds: nil)

    private init(milliseconds: Int64?) { self.milliseconds = milliseconds }

    /// `seconds` from now; nil is never.
    public init(seconds: Double?) {
        milliseconds = seconds.map { Deadline.now() + Int64(min(max($0, 0), 1e12) * 1000) }
    }

    /// Milliseconds that remain, at least 0, as poll(2) takes them: -1 is for ever.
    public var remaining: Int32 {
        guard let milliseconds else { return -1 }
        return Int32(clamping: max(0, milliseconds - Deadline.now()))
    }

    /// Whether the moment has come.
    public var isPast: Bool { remaining == 0 }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
