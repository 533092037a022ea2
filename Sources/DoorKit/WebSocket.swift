import HTTPTypes
public import Hummingbird
public import NIOCore
import Synchronization

/// The server's side of a websocket (RFC 6455). One task receives; any number may send.
public final class WebSocket: Sendable {
    public enum Message: Sendable, Equatable {
        /// A piece of a binary message; where messages begin and end is not told.
        case binary(ByteBuffer)
        case text(String)
    }

    /// How the client left.
    public enum End: Sendable, Equatable {
        /// With a close frame.
        case closed
        /// The connection just ended, or the client broke the protocol.
        case vanished
    }

    private struct State {
        var parser = WebSocketParser()
        var pending = ByteBuffer()
        var end: End?
        var sentClose = false
    }

    private let stream: UpgradedStream
    private let state = Mutex(State())

    init(_ stream: UpgradedStream) { self.stream = stream }

    /// How the client left; nil while it is there.
    public var end: End? { state.withLock(\.end) }

    /// The next message; nil when the client has left. Pings are answered on the way.
    public func receive() async throws -> Message? {
        while true {
            let event: WebSocketParser.Event?
            do {
                event = try parse()
            } catch {
                finish(.vanished)
                try await close(error.code, error.reason)
                return nil
            }
            switch event {
            case .binary(let bytes)?: return .binary(bytes)
            case .text(let text)?: return .text(text)
            case .ping(let payload)?:
                try await stream.write(
                    WebSocketFrame.head(WebSocketFrame.pong, length: payload.readableBytes), payload)
            case .pong?: continue
            case .close?:
                finish(.closed)
                try await close()
                return nil
            case nil:
                guard end == nil, let more = try await read() else {
                    finish(.vanished)
                    return nil
                }
                state.withLock { state in
                    if state.pending.readableBytes == 0 {
                        state.pending = more
                    } else {
                        state.pending.writeImmutableBuffer(more)
                    }
                }
            }
        }
    }

    /// Sends one binary message; suspends while the client does not read.
    public func send(_ bytes: ByteBuffer) async throws {
        try await stream.write(WebSocketFrame.head(WebSocketFrame.binary, length: bytes.readableBytes), bytes)
    }

    /// Sends one text message.
    public func send(text: String) async throws {
        let bytes = ByteBuffer(string: text)
        try await stream.write(WebSocketFrame.head(WebSocketFrame.text, length: bytes.readableBytes), bytes)
    }

    public func ping() async throws {
        try await stream.write(WebSocketFrame.head(WebSocketFrame.ping, length: 0))
    }

    /// Sends the close frame, once. The client answers with its own, which ends `receive`.
    public func close(_ code: UInt16 = 1000, _ reason: String = "") async throws {
        let isFirst = state.withLock { state in
            defer { state.sentClose = true }
            return !state.sentClose
        }
        guard isFirst else { return }
        var payload = ByteBuffer(integer: code)
        payload.writeBytes(reason.utf8.prefix(123))
        try await stream.write(
            WebSocketFrame.head(WebSocketFrame.close, length: payload.readableBytes), payload)
    }

    private func parse() throws(WebSocketParser.Violation) -> WebSocketParser.Event? {
        let result = state.withLock { state -> Result<WebSocketParser.Event?, WebSocketParser.Violation> in
            guard state.end == nil else { return .success(nil) }
            do throws(WebSocketParser.Violation) {
                return .success(try state.parser.next(&state.pending))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// A connection that breaks is one that ended.
    private func read() async throws -> ByteBuffer? {
        do {
            return try await stream.read()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            return nil
        }
    }

    private func finish(_ end: End) { state.withLock { if $0.end == nil { $0.end = end } } }
}

extension WebSocket {
    /// The 101 answer to a request that asks for a websocket; `body` then has the connection until it returns.
    /// - Throws: a description of what is wrong with the request (section 4.2.1).
    public static func accept(
        _ request: Request, _ context: DoorContext, _ body: @escaping @Sendable (WebSocket) async throws -> Void
    ) throws(HandshakeError) -> Response {
        let fields = request.headers
        guard tokens(fields[.connection]).contains("upgrade"), tokens(fields[.upgrade]).contains("websocket") else {
            throw HandshakeError(
                message: "this is a websocket: ask with 'Connection: Upgrade' and 'Upgrade: websocket'")
        }
        guard fields[.secWebSocketVersion] == "13" else {
            throw HandshakeError(message: "only version 13 of the websocket protocol is spoken")
        }
        guard let key = fields[.secWebSocketKey], key.utf8.count == 24 else {
            throw HandshakeError(message: "Sec-WebSocket-Key is not 16 bytes in base 64")
        }
        context.upgrade.put { stream in
            let socket = WebSocket(stream)
            try await body(socket)
            try await socket.close()
            stream.finish()
        }
        let accepted = Base64.encode(SHA1.digest(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
        return Response(
            status: .switchingProtocols,
            headers: [.connection: "Upgrade", .upgrade: "websocket", .secWebSocketAccept: accepted])
    }

    /// The request is no websocket handshake.
    public struct HandshakeError: Error, Sendable {
        public var message: String
    }

    private static func tokens(_ value: String?) -> [String] {
        (value ?? "").lowercased().split(separator: ",").map { $0.trimmingSpaces() }
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> String {
        String(drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }
}
