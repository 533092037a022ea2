/// Writes a value as JSON (RFC 8259) straight into bytes, many times as fast as an encoder that builds a tree first: a list
/// of two hundred instances with their states takes a few milliseconds.
///
/// Keys of types are in the order in which they are declared, those of dictionaries sorted, so that the same value has the
/// same text. Nested containers work as long as they are filled one after the other, as all of Isle's types do.
enum JSONWriter {
    /// - Throws: `EncodingError` for a number that is none (NaN, infinity), and what `value` itself throws.
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let output = JSONOutput()
        try output.write(value)
        return output.copy()
    }
}

/// A dictionary with text as keys, whatever its values.
private protocol JSONMap {
    func write(to output: JSONOutput) throws
}

extension Dictionary: JSONMap where Key == String, Value: Encodable {
    fileprivate func write(to output: JSONOutput) throws {
        let depth = output.begin(UInt8(ascii: "{"), UInt8(ascii: "}"))
        for (key, value) in sorted(by: { $0.key < $1.key }) {
            output.key(key, depth)
            try output.write(value)
        }
        output.close(to: depth - 1)
    }
}

/// The bytes that are there, and the containers that are open.
private final class JSONOutput {
    // Memory of its own: an array would be checked for exclusive use at every byte.
    private var memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 1 << 14)
    private var capacity = 1 << 14
    private var count = 0
    /// The end of each open container, and whether nothing is in it yet.
    private var open: [(end: UInt8, isEmpty: Bool)] = []

    deinit { memory.deallocate() }

    func copy() -> [UInt8] { Array(UnsafeBufferPointer(start: memory, count: count)) }

    private func append(_ byte: UInt8) {
        if count == capacity { grow(1) }
        memory[count] = byte
        count += 1
    }

    private func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress else { return }
        if capacity - count < bytes.count { grow(bytes.count) }
        (memory + count).update(from: start, count: bytes.count)
        count += bytes.count
    }

    private func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private func append(text: String) {
        var text = text
        text.withUTF8 { append($0) }
    }

    private func grow(_ more: Int) {
        capacity = max(capacity * 2, count + more)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        larger.update(from: memory, count: count)
        memory.deallocate()
        memory = larger
    }

    /// Opens an object or array; its depth.
    func begin(_ start: UInt8, _ end: UInt8) -> Int {
        append(start)
        open.append((end, true))
        return open.count
    }

    /// Closes what is open below `depth`.
    func close(to depth: Int) {
        while open.count > depth { append(open.removeLast().end) }
    }

    /// Gets ready for the next element of the container at `depth`.
    func element(_ depth: Int) {
        close(to: depth)
        if !open[depth - 1].isEmpty { append(UInt8(ascii: ",")) }
        open[depth - 1].isEmpty = false
    }

    func key(_ key: String, _ depth: Int) {
        element(depth)
        write(key)
        append(UInt8(ascii: ":"))
    }

    /// Whether a type is a dictionary with text as keys: asking the runtime takes longer than writing a small one.
    private var isMap: [ObjectIdentifier: Bool] = [:]

    func write<T: Encodable>(_ value: T) throws {
        // Most values come here through generic code, where their own overloads are out of reach. Comparing types first
        // spares a cast that fails, which is slow.
        if T.self == String.self, let text = value as? String { return write(text) }
        if T.self == Bool.self, let flag = value as? Bool { return write(flag) }
        if T.self == Int.self, let whole = value as? Int { return number(whole) }
        if T.self == Int64.self, let whole = value as? Int64 { return number(whole) }
        if T.self == Double.self, let real = value as? Double { return try write(real) }
        if T.self == [String: String].self, let map = value as? [String: String] { return try map.write(to: self) }
        let type = ObjectIdentifier(T.self)
        if isMap[type] ?? true {
            if let map = value as? any JSONMap { return try map.write(to: self) }
            isMap[type] = false
        }
        let (start, depth) = (count, open.count)
        try value.encode(to: JSONWritingEncoder(output: self))
        close(to: depth)
        // A type without fields opens nothing.
        if count == start { append("{}") }
    }

    func null() { append("null") }
    func write(_ value: Bool) { value ? append("true") : append("false") }
    func number(_ value: some BinaryInteger) { append(text: String(value)) }

    func write(_ value: Double) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: "no number in JSON"))
        }
        if let whole = Int64(exactly: value) { number(whole) } else { append(text: "\(value)") }
    }

    func write(_ value: String) {
        append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { text in
            var start = 0
            for index in 0..<text.count {
                let byte = text[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                append(UnsafeBufferPointer(rebasing: text[start..<index]))
                start = index + 1
                escape(byte)
            }
            append(UnsafeBufferPointer(rebasing: text[start...]))
        }
        append(UInt8(ascii: "\""))
    }

    private func escape(_ byte: UInt8) {
        append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\n"): append(UInt8(ascii: "n"))
        case UInt8(ascii: "\r"): append(UInt8(ascii: "r"))
        case UInt8(ascii: "\t"): append(UInt8(ascii: "t"))
        case 0..<0x20:
            let digits = String(byte, radix: 16)
            append(text: "u\(digits.utf8.count == 1 ? "000" : "00")\(digits)")
        default: append(byte)
        }
    }
}

private struct JSONWritingEncoder: Encoder {
    let output: JSONOutput
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(
            JSONObjectWriter(output: output, depth: output.begin(UInt8(ascii: "{"), UInt8(ascii: "}"))))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        JSONArrayWriter(output: output, depth: output.begin(UInt8(ascii: "["), UInt8(ascii: "]")))
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { JSONValueWriter(output: output) }
}

private struct JSONObjectWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let output: JSONOutput
    let depth: Int
    var codingPath: [any CodingKey] { [] }

    func encodeNil(forKey key: Key) {
        output.key(key.stringValue, depth)
        output.null()
    }

    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        output.key(key.stringValue, depth)
        try output.write(value)
    }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key)
        -> KeyedEncodingContainer<Nested>
    {
        output.key(key.stringValue, depth)
        return JSONWritingEncoder(output: output).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        output.key(key.stringValue, depth)
        return JSONWritingEncoder(output: output).unkeyedContainer()
    }

    func superEncoder() -> any Encoder {
        output.key("super", depth)
        return JSONWritingEncoder(output: output)
    }

    func superEncoder(forKey key: Key) -> any Encoder {
        output.key(key.stringValue, depth)
        return JSONWritingEncoder(output: output)
    }
}

private struct JSONArrayWriter: UnkeyedEncodingContainer {
    let output: JSONOutput
    let depth: Int
    var count = 0
    var codingPath: [any CodingKey] { [] }

    init(output: JSONOutput, depth: Int) {
        self.output = output
        self.depth = depth
    }

    private mutating func next() {
        output.element(depth)
        count += 1
    }

    mutating func encodeNil() {
        next()
        output.null()
    }

    mutating func encode<T: Encodable>(_ value: T) throws {
        next()
        try output.write(value)
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        next()
        return JSONWritingEncoder(output: output).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        next()
        return JSONWritingEncoder(output: output).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        next()
        return JSONWritingEncoder(output: output)
    }
}

private struct JSONValueWriter: SingleValueEncodingContainer {
    let output: JSONOutput
    var codingPath: [any CodingKey] { [] }

    func encodeNil() { output.null() }
    func encode(_ value: Bool) { output.write(value) }
    func encode(_ value: String) { output.write(value) }
    func encode(_ value: Double) throws { try output.write(value) }
    func encode(_ value: Float) throws { try output.write(Double(value)) }
    func encode(_ value: Int) { output.number(value) }
    func encode(_ value: Int8) { output.number(value) }
    func encode(_ value: Int16) { output.number(value) }
    func encode(_ value: Int32) { output.number(value) }
    func encode(_ value: Int64) { output.number(value) }
    func encode(_ value: UInt) { output.number(value) }
    func encode(_ value: UInt8) { output.number(value) }
    func encode(_ value: UInt16) { output.number(value) }
    func encode(_ value: UInt32) { output.number(value) }
    func encode(_ value: UInt64) { output.number(value) }
    func encode<T: Encodable>(_ value: T) throws { try output.write(value) }
}
