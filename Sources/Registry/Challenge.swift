/// One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
struct Challenge: Hashable, Sendable {
    /// In lower case: `basic`, `bearer`.
    var scheme: String
    /// Names in lower case.
    var parameters: [String: String]

    /// Every challenge of the headers' values; what is malformed ends the reading of that value.
    static func parse(_ values: [String]) -> [Challenge] {
        values.prefix(8).flatMap { value in
            var reader = Reader(bytes: Array(value.utf8.prefix(8192)))
            return reader.challenges()
        }
    }

    private struct Reader {
        var bytes: [UInt8]
        var position = 0

        mutating func challenges() -> [Challenge] {
            var found: [Challenge] = []
            while let word = token() {
                skip(UInt8(ascii: " "))
                if peek == UInt8(ascii: "="), !found.isEmpty {
                    position += 1
                    guard let value = value() else { return found }
                    found[found.count - 1].parameters[word.lowercased()] = value
                } else {
                    found.append(Challenge(scheme: word.lowercased(), parameters: [:]))
                }
                while peek == UInt8(ascii: ",") || peek == UInt8(ascii: " ") { position += 1 }
            }
            return found
        }

        private mutating func token() -> String? {
            let start = position
            while let byte = peek, byte > 0x20, byte < 0x7f, !Self.separators.contains(byte) { position += 1 }
            return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
        }

        private mutating func value() -> String? {
            skip(UInt8(ascii: " "))
            guard peek == UInt8(ascii: "\"") else { return token() }
            position += 1
            var text: [UInt8] = []
            while let byte = peek {
                position += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
                if byte == UInt8(ascii: "\\"), let next = peek {
                    position += 1
                    text.append(next)
                } else {
                    text.append(byte)
                }
            }
            return nil
        }

        private mutating func skip(_ byte: UInt8) { while peek == byte { position += 1 } }
        private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
        private static let separators = Set("()<>@,;\\\"[]?={}".utf8)
    }
}
