/// Amounts as people write and read them.
public enum Quantity {
    /// `bytes` with a binary unit, three digits: `12.3MiB`.
    public static func bytes(_ bytes: Int64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(bytes)
        var unit = 0
        while abs(value) >= 1024 && unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0
            ? "\(bytes)B" : decimal(value, digits: abs(value) < 10 ? 2 : abs(value) < 100 ? 1 : 0) + units[unit]
    }

    /// `value` with `digits` digits after the point, without zeros at its end.
    public static func decimal(_ value: Double, digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        guard value.isFinite, abs(value) < 1e15 else { return "?" }
        let scaled = Int64((abs(value) * scale).rounded())
        let whole = scaled / Int64(scale)
        var fraction = String(scaled % Int64(scale))
        fraction = String(repeating: "0", count: max(0, digits - fraction.count)) + fraction
        while digits > 0, fraction.last == "0" { fraction.removeLast() }
        let sign = value < 0 && scaled > 0 ? "-" : ""
        return sign + String(whole) + (digits == 0 || fraction.isEmpty ? "" : "." + fraction)
    }

    /// A span of time in its largest unit: `45s`, `12m`, `3h`, `5d`.
    public static func span(seconds: Double) -> String {
        let whole = Int64(max(0, min(seconds, 1e12)))
        switch whole {
        case ..<60: return "\(whole)s"
        case ..<3600: return "\(whole / 60)m"
        case ..<172_800: return "\(whole / 3600)h"
        case ..<(86_400 * 730): return "\(whole / 86_400)d"
        default: return "\(whole / (86_400 * 365))y"
        }
    }

    /// A size as Docker (`512m`, `1g`, binary) or LXD (`512MiB`, `1GB`, `50%`) writes it, as LXD writes it.
    public static func size(_ text: String, option: String) throws(UsageError) -> String {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count)
        let docker = [
            "b": "B", "k": "KiB", "kb": "KiB", "m": "MiB", "mb": "MiB", "g": "GiB", "gb": "GiB", "t": "TiB",
            "tb": "TiB",
        ]
        let lxd = ["", "B", "kB", "KB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "PiB"]
        let wrong = UsageError("\(option) \(quoted(text)) is no size", hint: "write it as 512MiB, 2GiB or 512m")
        guard let number = Double(digits), number > 0 else { throw wrong }
        if unit == "%" { return text }
        let canonical: String
        if let same = lxd.first(where: { $0 == unit }) {
            canonical = same
        } else if let known = docker[unit.lowercased()] {
            canonical = known
        } else {
            throw wrong
        }
        if !digits.contains(".") { return digits + canonical }
        // A fraction is written out in the next smaller unit that makes it whole, at last in bytes.
        let factors: [String: Double] = [
            "": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "KiB": 1024,
            "MiB": 1_048_576, "GiB": 1_073_741_824, "TiB": 1_099_511_627_776, "PiB": 1_125_899_906_842_624,
        ]
        guard let bytes = Int64(exactly: (number * (factors[canonical] ?? 1)).rounded()) else { throw wrong }
        return String(bytes)
    }

    /// `text` in quotes, fit for a message.
    public static func quoted(_ text: String) -> String { "'\(PlainText.escaped(PlainText.cut(text, to: 80)))'" }

    /// Seconds of a span as `90`, `1m30s`, `2h`, `1.5s`.
    public static func seconds(_ text: String, option: String) throws(UsageError) -> Double {
        if let plain = Double(text), plain.isFinite, plain >= 0 { return plain }
        var total = 0.0
        var rest = Substring(text)
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            guard let number = Double(digits), let (name, factor) = units.first(where: { rest.hasPrefix($0.0) }) else {
                throw UsageError("\(option) \(quoted(text)) is no span of time", hint: "write it as 30s, 5m or 1h30m")
            }
            total += number * factor
            rest = rest.dropFirst(name.count)
        }
        guard !text.isEmpty else {
            throw UsageError("\(option) is empty", hint: "write it as 30s, 5m or 1h30m")
        }
        return total
    }
}
