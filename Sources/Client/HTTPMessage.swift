/// One request of HTTP/1.1 (RFC 9112).
public struct HTTPRequest {
    /// What is sent after the head.
    public enum Body {
        case none
        case bytes([UInt8])
        /// Pieces until nil; without a `length` in bytes it is sent chunked.
        case stream(length: Int64?, next: () throws -> [UInt8]?)
    }

    public var method: String
    /// Path and query, percent-encoded.
    public var target: String
    public var headers: [(name: String, value: String)]
    public var body: Body

    public init(
        _ method: String, _ target: String, headers: [(name: String, value: String)] = [], body: Body = .none
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }

    /// Request line and header fields up to the empty line.
    var head: [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: isle\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        switch body {
        case .none:
            if method != "GET" && method != "HEAD" { text += "Content-Length: 0\r\n" }
        case .bytes(let bytes): text += "Content-Length: \(bytes.count)\r\n"
        case .stream(let length?, _): text += "Content-Length: \(length)\r\n"
        case .stream(nil, _): text += "Transfer-Encoding: chunked\r\n"
        }
        return Array((text + "\r\n").utf8)
    }
}

/// Status line and header fields of an answer.
public struct HTTPResponseHead: Sendable, Hashable {
    public var status: Int
    public var reason: String
    /// Names in lower case; of repeated fields the values are joined by commas.
    public var headers: [String: String]
    /// `HTTP/1.0` peers close the connection after each answer.
    public var isHTTP10: Bool

    public init(status: Int, reason: String = "", headers: [String: String] = [:], isHTTP10: Bool = false) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.isHTTP10 = isHTTP10
    }

    /// Reads a head without its closing empty line.
    init(parsing bytes: some Collection<UInt8>) throws(ClientError) {
        let text = String(decoding: bytes, as: UTF8.self)
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\r\n" || $0 == "\n" })[...]
        let statusLine = lines.popFirst() ?? ""
        let parts = statusLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]), (100...599).contains(status)
        else { throw ClientError(.malformedAnswer, "what answers on the socket does not speak HTTP") }
        var headers: [String: String] = [:]
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: ":") else {
                throw ClientError(.malformedAnswer, "the daemon sent a header field without a colon")
            }
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].trimmingSpaces
            headers[name] = headers[name].map { "\($0), \(value)" } ?? String(value)
        }
        self.init(
            status: status, reason: parts.count > 2 ? String(parts[2]) : "", headers: headers,
            isHTTP10: parts[0] == "HTTP/1.0")
    }

    /// Whether the comma-separated field `name` holds `token`, case ignored.
    func field(_ name: String, contains token: String) -> Bool {
        (headers[name] ?? "").split(separator: ",").contains { $0.trimmingSpaces.lowercased() == token }
    }
}

extension Substring {
    /// Without spaces and tabs at both ends.
    var trimmingSpaces: Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
