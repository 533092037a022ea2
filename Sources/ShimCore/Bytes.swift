/// Writes values as bytes: integers little-endian, strings and arrays with a 32-bit count in front.
public struct ByteWriter {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func put(_ value: UInt8) { bytes.append(value) }
    public mutating func put(_ value: UInt16) { integer(UInt64(value), 2) }
    public mutating func put(_ value: UInt32) { integer(UInt64(value), 4) }
    public mutating func put(_ value: Int32) { integer(UInt64(UInt32(bitPattern: value)), 4) }
    public mutating func put(_ value: Int64) { integer(UInt64(bitPattern: value), 8) }
    public mutating func put(_ value: UInt64) { integer(value, 8) }
    public mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    public mutating func put(_ value: String) {
        put(UInt32(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    public mutating func put(_ values: [String]) {
        put(UInt32(values.count))
        for value in values { put(value) }
    }

    public mutating func put(_ values: [UInt32]) {
        put(UInt32(values.count))
        for value in values { put(value) }
    }

    private mutating func integer(_ value: UInt64, _ size: Int) {
        for index in 0..<size { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
}

/// Bytes are not what `ByteWriter` writes.
public enum DecodingFailure: Error {
    /// They end too early.
    case truncated
    /// They hold a value that has no meaning.
    case malformed
}

/// Reads what `ByteWriter` wrote. Whatever the bytes are, the outcome is a value or an error, and memory is taken
/// only for what is really there.
public struct ByteReader {
    private let bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Bytes not yet read.
    public var remaining: Int { bytes.count - position }

    public mutating func uint8() throws(DecodingFailure) -> UInt8 { UInt8(try integer(1)) }
    public mutating func uint16() throws(DecodingFailure) -> UInt16 { UInt16(try integer(2)) }
    public mutating func uint32() throws(DecodingFailure) -> UInt32 { UInt32(try integer(4)) }
    public mutating func int32() throws(DecodingFailure) -> Int32 { Int32(bitPattern: UInt32(try integer(4))) }
    public mutating func int64() throws(DecodingFailure) -> Int64 { Int64(bitPattern: try integer(8)) }
    public mutating func uint64() throws(DecodingFailure) -> UInt64 { try integer(8) }

    public mutating func bool() throws(DecodingFailure) -> Bool {
        switch try uint8() {
        case 0: return false
        case 1: return true
        default: throw DecodingFailure.malformed
        }
    }

    /// A string without NUL, so that it can be handed to a system call unshortened.
    public mutating func string() throws(DecodingFailure) -> String {
        let count = Int(try uint32())
        guard count <= remaining else { throw DecodingFailure.truncated }
        let part = bytes[position..<(position + count)]
        for byte in part where byte == 0 { throw DecodingFailure.malformed }
        position += count
        return String(decoding: part, as: UTF8.self)
    }

    public mutating func strings() throws(DecodingFailure) -> [String] {
        let count = try count(ofItemsOf: 4)
        var values: [String] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try string()) }
        return values
    }

    public mutating func uint32s() throws(DecodingFailure) -> [UInt32] {
        let count = try count(ofItemsOf: 4)
        var values: [UInt32] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try uint32()) }
        return values
    }

    /// A count in front of items of at least `size` bytes each; more than can be there is `truncated`.
    public mutating func count(ofItemsOf size: Int) throws(DecodingFailure) -> Int {
        let count = Int(try uint32())
        guard count <= remaining / size else { throw DecodingFailure.truncated }
        return count
    }

    /// Fails with `malformed` unless everything was read.
    public func finish() throws(DecodingFailure) {
        guard remaining == 0 else { throw DecodingFailure.malformed }
    }

    private mutating func integer(_ size: Int) throws(DecodingFailure) -> UInt64 {
        guard size <= remaining else { throw DecodingFailure.truncated }
        var value: UInt64 = 0
        for index in 0..<size { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += size
        return value
    }
}
