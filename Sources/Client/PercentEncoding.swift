/// Percent-encoding of URLs (RFC 3986).
public enum PercentEncoding {
    /// `text` as one segment of a path or one value of a query: all but the unreserved characters are encoded.
    public static func encode(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                out += "%"
                if byte < 16 { out += "0" }
                out += String(byte, radix: 16, uppercase: true)
            }
        }
        // A segment of dots alone would be taken for a step up the path.
        return out == "." ? "%2E" : out == ".." ? "%2E%2E" : out
    }
}

/// A path of the API with its query.
public struct Endpoint: Sendable, Hashable {
    public var target: String

    /// `/1.0` and `segments`, each encoded; `query` values that are nil are left out.
    public init(_ segments: [String], query: [(String, String?)] = []) {
        target = "/1.0" + segments.map { "/" + PercentEncoding.encode($0) }.joined()
        for (name, value) in query { append(name, value) }
    }

    /// A path that the daemon gave, as of an operation.
    public init(path: String) { target = path }

    /// Adds a query parameter; nil adds nothing.
    public mutating func append(_ name: String, _ value: String?) {
        guard let value else { return }
        target += target.utf8.contains(UInt8(ascii: "?")) ? "&" : "?"
        target += PercentEncoding.encode(name) + "=" + PercentEncoding.encode(value)
    }
}
