import LinuxHost

/// One block of 512 bytes with the fields of a tar header: POSIX ustar (pax(1)), GNU and the older V7 form.
struct TarHeader {
    static let size = 512

    var bytes: [UInt8]

    enum Dialect { case v7, ustar, gnu }

    var isZero: Bool { bytes.allSatisfy { $0 == 0 } }

    var dialect: Dialect {
        if bytes[257..<263].elementsEqual("ustar\0".utf8) { return .ustar }
        if bytes[257..<265].elementsEqual("ustar  \0".utf8) { return .gnu }
        return .v7
    }

    var type: UInt8 { bytes[156] }

    /// The sum of all bytes with the checksum field as spaces; old programs added signed bytes.
    var hasRightChecksum: Bool {
        guard let stated = Self.number(bytes[148..<156]) else { return false }
        var unsigned: Int64 = 0
        var signed: Int64 = 0
        for index in bytes.indices {
            let byte = (148..<156).contains(index) ? UInt8(ascii: " ") : bytes[index]
            unsigned += Int64(byte)
            signed += Int64(Int8(bitPattern: byte))
        }
        return stated == unsigned || stated == signed
    }

    /// A field's text up to the first NUL.
    func text(_ range: Range<Int>) -> [UInt8] { Array(bytes[range].prefix { $0 != 0 }) }

    func number(_ range: Range<Int>) -> Int64? { Self.number(bytes[range]) }

    var path: [UInt8] {
        let name = text(0..<100)
        guard dialect == .ustar else { return name }
        let prefix = text(345..<500)
        return prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    }

    /// A number in octal digits, or in base 256 where the first bit is set (GNU). An empty field is 0; nil if it is
    /// neither or does not fit.
    static func number(_ field: ArraySlice<UInt8>) -> Int64? {
        guard let first = field.first else { return nil }
        if first & 0x80 != 0 {
            // Two's complement; the marking bit is not part of the number.
            let isNegative = first & 0x40 != 0
            var value: Int64 = isNegative ? -1 : 0
            for (index, byte) in field.enumerated() {
                let byte = index == 0 ? (isNegative ? byte : byte & 0x7f) : byte
                let (shifted, overflow) = value.multipliedReportingOverflow(by: 256)
                guard !overflow else { return nil }
                value = shifted | Int64(byte)
            }
            return value
        }
        let digits = field.drop { $0 == UInt8(ascii: " ") || $0 == 0 }.prefix { $0 != UInt8(ascii: " ") && $0 != 0 }
        var value: Int64 = 0
        for digit in digits {
            guard (48...55).contains(digit) else { return nil }
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 8)
            guard !overflow else { return nil }
            value = shifted + Int64(digit - 48)
        }
        return value
    }

    // MARK: - Writing

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// An empty ustar header of the given type.
    init(type: UInt8) {
        bytes = [UInt8](repeating: 0, count: Self.size)
        bytes[156] = type
        bytes.replaceSubrange(257..<265, with: Array("ustar\u{0}00".utf8))
    }

    /// Puts text into a field; false if it does not fit.
    mutating func set(_ range: Range<Int>, _ text: [UInt8]) -> Bool {
        guard text.count <= range.count else { return false }
        bytes.replaceSubrange(range.lowerBound..<range.lowerBound + text.count, with: text)
        return true
    }

    /// Puts a number in octal with a NUL after it; false, and 0 in the field, if it does not fit.
    mutating func set(_ range: Range<Int>, number: Int64) -> Bool {
        let digits = number < 0 ? [] : Array(String(number, radix: 8).utf8)
        let fits = number >= 0 && digits.count < range.count
        let shown = fits ? digits : [UInt8(ascii: "0")]
        let padding = [UInt8](repeating: UInt8(ascii: "0"), count: range.count - 1 - shown.count)
        return set(range, padding + shown) && fits
    }

    mutating func setChecksum() {
        for index in 148..<156 { bytes[index] = UInt8(ascii: " ") }
        let sum = bytes.reduce(Int64(0)) { $0 + Int64($1) }
        _ = set(148..<155, number: sum)
    }
}
