import DoorKit
import Hummingbird
import Logging
import Model
import NIOCore
import Testing

@Suite("A server that stops, and clients that are slow")
struct ShutdownTests {
    /// Set when the route that never answers was told that its client is gone.
    private let cancelled = Latch<Void>()

    /// Starts a server, lets `body` talk to it, cancels it when `body` returns, and gives what `after` finds then.
    private func stopping<Result: Sendable>(
        idle: Duration = .seconds(60), during body: @Sendable @escaping (String) async throws -> Result
    ) async throws -> Result {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        var configuration = HTTPService.Configuration()
        configuration.grace = .seconds(1)
        configuration.idleTimeout = idle
        let cancelled = cancelled
        let service = HTTPService(
            listener: try UnixListener.open(path: path), configuration: configuration, logger: Logger(label: "test"),
            badRequest: { _ in Response(status: .badRequest) },
            responder: { request, context in
                switch request.uri.path {
                case "/slow": try? await Task.sleep(for: .milliseconds(400))
                case "/never":
                    try? await Task.sleep(for: .seconds(1000))
                    cancelled.set(())
                case "/ws":
                    let answer = try? WebSocket.accept(request, context) { socket in
                        while try await socket.receive() != nil {}
                    }
                    return answer ?? Response(status: .badRequest)
                default: break
                }
                return Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: "ok")))
            })
        let running = Task { try await service.run() }
        let result = try await body(path)
        running.cancel()
        try await running.value
        return result
    }

    @Test("a request in progress is answered, an upgraded connection ends, new ones are refused")
    func graceful() async throws {
        let (slow, socket, path) = try await stopping { path in
            let slow = try RawClient(path)
            try await slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            let socket = try RawClient(path)
            _ = try await socket.upgrade("/ws")
            return (slow, socket, path)
        }
        #expect(try await slow.response().body == "ok")
        #expect(try await socket.rest() == "")
        #expect(throws: EngineError.self) { _ = try RawClient(path) }
    }

    @Test("a request that never ends does not hold the stop up for ever")
    func stuck() async throws {
        let start = ContinuousClock.now
        let client = try await stopping { path in
            let client = try RawClient(path)
            try await client.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
            try await Task.sleep(for: .milliseconds(100))
            return client
        }
        #expect(ContinuousClock.now - start < .seconds(20))
        #expect(try await client.rest() == "")
    }

    @Test("a head that drips in byte by byte is cut off")
    func drip() async throws {
        try await stopping(idle: .milliseconds(300)) { path in
            let client = try RawClient(path)
            let bytes = Array("GET /hello HTTP/1.1\r\nX-Slow: \(String(repeating: "z", count: 60))".utf8)
            var cut = false
            for byte in bytes where !cut {
                do { try await client.send([byte]) } catch { cut = true }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(cut)
        }
    }

    @Test("forty clients at once")
    func many() async throws {
        try await stopping { path in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<40 {
                    group.addTask {
                        let client = try RawClient(path)
                        for _ in 0..<5 {
                            try await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                            #expect(try await client.response().body == "ok")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("a client that goes in the middle of a request harms nobody")
    func vanishing() async throws {
        try await stopping { path in
            for request in ["GET", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", "GET /never HTTP/1.1\r\n\r\n"] {
                let client = try RawClient(path)
                try await client.send(request)
                client.descriptor.close()
            }
            let client = try RawClient(path)
            try await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await client.response().body == "ok")
            #expect(await cancelled.wait() != nil)
        }
    }
}
