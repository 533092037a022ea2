/// Small readers of text for programs without Foundation; all work on bytes.

/// Words between blanks, tabs and line ends.
public func splitWords(_ text: String) -> [String] {
    var words: [String] = []
    for word in [UInt8](text.utf8).split(whereSeparator: { $0 == 32 || $0 == 9 || $0 == 10 || $0 == 13 }) {
        words.append(String(decoding: word, as: UTF8.self))
    }
    return words
}

/// Lines without their ends; empty ones are left out.
public func splitLines(_ bytes: [UInt8]) -> [String] {
    var lines: [String] = []
    for line in bytes.split(separator: 10) { lines.append(String(decoding: line, as: UTF8.self)) }
    return lines
}

/// Fields between `separator`, empty ones kept.
public func splitFields(_ text: String, _ separator: Character) -> [String] {
    guard let byte = separator.asciiValue else { return [text] }
    var fields: [String] = []
    for field in [UInt8](text.utf8).split(separator: byte, omittingEmptySubsequences: false) {
        fields.append(String(decoding: field, as: UTF8.self))
    }
    return fields
}

/// A decimal number without sign; nil if `text` is anything else or too large.
public func number(_ text: String) -> UInt32? {
    var value: UInt64 = 0
    guard !text.utf8.isEmpty else { return nil }
    for byte in text.utf8 {
        guard byte >= 48, byte <= 57 else { return nil }
        value = value * 10 + UInt64(byte - 48)
        guard value <= UInt64(UInt32.max) else { return nil }
    }
    return UInt32(value)
}

public func decimal(_ value: UInt32) -> String {
    var digits: [UInt8] = []
    var rest = value
    repeat {
        digits.append(UInt8(48 + rest % 10))
        rest /= 10
    } while rest > 0
    digits.reverse()
    return String(decoding: digits, as: UTF8.self)
}

func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 97...102: byte - 87
    case 65...70: byte - 55
    default: nil
    }
}

/// The bytes of an IPv4 address in network order; nil if `text` is not one.
public func parseIPv4(_ text: String) -> [UInt8]? {
    let fields = splitFields(text, ".")
    guard fields.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for field in fields {
        guard let value = number(field), value < 256 else { return nil }
        bytes.append(UInt8(value))
    }
    return bytes
}

/// The sixteen bytes of an IPv6 address (RFC 4291, 2.2, without an embedded IPv4 address); nil if `text` is not one.
public func parseIPv6(_ text: String) -> [UInt8]? {
    let groups = splitFields(text, ":")
    guard groups.count >= 3, groups.count <= 9 else { return nil }
    var front: [UInt8] = []
    var back: [UInt8] = []
    var hasGap = false
    var index = 0
    while index < groups.count {
        let group = [UInt8](groups[index].utf8)
        if group.isEmpty {
            let atEdge = index == 0 || index == groups.count - 1
            if atEdge {
                let neighbour = index == 0 ? 1 : index - 1
                guard groups[neighbour].utf8.isEmpty else { return nil }
            } else {
                guard !hasGap else { return nil }
                hasGap = true
            }
        } else {
            guard group.count <= 4 else { return nil }
            var value: UInt16 = 0
            for byte in group {
                guard let digit = hexDigit(byte) else { return nil }
                value = value << 4 | UInt16(digit)
            }
            let pair = [UInt8(value >> 8), UInt8(value & 255)]
            if hasGap { back += pair } else { front += pair }
        }
        index += 1
    }
    let length = front.count + back.count
    guard hasGap ? length <= 14 : length == 16 else { return nil }
    return front + [UInt8](repeating: 0, count: 16 - length) + back
}
