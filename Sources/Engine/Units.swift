import Model

/// Values of configuration keys as people write them.
enum Units {
    /// Bytes: `512MiB`, `2GB`, `1g` (as Docker: binary), `1048576`. Nil if it is none, negative or above 2^63 - 1.
    static func bytes(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits) else { return nil }
        let factor: Int64
        switch text.dropFirst(digits.count).lowercased() {
        case "", "b": factor = 1
        case "kb": factor = 1_000
        case "mb": factor = 1_000_000
        case "gb": factor = 1_000_000_000
        case "tb": factor = 1_000_000_000_000
        case "k", "kib": factor = 1 << 10
        case "m", "mib": factor = 1 << 20
        case "g", "gib": factor = 1 << 30
        case "t", "tib": factor = 1 << 40
        default: return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    /// Bits a second as LXD writes them: `100Mbit`, `512kbit`, `1Gibit`, `1000`. Nil if it is none.
    static func bitRate(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits) else { return nil }
        let factors: [Substring: Int64] = [
            "": 1, "bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000, "Tbit": 1_000_000_000_000,
            "Kibit": 1 << 10, "Mibit": 1 << 20, "Gibit": 1 << 30, "Tibit": 1 << 40,
        ]
        guard let factor = factors[text.dropFirst(digits.count)] else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    /// `true`, `1`, `yes`, `on` and their opposites, in any case (as LXD). Nil if it is neither.
    static func bool(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "1", "yes", "on": true
        case "false", "0", "no", "off", "": false
        default: nil
        }
    }

    /// `25ms/100ms` or `25000us/100000us` as microseconds; nil if it is not of that form or out of
    /// cpu.cfs_period_us's range (1 ms to 1 s).
    static func quota(_ text: String) -> Limits.CPUQuota? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        func time(_ text: Substring) -> Int64? {
            guard let number = Int64(text.dropLast(2)), (1...1_000_000_000).contains(number) else { return nil }
            return text.hasSuffix("ms") ? number * 1000 : text.hasSuffix("us") ? number : nil
        }
        guard parts.count == 2, let quota = time(parts[0]), let period = time(parts[1]),
            (1000...1_000_000).contains(period), (1000...1_000_000_000).contains(quota)
        else { return nil }
        return Limits.CPUQuota(quota: quota, period: period)
    }

    /// Whether `text` is a cpuset(7) list: `0-3,8`.
    static func isCPUSet(_ text: String) -> Bool {
        !text.isEmpty
            && text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { part in
                let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
                guard (1...2).contains(ends.count), !ends.contains(nil), let first = ends.first, let last = ends.last
                else { return false }
                return (first ?? 0) <= (last ?? 0)
            }
    }
}
