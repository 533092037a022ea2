import Glibc

/// Wall-clock time, for what is shown and stored; durations use `ContinuousClock`.
public enum Clock {
    /// Seconds since 1970.
    public static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
