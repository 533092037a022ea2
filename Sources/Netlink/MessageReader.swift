/// Reads numbers and attributes from a message; never beyond its end, whatever lengths it claims.
struct MessageReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isEmpty: Bool { rest.isEmpty }

    /// The next number in the machine's byte order; nil at the end.
    mutating func read<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        let size = MemoryLayout<Number>.size
        guard let bytes = take(size) else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(as: Number.self) }
    }

    /// The next `count` bytes; nil if there are fewer.
    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// All attributes that follow; reading stops at the first whose length is impossible.
    mutating func attributes() -> Attributes {
        var found: [UInt16: ArraySlice<UInt8>] = [:]
        while let length = read(UInt16.self), let type = read(UInt16.self), length >= 4,
            let payload = take(Int(length) - 4)
        {
            // The two top bits say "nested" and "network byte order".
            found[type & 0x3fff] = payload
            _ = take((4 - Int(length) % 4) % 4)
        }
        return Attributes(found)
    }
}

/// Attributes of one message or of one nested attribute, by type.
struct Attributes {
    private let values: [UInt16: ArraySlice<UInt8>]

    init(_ values: [UInt16: ArraySlice<UInt8>]) { self.values = values }

    func bytes(_ type: UInt16) -> ArraySlice<UInt8>? { values[type] }

    func number<Number: FixedWidthInteger>(_ type: UInt16, as: Number.Type = Number.self) -> Number? {
        guard let bytes = values[type] else { return nil }
        var reader = MessageReader(bytes)
        return reader.read(Number.self)
    }

    /// Up to the first zero byte.
    func string(_ type: UInt16) -> String? {
        values[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    func nested(_ type: UInt16) -> Attributes? {
        guard let bytes = values[type] else { return nil }
        var reader = MessageReader(bytes)
        return reader.attributes()
    }
}
