/// How the end of a body is known (RFC 9112, section 6.3).
enum HTTPBodyFraming: Equatable {
    case none
    case length(Int64)
    case chunked
    case untilClose

    init(_ head: HTTPResponseHead, method: String) throws(ClientError) {
        if method == "HEAD" || head.status == 204 || head.status == 304 || head.status == 101 {
            self = .none
        } else if head.field("transfer-encoding", contains: "chunked") {
            self = .chunked
        } else if let text = head.headers["content-length"] {
            guard let length = Int64(text), length >= 0 else {
                throw ClientError(.malformedAnswer, "the daemon sent the content length '\(text)'")
            }
            self = .length(length)
        } else {
            self = .untilClose
        }
    }
}

/// An answer whose body is read piece by piece.
public final class HTTPResponse {
    public let head: HTTPResponseHead
    let connection: HTTPConnection
    private let keepsAlive: Bool
    private var framing: HTTPBodyFraming
    /// Bytes that are left of the current chunk; nil between chunks.
    private var chunk: Int64?

    init(head: HTTPResponseHead, framing: HTTPBodyFraming, connection: HTTPConnection, keepsAlive: Bool) {
        self.head = head
        self.framing = framing
        self.connection = connection
        self.keepsAlive = keepsAlive && framing != .untilClose
        if framing == .none || framing == .length(0) { end() }
    }

    /// The next piece of the body as it arrives; nil at its end.
    func next(_ deadline: Deadline) throws(ClientError) -> [UInt8]? {
        switch framing {
        case .none: return nil
        case .length(let left):
            let piece = try take(left, deadline)
            framing = .length(left - Int64(piece.count))
            if framing == .length(0) { end() }
            return piece
        case .untilClose:
            if connection.socket.unread.isEmpty, try !connection.socket.fill(deadline) {
                end()
                return nil
            }
            return try take(.max, deadline)
        case .chunked: return try nextOfChunk(deadline)
        }
    }

    /// The whole body; throws when it is larger than `limit` bytes.
    func readAll(limit: Int = 256 << 20, _ deadline: Deadline) throws(ClientError) -> [UInt8] {
        var all: [UInt8] = []
        while let piece = try next(deadline) {
            if all.isEmpty { all = piece } else { all += piece }
            guard all.count <= limit else {
                throw ClientError(.malformedAnswer, "the daemon's answer is larger than \(limit >> 20) MiB")
            }
        }
        return all
    }

    private func nextOfChunk(_ deadline: Deadline) throws(ClientError) -> [UInt8]? {
        if chunk == nil {
            let line = try readLine(deadline)
            let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
            guard let size = Int64(String(decoding: digits, as: UTF8.self), radix: 16), size >= 0 else {
                throw ClientError(.malformedAnswer, "the daemon sent a chunk without a size")
            }
            if size == 0 {
                while try !readLine(deadline).isEmpty {}
                end()
                return nil
            }
            chunk = size
        }
        let piece = try take(chunk ?? 0, deadline)
        let left = (chunk ?? 0) - Int64(piece.count)
        chunk = left
        if left == 0 {
            guard try readLine(deadline).isEmpty else {
                throw ClientError(.malformedAnswer, "the daemon sent a chunk that is longer than it said")
            }
            chunk = nil
        }
        return piece
    }

    private func take(_ most: Int64, _ deadline: Deadline) throws(ClientError) -> [UInt8] {
        if connection.socket.unread.isEmpty, try !connection.socket.fill(deadline) {
            throw ClientError(.connectionLost, "the daemon closed the connection in the middle of an answer")
        }
        let piece = connection.socket.unread.prefix(Int(clamping: most))
        let bytes = Array(piece)
        connection.socket.consume(bytes.count)
        return bytes
    }

    /// A line without its line break.
    private func readLine(_ deadline: Deadline) throws(ClientError) -> [UInt8] {
        while true {
            let unread = connection.socket.unread
            if let newline = unread.firstIndex(of: 10) {
                var line = Array(unread[..<newline])
                connection.socket.consume(newline - unread.startIndex + 1)
                if line.last == 13 { line.removeLast() }
                return line
            }
            guard unread.count <= 4096, try connection.socket.fill(deadline) else {
                throw ClientError(.connectionLost, "the daemon closed the connection in the middle of an answer")
            }
        }
    }

    private func end() {
        framing = .none
        connection.finished(keepsAlive: keepsAlive)
    }
}
