/// Numbers in byte arrays, least significant byte first.
extension [UInt8] {
    mutating func append(number: UInt32) {
        append(UInt8(truncatingIfNeeded: number))
        append(UInt8(truncatingIfNeeded: number >> 8))
        append(UInt8(truncatingIfNeeded: number >> 16))
        append(UInt8(truncatingIfNeeded: number >> 24))
    }

    /// A text with its length in front.
    mutating func append(text: String) {
        let bytes = [UInt8](text.utf8)
        append(number: UInt32(bytes.count))
        append(contentsOf: bytes)
    }
}

/// Takes values from the front of a byte array; every read is nil once the bytes do not suffice.
struct ByteReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func byte() -> UInt8? {
        guard remaining >= 1 else { return nil }
        position += 1
        return bytes[position - 1]
    }

    mutating func number() -> UInt32? {
        guard remaining >= 4 else { return nil }
        var value: UInt32 = 0
        for offset in 0..<4 { value |= UInt32(bytes[position + offset]) << UInt32(8 * offset) }
        position += 4
        return value
    }

    mutating func text() -> String? {
        guard let length = number(), remaining >= Int(length) else { return nil }
        position += Int(length)
        return String(decoding: bytes[(position - Int(length))..<position], as: UTF8.self)
    }

    /// A counted list of texts; a count that the remaining bytes cannot hold is nil.
    mutating func texts() -> [String]? {
        guard let count = number(), Int(count) <= remaining / 4 else { return nil }
        var list: [String] = []
        for _ in 0..<count {
            guard let item = text() else { return nil }
            list.append(item)
        }
        return list
    }
}
