/// The records of a pax extended header: `length key=value\n` each (pax(1), "pax Header Block").
struct PaxRecords {
    /// In the order of the archive; GNU's oldest sparse form repeats keys.
    var list: [(key: String, value: [UInt8])] = []

    /// Nil if a record is malformed.
    init?(_ bytes: [UInt8]) {
        var rest = bytes[...]
        // Some writers fill up with NUL.
        while let first = rest.first, first != 0 {
            guard let space = rest.prefix(20).firstIndex(of: UInt8(ascii: " ")),
                let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
                length > space - rest.startIndex + 2, length <= rest.count
            else { return nil }
            let end = rest.startIndex + length
            guard rest[end - 1] == UInt8(ascii: "\n") else { return nil }
            let record = rest[(space + 1)..<(end - 1)]
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")), equals > record.startIndex else { return nil }
            list.append((String(decoding: record[..<equals], as: UTF8.self), Array(record[(equals + 1)...])))
            rest = rest[end...]
        }
    }

    init() {}

    mutating func add(_ key: String, _ value: [UInt8]) { list.append((key, value)) }

    mutating func add(_ key: String, _ value: String) { add(key, Array(value.utf8)) }

    /// The last value of a key.
    func value(_ key: String) -> [UInt8]? { list.last { $0.key == key }?.value }

    func text(_ key: String) -> String? { value(key).map { String(decoding: $0, as: UTF8.self) } }

    /// The records as they stand in an archive.
    var encoded: [UInt8] {
        var out: [UInt8] = []
        for (key, value) in list {
            // The length counts its own digits.
            let content = key.utf8.count + value.count + 3
            var length = content + String(content).utf8.count
            if content + String(length).utf8.count != length { length = content + String(length).utf8.count }
            out += Array("\(length) \(key)=".utf8) + value + [UInt8(ascii: "\n")]
        }
        return out
    }
}
