import Glibc
import Model

/// A moment as calendar and clock show it in UTC.
struct CivilTime: Sendable, Hashable {
    var year: Int
    /// 1 to 12.
    var month: Int
    /// 1 to 31.
    var day: Int
    var hour: Int
    var minute: Int
    var second: Int
    /// 0 is Sunday.
    var weekday: Int

    /// - Parameter seconds: since 1970.
    init(_ seconds: Double) {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        (year, month, day) = (Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday))
        (hour, minute, second) = (Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec))
        weekday = Int(parts.tm_wday)
    }

    /// Seconds since 1970; fields beyond their range carry over, as timegm(3) does.
    var seconds: Double {
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (Int32(year - 1900), Int32(month - 1), Int32(day))
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(hour), Int32(minute), Int32(second))
        return Double(timegm(&parts))
    }
}

/// How long something is kept: `1M 2H 3d 4w 5m 6y`, minutes, hours, days, weeks, months and years in any order, as LXD's
/// `snapshots.expiry`.
struct ExpiryText: Sendable, Hashable {
    private var amounts: [Character: Int] = [:]

    init(_ text: String) throws {
        for word in text.split(separator: " ") {
            guard let unit = word.last, "MHdwmy".contains(unit), let amount = Int(word.dropLast()),
                (0...100_000).contains(amount), amounts[unit] == nil
            else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(text)) is not a time for which something is kept",
                    hint: "as '3d' or '1w 12H': M minutes, H hours, d days, w weeks, m months, y years, each once")
            }
            amounts[unit] = amount
        }
    }

    /// Seconds since 1970 when what was made at `date` is to go; nil: never.
    func date(after date: Double) throws -> Double? {
        guard amounts.values.contains(where: { $0 > 0 }) else { return nil }
        var time = CivilTime(date)
        time.year += amounts["y"] ?? 0
        time.month += amounts["m"] ?? 0
        time.day += (amounts["d"] ?? 0) + 7 * (amounts["w"] ?? 0)
        time.hour += amounts["H"] ?? 0
        time.minute += amounts["M"] ?? 0
        return time.seconds
    }
}
