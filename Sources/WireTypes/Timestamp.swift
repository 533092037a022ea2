/// Points in time as RFC 3339 text in UTC, as the API shows them.
public enum Timestamp {
    /// What LXD shows for "never".
    public static let never = "1970-01-01T00:00:00Z"

    /// What LXD shows for a time that was not set (Go's zero time).
    public static let unset = "0001-01-01T00:00:00Z"

    /// `seconds` since 1970 as `2026-11-23T15:04:05.123456Z`; the fraction is left out when it is zero.
    /// What lies outside the years 0 to 9999 is shown as `never`.
    public static func string(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds > -62_167_219_200, seconds < 253_402_300_799 else { return never }
        var whole = Int64(seconds.rounded(.down))
        var micros = Int64(((seconds - Double(whole)) * 1_000_000).rounded())
        if micros == 1_000_000 { (whole, micros) = (whole + 1, 0) }
        let days = floorDivide(whole, 86_400)
        let rest = whole - days * 86_400
        let (year, month, day) = civil(days)
        var text = "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T"
        text += "\(pad(rest / 3600, 2)):\(pad(rest / 60 % 60, 2)):\(pad(rest % 60, 2))"
        if micros > 0 { text += "." + pad(micros, 6) }
        return text + "Z"
    }

    /// Seconds since 1970; nil unless `text` is a date and time as in RFC 3339, section 5.6.
    public static func seconds(_ text: String) -> Double? {
        var scanner = Scanner(bytes: Array(text.utf8))
        guard let year = scanner.digits(4), scanner.eat("-"), let month = scanner.digits(2), scanner.eat("-"),
            let day = scanner.digits(2), scanner.eat("T") || scanner.eat("t") || scanner.eat(" "),
            let hour = scanner.digits(2), scanner.eat(":"), let minute = scanner.digits(2), scanner.eat(":"),
            let second = scanner.digits(2),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        var fraction = 0.0
        if scanner.eat(".") {
            guard let value = scanner.fraction() else { return nil }
            fraction = value
        }
        var offset: Int64 = 0
        if !(scanner.eat("Z") || scanner.eat("z")) {
            let negative = scanner.eat("-")
            guard negative || scanner.eat("+"), let hours = scanner.digits(2), scanner.eat(":"),
                let minutes = scanner.digits(2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 3600 + minutes * 60) * (negative ? -1 : 1)
        }
        guard scanner.atEnd else { return nil }
        let days = daysFromCivil(year, month, day)
        return Double(days * 86_400 + hour * 3600 + minute * 60 + second - offset) + fraction
    }

    private struct Scanner {
        var bytes: [UInt8]
        var position = 0
        var atEnd: Bool { position == bytes.count }

        mutating func eat(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func digits(_ count: Int) -> Int64? {
            guard position + count <= bytes.count else { return nil }
            var value: Int64 = 0
            for byte in bytes[position..<position + count] {
                guard (48...57).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            position += count
            return value
        }

        mutating func fraction() -> Double? {
            var (value, scale, count) = (0.0, 0.1, 0)
            while position < bytes.count, (48...57).contains(bytes[position]) {
                value += Double(bytes[position] - 48) * scale
                scale /= 10
                count += 1
                position += 1
            }
            return count > 0 ? value : nil
        }
    }

    // Days to civil date and back, proleptic Gregorian: eras of 400 years that begin on 1 March.
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func daysFromCivil(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = floorDivide(shiftedYear, 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> Int64 {
        value >= 0 ? value / by : -((-value + by - 1) / by)
    }

    private static func pad(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
