import Testing

@testable import Client

@Suite struct WebSocketFrameTests {
    @Test func theAcceptValueIsThatOfTheStandard() {
        // RFC 6455, section 1.3.
        #expect(WebSocketHandshake.accept(for: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (String(repeating: "a", count: 1000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
    ])
    func sha1(_ text: String, _ digest: String) {
        let hex = SHA1.digest(Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(hex == digest)
    }

    @Test func framesAreMaskedAsTheStandardShows() {
        // RFC 6455, section 5.7: a masked "Hello".
        let frame = WebSocketFrame(opcode: .text, payload: Array("Hello".utf8))
        #expect(
            frame.encoded(mask: 0x37fa_213d) == [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
    }

    @Test(arguments: [0, 1, 125, 126, 65535, 65536, 100_000])
    func lengthsAreWrittenInTheShortestForm(_ count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        var bytes = WebSocketFrame(opcode: .binary, payload: payload).encoded(mask: 0)
        #expect(bytes.count == count + (count < 126 ? 6 : count < 65536 ? 8 : 14))
        // A mask of zeros leaves the payload; without mask bit and mask it is a server's frame.
        bytes[1] &= 0x7F
        let header = bytes.count - count - 4
        bytes.removeSubrange(header..<(header + 4))
        let (frame, length) = try #require(try WebSocketFrameParser.parse(bytes[...]))
        #expect(length == bytes.count)
        #expect(frame == WebSocketFrame(opcode: .binary, payload: payload))
        // Nothing shorter is a whole frame.
        for cut in [0, 1, header - 1, bytes.count - 1] where cut >= 0 && cut < bytes.count {
            let none = try WebSocketFrameParser.parse(bytes[..<cut])
            #expect(none == nil)
        }
    }

    @Test(
        arguments: [
            [0x83, 0x00],  // unknown type
            [0xC1, 0x00],  // reserved bit
            [0x81, 0x80, 0, 0, 0, 0],  // masked by a server
            [0x09, 0x00],  // split ping
            [0x88, 126, 0, 126],  // close of more than 125 bytes
            [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],  // 2^63 bytes
            [0x82, 127, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF],  // 4 GiB
        ] as [[UInt8]])
    func refusesWhatTheStandardForbids(_ bytes: [UInt8]) {
        #expect(throws: ClientError.self) { try WebSocketFrameParser.parse(bytes[...]) }
    }
}

@Suite struct WebSocketTests {
    private func connected(
        _ server: @escaping @Sendable (Peer) throws -> Void, _ body: (WebSocket) throws -> Void
    ) throws {
        try withDaemon({ peer in
            let request = try peer.request()
            try peer.acceptWebSocket(request)
            try server(peer)
        }) { try body($0.webSocket(Endpoint(["events"]))) }
    }

    @Test func joinsFragmentsAndAnswersPingsBetweenThem() throws {
        try connected({ peer in
            try peer.sendFrame(.text, Array("Hel".utf8), isFinal: false)
            try peer.sendFrame(.ping, [1, 2, 3])
            try peer.sendFrame(.continuation, Array("lo".utf8))
            let pong = try peer.readFrame()
            #expect(pong == WebSocketFrame(opcode: .pong, payload: [1, 2, 3]))
            try peer.sendFrame(.text, Array("end".utf8))
            try peer.sendFrame(.close, [0x03, 0xE8])
            let last = try peer.readFrame()
            #expect(last.opcode == .close)
        }) { socket in
            let deadline = Deadline(seconds: 60)
            let messages = [
                try socket.nextMessage(deadline), try socket.nextMessage(deadline), try socket.nextMessage(deadline),
            ]
            #expect(messages == [Array("Hello".utf8), Array("end".utf8), nil])
        }
    }

    @Test func takesFramesThatCameWithTheHandshake() throws {
        try withDaemon({ peer in
            let request = try peer.request()
            let accept = WebSocketHandshake.accept(for: request.headers["sec-websocket-key"] ?? "")
            try peer.write(
                Array("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n".utf8) + [0x81, 0x02, 0x68, 0x69])
            _ = try? peer.readFrame()
        }) { client in
            let socket = try client.webSocket(Endpoint(["events"]))
            let message = try socket.nextMessage(Deadline(seconds: 5))
            #expect(message == Array("hi".utf8))
        }
    }

    @Test func aWrongProofIsRefused() throws {
        let error = try withDaemon({ peer in
            _ = try peer.request()
            try peer.write("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: nonsense\r\n\r\n")
        }) { client in clientError { _ = try client.webSocket(Endpoint(["events"])) } }
        #expect(error?.kind == .malformedAnswer)
    }

    @Test func aRefusedUpgradeShowsTheAnswer() throws {
        let error = try withDaemon({ peer in
            _ = try peer.request()
            try peer.answer(403, #"{"type":"error","error":"wrong secret","error_code":403}"#)
        }) { client in clientError { _ = try client.webSocket(Endpoint(["events"])) } }
        #expect(error == ClientError(.refused(status: 403), "wrong secret"))
    }

    @Test func aContinuationOfNothingIsRefused() throws {
        try connected({ peer in
            try peer.sendFrame(.continuation, [1])
            _ = try? peer.readFrame()
        }) { socket in #expect(throws: ClientError.self) { try socket.nextMessage(Deadline(seconds: 5)) } }
    }
}
