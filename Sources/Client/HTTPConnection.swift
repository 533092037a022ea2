/// One keep-alive connection to the daemon. One request at a time: an answer's body is read to its end before the
/// next request is sent.
final class HTTPConnection {
    let socket: Socket
    /// Whether an answer has been read on it before.
    private(set) var wasUsed = false
    /// Whether the next request may go over it.
    private(set) var isReusable = true

    /// Bytes that a head may have.
    private static let headLimit = 64 << 10

    init(_ socket: Socket) { self.socket = socket }

    /// Sends `request` and reads the head of its answer. `deadline` covers both.
    func send(_ request: HTTPRequest, _ deadline: Deadline) throws -> HTTPResponse {
        try begin(request, deadline)
        return try finish(request, deadline)
    }

    /// Sends `request` without waiting for the answer.
    func begin(_ request: HTTPRequest, _ deadline: Deadline) throws {
        isReusable = false
        do {
            try write(request, deadline)
        } catch let error as ClientError where error.kind == .connectionLost {
            // A server that refuses an upload answers and closes without reading the rest: the answer counts.
            guard case .stream = request.body else { throw error }
        }
    }

    private func write(_ request: HTTPRequest, _ deadline: Deadline) throws {
        switch request.body {
        case .none:
            try socket.write(request.head, deadline)
        case .bytes(let bytes):
            try socket.write(request.head + bytes, deadline)
        case .stream(let length, let next):
            try socket.write(request.head, deadline)
            while let piece = try next() {
                if piece.isEmpty { continue }
                if length == nil { try socket.write(Array("\(String(piece.count, radix: 16))\r\n".utf8), deadline) }
                try socket.write(length == nil ? piece + [13, 10] : piece, deadline)
            }
            if length == nil { try socket.write(Array("0\r\n\r\n".utf8), deadline) }
        }
    }

    /// Reads the head of the answer to `request`, which `begin` has sent.
    func finish(_ request: HTTPRequest, _ deadline: Deadline) throws -> HTTPResponse {
        while true {
            let head = try readHead(deadline)
            if (100..<200).contains(head.status) && head.status != 101 { continue }
            wasUsed = true
            let framing = try HTTPBodyFraming(head, method: request.method)
            let keepsAlive = !head.isHTTP10 && !head.field("connection", contains: "close")
            return HTTPResponse(head: head, framing: framing, connection: self, keepsAlive: keepsAlive)
        }
    }

    private func readHead(_ deadline: Deadline) throws -> HTTPResponseHead {
        while true {
            if let end = HTTPConnection.endOfHead(socket.unread) {
                let head = try HTTPResponseHead(parsing: socket.unread[..<end.head])
                socket.consume(end.next - socket.unread.startIndex)
                return head
            }
            guard socket.unread.count <= Self.headLimit else {
                throw ClientError(.malformedAnswer, "the daemon's answer has a head of more than 64 KiB")
            }
            guard try socket.fill(deadline) else {
                throw ClientError(.connectionLost, "the daemon closed the connection without an answer")
            }
        }
    }

    /// The index after the last header line and the index after the empty line.
    private static func endOfHead(_ bytes: ArraySlice<UInt8>) -> (head: Int, next: Int)? {
        var index = bytes.startIndex
        while let newline = bytes[index...].firstIndex(of: 10) {
            let following = bytes[(newline + 1)...].prefix(2)
            let end = newline > bytes.startIndex && bytes[newline - 1] == 13 ? newline - 1 : newline
            if following.first == 10 { return (end, newline + 2) }
            if following.elementsEqual([13, 10]) { return (end, newline + 3) }
            index = newline + 1
        }
        return nil
    }

    /// Called by an answer whose body has been read whole.
    func finished(keepsAlive: Bool) { isReusable = keepsAlive && !socket.isAtEnd }
}
