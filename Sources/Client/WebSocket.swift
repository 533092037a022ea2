import FoundationEssentials

/// A websocket of the daemon (RFC 6455), client side. It never blocks by itself: the owner polls `fileDescriptor`
/// and calls `receive` and `flush`, or uses `nextMessage` to wait.
final class WebSocket {
    /// What arrives.
    enum Event: Equatable {
        /// A piece of a message as it comes; `isFinal` ends the message.
        case data([UInt8], isText: Bool, isFinal: Bool)
        /// The other side has closed, with its code where it gave one.
        case closed(code: UInt16?)
    }

    private let socket: Socket
    private var outgoing: [UInt8] = []
    private var sent = 0
    /// Whether the message that is under way is text; nil between messages.
    private var messageIsText: Bool?
    private var closeSent = false
    private(set) var isClosed = false

    /// Takes over a connection on which the upgrade has been agreed.
    init(_ socket: Socket) { self.socket = socket }

    var fileDescriptor: Int32 { socket.fileDescriptor }
    /// Bytes that wait to be written.
    var outgoingCount: Int { outgoing.count - sent }

    /// Queues a message.
    func send(_ payload: [UInt8], text: Bool = false) {
        if closeSent || isClosed { return }
        queue(WebSocketFrame(opcode: text ? .text : .binary, payload: payload))
    }

    /// Queues a close frame; nothing can be sent after it.
    func close(code: UInt16 = 1000) {
        if closeSent || isClosed { return }
        queue(WebSocketFrame(opcode: .close, payload: [UInt8(code >> 8), UInt8(code & 0xFF)]))
        closeSent = true
    }

    /// Closes without waiting for the other side's farewell, where nobody cares for what it still sends.
    func abandon() {
        close()
        flush()
        isClosed = true
        socket.shutdown()
    }

    private func queue(_ frame: WebSocketFrame) {
        outgoing += frame.encoded(mask: UInt32.random(in: .min ... .max))
    }

    /// Writes what fits without blocking. A peer that has gone shows in `receive`.
    func flush() {
        guard outgoingCount > 0 else { return }
        do {
            sent += try socket.writeAvailable(outgoing[sent...])
        } catch {
            sent = outgoing.count
            closeSent = true
        }
        if sent == outgoing.count {
            outgoing.removeAll(keepingCapacity: true)
            sent = 0
        } else if sent > 1 << 18 {
            outgoing.removeFirst(sent)
            sent = 0
        }
    }

    /// Reads what has arrived, after poll(2) said that something did, and gives the events in it.
    func receive() throws(ClientError) -> [Event] {
        if isClosed { return [] }
        let open = try socket.fillAvailable()
        var events = try parsed()
        if !open && !isClosed {
            isClosed = true
            events.append(.closed(code: nil))
        }
        return events
    }

    /// Events in what has been read already, such as what came together with the upgrade's answer.
    func parsed() throws(ClientError) -> [Event] {
        var events: [Event] = []
        while !isClosed, let (frame, length) = try WebSocketFrameParser.parse(socket.unread) {
            socket.consume(length)
            try handle(frame, &events)
        }
        return events
    }

    private func handle(_ frame: WebSocketFrame, _ events: inout [Event]) throws(ClientError) {
        switch frame.opcode {
        case .text, .binary:
            guard messageIsText == nil else {
                throw ClientError(.malformedAnswer, "the daemon began a websocket message inside another")
            }
            let isText = frame.opcode == .text
            messageIsText = frame.isFinal ? nil : isText
            events.append(.data(frame.payload, isText: isText, isFinal: frame.isFinal))
        case .continuation:
            guard let isText = messageIsText else {
                throw ClientError(.malformedAnswer, "the daemon continued a websocket message that it had not begun")
            }
            if frame.isFinal { messageIsText = nil }
            events.append(.data(frame.payload, isText: isText, isFinal: frame.isFinal))
        case .ping:
            if !closeSent { queue(WebSocketFrame(opcode: .pong, payload: frame.payload)) }
        case .pong: break
        case .close:
            let code = frame.payload.count >= 2 ? UInt16(frame.payload[0]) << 8 | UInt16(frame.payload[1]) : nil
            close()
            flush()
            isClosed = true
            events.append(.closed(code: code))
        }
    }

    /// Waits for the next whole message; nil when the other side has closed.
    func nextMessage(_ deadline: Deadline) throws(ClientError) -> [UInt8]? {
        var message: [UInt8] = []
        while true {
            while !pending.isEmpty {
                switch pending.removeFirst() {
                case .data(let bytes, _, let isFinal):
                    message += bytes
                    if isFinal { return message }
                case .closed: return nil
                }
            }
            if isClosed { return nil }
            pending = try parsed()
            if pending.isEmpty {
                _ = try socket.fill(deadline)
                pending = try parsed()
                if pending.isEmpty && socket.isAtEnd { return nil }
            }
            flush()
        }
    }
    private var pending: [Event] = []
}

/// The opening handshake (RFC 6455, section 4).
enum WebSocketHandshake {
    /// Header fields of the request, with a fresh key, and the answer's `Sec-WebSocket-Accept` that must come back.
    static func request() -> (headers: [(name: String, value: String)], accept: String) {
        let key = Data((0..<16).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString()
        let headers = [
            (name: "Connection", value: "Upgrade"), (name: "Upgrade", value: "websocket"),
            (name: "Sec-WebSocket-Version", value: "13"), (name: "Sec-WebSocket-Key", value: key),
        ]
        return (headers, accept(for: key))
    }

    /// What a server must answer to `key`.
    static func accept(for key: String) -> String {
        Data(SHA1.digest(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))).base64EncodedString()
    }
}
