import Glibc

/// RFC 3339 timestamps.
public enum Timestamp {
    /// Seconds since 1970; nil if `text` is not RFC 3339 (with any fraction, `Z` or an offset).
    public static func seconds(_ text: String) -> Double? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20 else { return nil }
        func number(_ range: Range<Int>) -> Int32? {
            guard bytes[range].allSatisfy({ (48...57).contains($0) }) else { return nil }
            return Int32(String(decoding: bytes[range], as: UTF8.self))
        }
        func stands(_ characters: String, at index: Int) -> Bool { characters.utf8.contains(bytes[index]) }
        guard stands("-", at: 4), stands("-", at: 7), stands("Tt ", at: 10), stands(":", at: 13), stands(":", at: 16),
            let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month),
            (1...31).contains(day),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, month - 1, day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (hour, minute, second)
        var seconds = Double(timegm(&parts))
        var index = 19
        if bytes[index] == UInt8(ascii: ".") {
            index += 1
            var scale = 0.1
            while index < bytes.count, (48...57).contains(bytes[index]) {
                seconds += Double(bytes[index] - 48) * scale
                scale /= 10
                index += 1
            }
        }
        guard index < bytes.count else { return nil }
        if stands("Zz", at: index) { return bytes.count == index + 1 ? seconds : nil }
        guard bytes.count == index + 6, stands("+-", at: index), stands(":", at: index + 3),
            let hours = number(index + 1..<index + 3),
            let minutes = number(index + 4..<index + 6), hours < 24, minutes < 60
        else { return nil }
        let offset = Double(hours * 3600 + minutes * 60)
        return bytes[index] == UInt8(ascii: "-") ? seconds + offset : seconds - offset
    }

    /// `2026-01-02T03:04:05.123456789Z`.
    public static func text(_ seconds: Double) -> String {
        var whole = time_t(seconds.rounded(.down))
        var parts = tm()
        gmtime_r(&whole, &parts)
        let nanoseconds = Int((seconds - Double(whole)) * 1e9)
        func pad(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        return "\(pad(parts.tm_year + 1900, 4))-\(pad(parts.tm_mon + 1, 2))-\(pad(parts.tm_mday, 2))T"
            + "\(pad(parts.tm_hour, 2)):\(pad(parts.tm_min, 2)):\(pad(parts.tm_sec, 2)).\(pad(nanoseconds, 9))Z"
    }
}
