/// Times in the form of RFC 3339 with nine digits of a second, in UTC.
public enum Timestamp {
    /// `2026-01-31T12:00:00.000000000Z` for a time since 1970.
    public static func text(seconds: Int64, nanoseconds: Int64) -> [UInt8] {
        let days = (seconds >= 0 ? seconds : seconds - 86399) / 86400
        let rest = seconds - days * 86400
        let (year, month, day) = date(daysSince1970: days)
        var out: [UInt8] = []
        out.reserveCapacity(30)
        digits(year, 4, &out)
        out.append(0x2D)
        digits(month, 2, &out)
        out.append(0x2D)
        digits(day, 2, &out)
        out.append(0x54)
        digits(rest / 3600, 2, &out)
        out.append(0x3A)
        digits(rest / 60 % 60, 2, &out)
        out.append(0x3A)
        digits(rest % 60, 2, &out)
        out.append(0x2E)
        digits(nanoseconds, 9, &out)
        out.append(0x5A)
        return out
    }

    /// The proleptic Gregorian date, counted in eras of 400 years that begin on a 1 March, so that the leap day is
    /// the last of its year.
    private static func date(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func digits(_ value: Int64, _ count: Int, _ out: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<count { divisor *= 10 }
        while divisor > 0 {
            out.append(0x30 + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }
}
