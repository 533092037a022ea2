/// One frame of RFC 6455, section 5.
struct WebSocketFrame: Equatable, Sendable {
    enum Opcode: UInt8, Sendable {
        case continuation = 0x0
        case text = 0x1
        case binary = 0x2
        case close = 0x8
        case ping = 0x9
        case pong = 0xA

        /// Close, ping and pong: at most 125 bytes, never fragmented.
        var isControl: Bool { rawValue >= 0x8 }
    }

    var isFinal = true
    var opcode: Opcode
    var payload: [UInt8]

    /// The bytes of the frame, masked with `mask` as every client's frame must be.
    func encoded(mask: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payload.count + 14)
        bytes.append((isFinal ? 0x80 : 0) | opcode.rawValue)
        switch payload.count {
        case ..<126: bytes.append(0x80 | UInt8(payload.count))
        case ..<65536:
            bytes.append(0x80 | 126)
            withUnsafeBytes(of: UInt16(payload.count).bigEndian) { bytes.append(contentsOf: $0) }
        default:
            bytes.append(0x80 | 127)
            withUnsafeBytes(of: UInt64(payload.count).bigEndian) { bytes.append(contentsOf: $0) }
        }
        withUnsafeBytes(of: mask.bigEndian) { bytes.append(contentsOf: $0) }
        let start = bytes.count
        bytes.append(contentsOf: payload)
        WebSocketFrame.applyMask(mask, to: &bytes, from: start)
        return bytes
    }

    /// Exclusive-or of each byte with the mask's byte at the same place, four times repeated (section 5.3).
    static func applyMask(_ mask: UInt32, to bytes: inout [UInt8], from start: Int) {
        let key = withUnsafeBytes(of: mask.bigEndian) { Array($0) }
        bytes.withUnsafeMutableBufferPointer { buffer in
            for index in start..<buffer.count { buffer[index] ^= key[(index - start) & 3] }
        }
    }
}

/// Takes frames off the front of a stream of bytes.
enum WebSocketFrameParser {
    /// Bytes that one frame may carry.
    static let payloadLimit: UInt64 = 64 << 20

    /// The first frame of `bytes` and how many bytes it took; nil when it is not whole yet.
    static func parse(_ bytes: ArraySlice<UInt8>) throws(ClientError) -> (frame: WebSocketFrame, length: Int)? {
        guard bytes.count >= 2 else { return nil }
        let start = bytes.startIndex
        let first = bytes[start]
        let second = bytes[start + 1]
        guard first & 0x70 == 0, let opcode = WebSocketFrame.Opcode(rawValue: first & 0x0F) else {
            throw ClientError(.malformedAnswer, "the daemon sent a websocket frame of an unknown type")
        }
        guard second & 0x80 == 0 else {
            throw ClientError(.malformedAnswer, "the daemon sent a masked websocket frame")
        }
        let isFinal = first & 0x80 != 0
        if opcode.isControl && (!isFinal || second > 125) {
            throw ClientError(.malformedAnswer, "the daemon sent a websocket control frame that is too long or split")
        }
        var header = 2
        var length = UInt64(second)
        if second >= 126 {
            let width = second == 126 ? 2 : 8
            header += width
            guard bytes.count >= header else { return nil }
            length = bytes[(start + 2)..<(start + header)].reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard length <= payloadLimit else {
            throw ClientError(.malformedAnswer, "the daemon sent a websocket frame of \(length) bytes")
        }
        let total = header + Int(length)
        guard bytes.count >= total else { return nil }
        let payload = Array(bytes[(start + header)..<(start + total)])
        return (WebSocketFrame(isFinal: isFinal, opcode: opcode, payload: payload), total)
    }
}
