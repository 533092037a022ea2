public import WireTypes

/// Writes JSON values as YAML 1.2 in block style, keys sorted.
public enum YAML {
    /// The document, with a line break at its end.
    public static func write(_ value: JSONValue) -> String {
        var lines: [String] = []
        switch value {
        case .object(let object) where !object.isEmpty: write(object, 0, &lines)
        case .array(let array) where !array.isEmpty: write(array, 0, &lines)
        default: lines.append(scalar(value))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func write(_ object: [String: JSONValue], _ depth: Int, _ lines: inout [String]) {
        for (key, value) in object.sorted(by: { $0.key < $1.key }) {
            let head = indent(depth) + plainOrQuoted(key) + ":"
            switch value {
            case .object(let inner) where !inner.isEmpty:
                lines.append(head)
                write(inner, depth + 1, &lines)
            case .array(let inner) where !inner.isEmpty:
                lines.append(head)
                write(inner, depth, &lines)
            case .string(let text) where isBlock(text):
                lines.append(head + (text.hasSuffix("\n") ? " |" : " |-"))
                var body = text.split(separator: "\n", omittingEmptySubsequences: false)
                if text.hasSuffix("\n") { body.removeLast() }
                lines += body.map { $0.isEmpty ? "" : indent(depth + 1) + $0 }
            default: lines.append(head + " " + scalar(value))
            }
        }
    }

    private static func write(_ array: [JSONValue], _ depth: Int, _ lines: inout [String]) {
        for value in array {
            var inner: [String] = []
            switch value {
            case .object(let object) where !object.isEmpty: write(object, depth + 1, &inner)
            case .array(let array) where !array.isEmpty: write(array, depth + 1, &inner)
            default: inner.append(indent(depth + 1) + scalar(value))
            }
            // The first line's indentation makes room for the dash.
            inner[0] = indent(depth) + "- " + inner[0].dropFirst(2 * (depth + 1))
            lines += inner
        }
    }

    private static func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

    /// Text of several lines that a literal block can hold: printable, no blank at the beginning of its first line,
    /// and at most one line break at its end.
    private static func isBlock(_ text: String) -> Bool {
        text.contains("\n") && !text.hasPrefix(" ") && !text.hasPrefix("\n") && !text.hasSuffix("\n\n")
            && text.unicodeScalars.allSatisfy { $0 == "\n" || isPrintable($0) }
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "\t" || (0x20..<0x7F).contains(scalar.value)
            || (0xA0...0xD7FF).contains(scalar.value)
                && scalar.value != 0x2028 && scalar.value != 0x2029
            || (0xE000...0xFFFD).contains(scalar.value)
                && scalar.value != 0xFEFF
            || scalar.value >= 0x10000
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .int(let value): String(value)
        case .double(let value): String(value)
        case .string(let text): plainOrQuoted(text)
        case .array: "[]"
        case .object: "{}"
        }
    }

    /// `text` as it is where a reader cannot take it for anything else, in double quotes otherwise.
    static func plainOrQuoted(_ text: String) -> String { isPlain(text) ? text : quoted(text) }

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return false }
        if first == " " || last == " " || last == ":" { return false }
        if "-?:,[]{}#&*!|>'\"%@`=~".unicodeScalars.contains(first) { return false }
        if text.contains(": ") || text.contains(" #") { return false }
        guard text.unicodeScalars.allSatisfy({ isPrintable($0) && $0 != "\t" }) else { return false }
        // Words and numbers of YAML 1.1 and 1.2; whatever begins like a number is quoted to be safe.
        let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        if words.contains(text.lowercased()) { return false }
        return !("0"..."9").contains(first) && first != "+" && first != "."
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case "\r": out += "\\r"
            case _ where isPrintable(scalar): out.unicodeScalars.append(scalar)
            default:
                let digits = String(scalar.value, radix: 16)
                let width = scalar.value > 0xFFFF ? 8 : 4
                out += width == 8 ? "\\U" : "\\u"
                out += String(repeating: "0", count: width - digits.utf8.count) + digits
            }
        }
        return out + "\""
    }
}
