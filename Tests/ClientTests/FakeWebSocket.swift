import Glibc

@testable import Client

extension Peer {
    /// Agrees to the upgrade that `request` asks for.
    func acceptWebSocket(_ request: Request) throws {
        let accept = WebSocketHandshake.accept(for: request.headers["sec-websocket-key"] ?? "")
        try write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n"
        )
    }

    /// Sends an unmasked frame, as servers do.
    func sendFrame(_ opcode: WebSocketFrame.Opcode, _ payload: [UInt8] = [], isFinal: Bool = true) throws {
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | opcode.rawValue]
        switch payload.count {
        case ..<126: bytes.append(UInt8(payload.count))
        case ..<65536: bytes += [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default:
            bytes.append(127)
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(payload.count >> shift & 0xFF)) }
        }
        try write(bytes + payload)
    }

    /// The next frame of the client; it must be masked.
    func readFrame() throws -> WebSocketFrame {
        let head = try take(2)
        guard let opcode = WebSocketFrame.Opcode(rawValue: head[0] & 0x0F), head[1] & 0x80 != 0 else {
            throw FakeDaemon.Failed("not a masked frame")
        }
        var length = Int(head[1] & 0x7F)
        if length == 126 { length = try take(2).reduce(0) { $0 << 8 | Int($1) } }
        if length == 127 { length = try take(8).reduce(0) { $0 << 8 | Int($1) } }
        let mask = try take(4)
        let payload = try take(length).enumerated().map { $0.element ^ mask[$0.offset & 3] }
        return WebSocketFrame(isFinal: head[0] & 0x80 != 0, opcode: opcode, payload: payload)
    }
}
