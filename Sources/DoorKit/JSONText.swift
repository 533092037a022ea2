/// A look at JSON text before it is decoded: refuses what decoders take in silence or only at a price.
public enum JSONText {
    /// What is wrong, and after how many bytes.
    public struct Violation: Error, Equatable, Sendable, CustomStringConvertible {
        public var message: String
        public var offset: Int
        public var description: String { "\(message) at byte \(offset)" }
    }

    /// Checks that values are nested at most `depth` deep and that no object has a key twice. That the text is JSON
    /// at all is the decoder's business.
    public static func check(_ bytes: some Collection<UInt8>, depth: Int = 32) throws(Violation) {
        // Keys of each open object; nil for an array.
        var open: [Set<[UInt8]>?] = []
        var expectsKey = false
        var index = bytes.startIndex
        var offset = 0
        func step() {
            index = bytes.index(after: index)
            offset += 1
        }
        while index < bytes.endIndex {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard open.count < depth else {
                    throw Violation(message: "the JSON is nested deeper than \(depth)", offset: offset)
                }
                let isObject = bytes[index] == UInt8(ascii: "{")
                open.append(isObject ? [] : nil)
                expectsKey = isObject
                step()
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                _ = open.popLast()
                expectsKey = false
                step()
            case UInt8(ascii: ","):
                expectsKey = open.last.map { $0 != nil } ?? false
                step()
            case UInt8(ascii: "\""):
                let start = offset
                step()
                var text: [UInt8] = []
                var escaped = false
                while index < bytes.endIndex, bytes[index] != UInt8(ascii: "\"") {
                    if bytes[index] == UInt8(ascii: "\\") {
                        escaped = true
                        if expectsKey { text.append(bytes[index]) }
                        step()
                        guard index < bytes.endIndex else { return }
                    }
                    if expectsKey { text.append(bytes[index]) }
                    step()
                }
                guard index < bytes.endIndex else { return }
                step()
                guard expectsKey, let last = open.indices.last else { continue }
                expectsKey = false
                let key = escaped ? unescape(text) : text
                guard open[last]?.insert(key).inserted != false else {
                    let name = String(decoding: key.prefix(60), as: UTF8.self)
                    throw Violation(message: "the JSON has the key '\(name)' twice", offset: start)
                }
            default: step()
            }
        }
    }

    /// The bytes that a key with escapes stands for (RFC 8259, section 7); a wrong escape is kept as it is.
    private static func unescape(_ text: [UInt8]) -> [UInt8] {
        var units: [UInt16] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let escape = rest.popFirst() else {
                units.append(UInt16(byte))
                continue
            }
            switch escape {
            case UInt8(ascii: "b"): units.append(8)
            case UInt8(ascii: "f"): units.append(12)
            case UInt8(ascii: "n"): units.append(10)
            case UInt8(ascii: "r"): units.append(13)
            case UInt8(ascii: "t"): units.append(9)
            case UInt8(ascii: "u"):
                let digits = String(decoding: rest.prefix(4), as: UTF8.self)
                guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else { return text }
                rest = rest.dropFirst(4)
                // Escaped text is compared as UTF-16, unescaped text as bytes: both to UTF-8.
                units.append(contentsOf: utf8(unit))
            default: units.append(UInt16(escape))
            }
        }
        return units.map { UInt8(truncatingIfNeeded: $0) }
    }

    /// A UTF-16 unit in UTF-8; halves of surrogate pairs as they are, which is enough to compare.
    private static func utf8(_ unit: UInt16) -> [UInt16] {
        switch unit {
        case ..<0x80: [unit]
        case ..<0x800: [0xc0 | unit >> 6, 0x80 | unit & 0x3f]
        default: [0xe0 | unit >> 12, 0x80 | unit >> 6 & 0x3f, 0x80 | unit & 0x3f]
        }
    }
}
