import DoorKit
import Glibc
import HTTPTypes
import Hummingbird
import LinuxHost
import Logging
import Model
import NIOCore
import Synchronization
import Testing

/// Runs a server with a few routes while `body` talks to it.
private func withServer(
    _ configuration: HTTPService.Configuration = .init(),
    _ body: @Sendable @escaping (String) async throws -> Void
) async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s"
    let service = HTTPService(
        listener: try UnixListener.open(path: path), configuration: configuration, logger: Logger(label: "test"),
        badRequest: { Response(status: .badRequest, body: .init(byteBuffer: ByteBuffer(string: "bad: \($0)"))) },
        responder: { request, context in await route(request, context) })
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await service.run() }
        defer { group.cancelAll() }
        try await body(path)
    }
}

@Sendable private func route(_ request: Request, _ context: DoorContext) async -> Response {
    func text(_ text: String) -> Response { Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: text))) }
    do {
        switch request.uri.path {
        case "/hello": return text("hello")
        case "/uid": return text(context.peer.credentials.map { "\($0.user)/\($0.process)" } ?? "nobody")
        case "/echo": return text(String(buffer: try await request.body.collect(upTo: 1 << 20)))
        case "/stream":
            return Response(
                status: .ok,
                body: ResponseBody { writer in
                    for index in 0..<3 { try await writer.write(ByteBuffer(string: "\(index);")) }
                    try await writer.finish(nil)
                })
        case "/raw":
            let greeting = String(buffer: try await request.body.collect(upTo: 1024))
            context.upgrade.put { stream in
                try await stream.write(ByteBuffer(string: "<\(greeting)>"))
                while let bytes = try await stream.read() { try await stream.write(bytes) }
                try await stream.write(ByteBuffer(string: "end"))
            }
            return Response(status: .switchingProtocols, headers: [.connection: "Upgrade", .upgrade: "tcp"])
        case "/ws":
            return try WebSocket.accept(request, context) { socket in
                while let message = try await socket.receive() {
                    switch message {
                    case .binary(let bytes): try await socket.send(bytes)
                    case .text(let text): try await socket.send(text: text.uppercased())
                    }
                }
            }
        default: return Response(status: .notFound)
        }
    } catch let error as WebSocket.HandshakeError {
        return Response(status: .badRequest, body: .init(byteBuffer: ByteBuffer(string: error.message)))
    } catch {
        return Response(status: .internalServerError)
    }
}

@Suite("HTTP over a unix socket")
struct HTTPServiceTests {
    @Test("requests one after the other on one connection")
    func keepAlive() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            for _ in 0..<3 {
                try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
                let (head, body) = try await client.response()
                #expect(head.hasPrefix("HTTP/1.1 200 OK") && body == "hello")
            }
        }
    }

    @Test("requests sent without waiting are answered in order")
    func pipelined() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send(
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naGET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await client.response().body == "a")
            #expect(try await client.response().body == "hello")
        }
    }

    @Test("a HEAD has no body, an unread body is skipped, Expect is honoured")
    func bodies() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await client.head().contains("ontent-"))
            try await client.send("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345")
            #expect(try await client.response().body == "hello")
            try await client.send(
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await client.head().hasPrefix("HTTP/1.1 100"))
            try await client.send("ok")
            #expect(try await client.response().body == "ok")
        }
    }

    @Test("the end of a body that nobody wants is not waited for")
    func endlessBody() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
            try await client.send([UInt8](repeating: 65, count: 300_000))
            let (head, body) = try await client.response()
            #expect(head.lowercased().contains("connection: close") && body == "hello")
        }
    }

    @Test("a body without length comes in chunks")
    func chunked() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let all = try await client.rest()
            #expect(all.contains("\r\n\r\n2\r\n0;\r\n2\r\n1;\r\n2\r\n2;\r\n0\r\n\r\n"))
        }
    }

    @Test(
        "what is not HTTP is refused and the server goes on",
        arguments: [
            "\u{16}\u{3}\u{1}garbage\r\n\r\n", "GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n",
        ])
    func garbage(_ bytes: String) async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send(bytes)
            let all = try await client.rest()
            #expect(all.hasPrefix("HTTP/1.1 400") && all.contains("bad: "))
            let next = try RawClient(path)
            try await next.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await next.response().body == "hello")
        }
    }

    @Test("a client that says nothing is shown out")
    func idle() async throws {
        var configuration = HTTPService.Configuration()
        configuration.idleTimeout = .milliseconds(200)
        try await withServer(configuration) { path in
            let client = try RawClient(path)
            try await client.send("GET /hel")
            #expect(try await client.rest() == "")
        }
    }

    @Test("the peer is known by its credentials")
    func credentials() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send("GET /uid HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await client.response().body == "\(getuid())/\(getpid())")
        }
    }

    @Test("no more connections than the limit are served, the others wait")
    func connectionLimit() async throws {
        var configuration = HTTPService.Configuration()
        configuration.connections = 2
        try await withServer(configuration) { path in
            var clients: [RawClient] = []
            for _ in 0..<6 { clients.append(try RawClient(path)) }
            for client in clients {
                try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            }
            for client in clients {
                #expect(try await client.response().body == "hello")
                client.descriptor.close()
            }
        }
    }
}

@Suite("Connections that leave HTTP")
struct UpgradeTests {
    @Test("raw bytes both ways after a POST with a body, with half-closure")
    func raw() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send(
                "POST /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\nhi")
            #expect(try await client.head().hasPrefix("HTTP/1.1 101"))
            try await client.send("early ")
            try await client.send("late")
            #expect(try await client.read(exactly: 14) == Array("<hi>early late".utf8))
            client.shutdownOutput()
            #expect(try await client.rest() == "end")
        }
    }

    @Test("bytes sent before the answer are not lost")
    func early() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send(
                "POST /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\nearly"
            )
            #expect(try await client.head().hasPrefix("HTTP/1.1 101"))
            #expect(try await client.read(exactly: 7) == Array("<>early".utf8))
        }
    }

    @Test("50 MiB there and back")
    func bulk() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            #expect(try await client.upgrade("/ws").hasPrefix("HTTP/1.1 101"))
            let payload = [UInt8]((0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for _ in 0..<50 { try await client.sendFrame(2, payload) } }
                var received = 0
                while received < 50 << 20 {
                    let (opcode, bytes) = try await client.receiveFrame()
                    #expect(opcode == 2)
                    for (index, byte) in bytes.prefix(16).enumerated()
                    where byte != payload[(received + index) & 0xfffff] {
                        Issue.record("byte \(received + index) is wrong")
                    }
                    received += bytes.count
                }
                #expect(received == 50 << 20)
                try await group.waitForAll()
            }
        }
    }

    @Test("text, ping and close")
    func messages() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            let head = try await client.upgrade("/ws")
            #expect(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
            try await client.sendFrame(1, Array("he".utf8), final: false)
            try await client.sendFrame(9, Array("p".utf8))
            try await client.sendFrame(0, Array("llo".utf8))
            var frame = try await client.receiveFrame()
            #expect(frame == (10, Array("p".utf8)))
            frame = try await client.receiveFrame()
            #expect(frame == (1, Array("HELLO".utf8)))
            try await client.sendFrame(8, [3, 232])
            frame = try await client.receiveFrame()
            #expect(frame == (8, [3, 232]))
            #expect(try await client.rest() == "")
        }
    }

    @Test("a client that breaks the protocol is told and shown out")
    func violation() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            _ = try await client.upgrade("/ws")
            try await client.send([0x81, 0x01, 65])
            let frame = try await client.receiveFrame()
            #expect(frame.opcode == 8 && frame.payload.prefix(2) == [0x03, 0xea])
            #expect(try await client.rest() == "")
        }
    }

    @Test("a plain request to a websocket is a 400, and the connection closes after a refused upgrade")
    func refused() async throws {
        try await withServer { path in
            let client = try RawClient(path)
            try await client.send("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await client.response().head.hasPrefix("HTTP/1.1 400"))
            try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            #expect(try await client.rest().lowercased().contains("connection: close"))
        }
    }
}
