import NIOCore

/// Takes websocket frames of a client apart (RFC 6455, section 5). A value: bytes in, events out, no input or output.
///
/// The payload of binary messages is handed on as it comes in, so that a frame of any size needs no memory; text and
/// control messages are collected and bounded.
struct WebSocketParser {
    enum Event: Equatable {
        /// A piece of a binary message.
        case binary(ByteBuffer)
        /// A whole text message.
        case text(String)
        case ping(ByteBuffer)
        case pong
        /// nil: no code was given.
        case close(UInt16?)
    }

    /// The client broke the protocol; the connection is closed with the code (section 7.4.1).
    struct Violation: Error, Equatable {
        var code: UInt16
        var reason: String
        static func malformed(_ reason: String) -> Violation { Violation(code: 1002, reason: reason) }
    }

    /// Bytes of a text message at most.
    static let longestText = 65_536

    private enum Kind { case binary, text }

    private struct Frame {
        var opcode: UInt8
        var isFinal: Bool
        var left: UInt64
        var mask: [UInt8]
        /// How far into the mask the next byte is.
        var offset = 0
    }

    private var frame: Frame?
    /// The message that the frames belong to, until its last one.
    private var message: Kind?
    private var text = ByteBuffer()
    private var control = ByteBuffer()

    /// The next event in `bytes`, which loses what was used; nil when more bytes are needed.
    mutating func next(_ bytes: inout ByteBuffer) throws(Violation) -> Event? {
        while true {
            if frame == nil {
                guard let head = try readHead(&bytes) else { return nil }
                frame = head
            }
            guard var current = frame else { return nil }
            let count = Int(min(current.left, UInt64(bytes.readableBytes)))
            guard count > 0 || current.left == 0 else { return nil }
            var payload = bytes.readSlice(length: count) ?? ByteBuffer()
            Self.unmask(&payload, &current)
            current.left -= UInt64(count)
            frame = current.left == 0 ? nil : current
            if let event = try take(payload, of: current) { return event }
        }
    }

    private mutating func readHead(_ bytes: inout ByteBuffer) throws(Violation) -> Frame? {
        var head = bytes
        guard let first = head.readInteger(as: UInt8.self), let second = head.readInteger(as: UInt8.self)
        else { return nil }
        guard first & 0x70 == 0 else { throw .malformed("reserved bits are set") }
        guard second & 0x80 != 0 else { throw .malformed("a frame of a client is not masked") }
        let opcode = first & 0x0f
        let isFinal = first & 0x80 != 0
        var length = UInt64(second & 0x7f)
        if length == 126 {
            guard let value = head.readInteger(as: UInt16.self) else { return nil }
            length = UInt64(value)
        } else if length == 127 {
            guard let value = head.readInteger(as: UInt64.self) else { return nil }
            length = value
        }
        guard let mask = head.readBytes(length: 4) else { return nil }
        try check(opcode, isFinal: isFinal, length: length)
        bytes = head
        return Frame(opcode: opcode, isFinal: isFinal, left: length, mask: mask)
    }

    private mutating func check(_ opcode: UInt8, isFinal: Bool, length: UInt64) throws(Violation) {
        guard length < 1 << 63 else { throw .malformed("a frame's length has its highest bit set") }
        switch opcode {
        case 0:
            guard message != nil else { throw .malformed("a continuation without a message") }
        case 1, 2:
            guard message == nil else { throw .malformed("a message inside a message") }
            message = opcode == 1 ? .text : .binary
            text.clear()
        case 8, 9, 10:
            guard isFinal, length <= 125 else { throw .malformed("a control frame is long or in pieces") }
            control.clear()
        default: throw .malformed("unknown opcode \(opcode)")
        }
        if opcode < 8, message == .text, UInt64(text.readableBytes) + length > UInt64(Self.longestText) {
            throw Violation(code: 1009, reason: "a text message is longer than \(Self.longestText) bytes")
        }
    }

    /// What a piece of payload amounts to; nil if more is needed.
    private mutating func take(_ payload: ByteBuffer, of frame: Frame) throws(Violation) -> Event? {
        var payload = payload
        let frameEnded = frame.left == 0
        if frame.opcode >= 8 {
            control.writeBuffer(&payload)
            return frameEnded ? try controlEvent(frame.opcode) : nil
        }
        let messageEnded = frameEnded && frame.isFinal
        let kind = message
        if messageEnded { message = nil }
        guard kind == .text else { return payload.readableBytes > 0 ? .binary(payload) : nil }
        text.writeBuffer(&payload)
        guard messageEnded else { return nil }
        guard let value = String(validating: text.readableBytesView, as: UTF8.self) else {
            throw Violation(code: 1007, reason: "a text message is not UTF-8")
        }
        return .text(value)
    }

    private mutating func controlEvent(_ opcode: UInt8) throws(Violation) -> Event {
        switch opcode {
        case 9: return .ping(control)
        case 10: return .pong
        default:
            guard control.readableBytes != 1 else { throw .malformed("a close code of one byte") }
            return .close(control.readInteger(as: UInt16.self))
        }
    }

    private static func unmask(_ payload: inout ByteBuffer, _ frame: inout Frame) {
        let (mask, offset) = (frame.mask, frame.offset)
        payload.withUnsafeMutableReadableBytes { raw in
            // Four bytes of the mask, turned so that the first is for the first byte of the payload.
            var word: UInt32 = 0
            withUnsafeMutableBytes(of: &word) { turned in
                for index in 0..<4 { turned[index] = mask[(offset + index) & 3] }
            }
            let wide = UInt64(word) | UInt64(word) << 32
            var index = 0
            while index + 8 <= raw.count {
                let value = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wide
                raw.storeBytes(of: value, toByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < raw.count {
                raw[index] ^= mask[(offset + index) & 3]
                index += 1
            }
        }
        frame.offset = (offset + payload.readableBytes) & 3
    }
}

/// Frames of a server: never masked, one per message.
enum WebSocketFrame {
    static let text: UInt8 = 1
    static let binary: UInt8 = 2
    static let close: UInt8 = 8
    static let ping: UInt8 = 9
    static let pong: UInt8 = 10

    static func head(_ opcode: UInt8, length: Int) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: 10)
        buffer.writeInteger(0x80 | opcode)
        switch length {
        case ..<126: buffer.writeInteger(UInt8(length))
        case ..<65_536:
            buffer.writeInteger(UInt8(126))
            buffer.writeInteger(UInt16(length))
        default:
            buffer.writeInteger(UInt8(127))
            buffer.writeInteger(UInt64(length))
        }
        return buffer
    }
}
