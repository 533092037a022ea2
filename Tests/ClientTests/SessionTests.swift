import Glibc
import Model
import Synchronization
import Testing
import WireTypes

@testable import Client

/// A daemon with one session: what happens on each of its websockets, and how the operation ends.
private struct FakeSession: Sendable {
    var streams: [String: @Sendable (Peer) throws -> Void]
    /// Streams that the daemon does not know any more.
    var gone: Set<String> = []
    /// Answers the wait for the session's operation, after whatever it waits for itself.
    var outcome: @Sendable (Peer) throws -> Void = { try $0.sync(Peer.operation("s", 200, #"{"return":0}"#)) }

    func script(_ peer: Peer) throws {
        while true {
            let request = try peer.request()
            if request.path == "/1.0/operations/s/wait" { return try outcome(peer) }
            guard request.path == "/1.0/operations/s/websocket", let name = request.target.split(separator: "=").last
            else {
                return try peer.answer(404, #"{"type":"error","error":"what?","error_code":404}"#)
            }
            guard !gone.contains(String(name)) else {
                // The connection stays, and the client uses it again.
                try peer.answer(404, #"{"type":"error","error":"it has ended","error_code":404}"#)
                continue
            }
            try peer.acceptWebSocket(request)
            try streams[String(name)]?(peer)
            try peer.sendFrame(.close)
            // Until the client has closed too.
            while try peer.readFrame().opcode != .close {}
            return
        }
    }

    var operation: API.Operation {
        var operation = API.Operation()
        operation.id = "s"
        operation.statusCode = 103
        operation.metadata = [
            "fds": .object(Dictionary(streams.keys.map { ($0, .string($0)) }, uniquingKeysWith: { $1 }))
        ]
        return operation
    }
}

private func makePipe() -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    return (ends[0], ends[1])
}

@Suite struct SessionTests {
    private struct Result {
        var end: Session.End
        var output: [UInt8]
        var error: [UInt8]
    }

    private func run(
        _ fake: FakeSession, input: [UInt8]? = nil, pause: UInt32 = 0,
        _ change: (inout Session.Options) -> Void = { _ in }
    ) throws -> Result {
        let (output, error, local) = (makePipe(), makePipe(), makePipe())
        if let input {
            Threads.run {
                _ = input.withUnsafeBytes { write(local.write, $0.baseAddress, $0.count) }; close(local.write)
            }
        }
        var options = Session.Options()
        options.input = input != nil
        options.descriptors = (local.read, output.write, error.write)
        change(&options)
        let (out, err) = (Collector(output.read, pause: pause), Collector(error.read))
        let end: Session.End
        do {
            end = try withDaemon(fake.script) { try Session($0, fake.operation, options).run() }
        } catch {
            for descriptor in [output.write, options.descriptors.error, local.read] { close(descriptor) }
            throw error
        }
        for descriptor in [output.write, error.write, local.read] { close(descriptor) }
        return Result(end: end, output: out.all(), error: err.all())
    }

    @Test func bothStreamsAndTheExitCode() throws {
        let result = try run(
            FakeSession(
                streams: [
                    "0": { _ = try $0.readFrame() },
                    "1": {
                        try $0.sendFrame(.binary, Array("out".utf8))
                        try $0.sendFrame(.text)
                    },
                    "2": { try $0.sendFrame(.binary, Array("err".utf8)) },
                ],
                outcome: { try $0.sync(Peer.operation("s", 200, #"{"return":3}"#)) }))
        #expect(result.end == .exited(code: 3))
        #expect(result.output == Array("out".utf8) && result.error == Array("err".utf8))
    }

    @Test func aProgramMayEndBeforeTheControlStreamIsOpen() throws {
        let streams: [String: @Sendable (Peer) throws -> Void] = [
            "0": { _ = try $0.readFrame() }, "1": { try $0.sendFrame(.binary, Array("out".utf8)) }, "2": { _ in },
            "control": { _ in },
        ]
        let result = try run(FakeSession(streams: streams, gone: ["control"]))
        #expect(result.end == .exited(code: 0) && result.output == Array("out".utf8))
        // No other stream may be missing.
        #expect(throws: ClientError.self) { try run(FakeSession(streams: streams, gone: ["1"])) }
    }

    @Test func withoutInputTheProcessSeesItsEndAtOnce() throws {
        let first = Mutex<WebSocketFrame?>(nil)
        _ = try run(
            FakeSession(streams: [
                "0": { peer in
                    let frame = try peer.readFrame(); first.withLock { $0 = frame }
                }, "1": { _ in }, "2": { _ in },
            ]))
        #expect(first.withLock { $0 } == WebSocketFrame(opcode: .text, payload: []))
    }

    @Test func inputGoesThroughWholeAndEndsWithAnEmptyMessage() throws {
        let received = Mutex<[UInt8]>([])
        let input = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let finished = Mutex(false)
        let result = try run(
            FakeSession(
                streams: [
                    "0": { peer in
                        while true {
                            let frame = try peer.readFrame()
                            if frame.opcode == .text && frame.payload.isEmpty { break }
                            received.withLock { $0 += frame.payload }
                        }
                        finished.withLock { $0 = true }
                    },
                    "1": { _ in while !finished.withLock({ $0 }) { usleep(1000) } }, "2": { _ in },
                ],
                outcome: { peer in
                    while !finished.withLock({ $0 }) { usleep(1000) }
                    try peer.sync(Peer.operation("s", 200, #"{"return":0}"#))
                }), input: input)
        #expect(result.end == .exited(code: 0))
        #expect(received.withLock { $0 } == input)
    }

    @Test func muchOutputForASlowReaderIsNotCut() throws {
        let piece = (0..<40_000).map { UInt8(truncatingIfNeeded: $0) }
        let result = try run(
            FakeSession(streams: [
                "0": { _ in }, "1": { peer in for _ in 0..<250 { try peer.sendFrame(.binary, piece) } }, "2": { _ in },
            ]), pause: 300)
        #expect(result.output.count == 10_000_000)
        #expect(result.output.suffix(40_000).elementsEqual(piece))
    }

    @Test func aReaderThatGoesEndsItsStreamOnly() throws {
        let gone = makePipe()
        close(gone.read)
        signal(SIGPIPE, SIG_IGN)
        let result = try run(
            FakeSession(
                streams: [
                    "0": { _ in },
                    "1": { peer in
                        while (try? peer.sendFrame(.binary, [UInt8](repeating: 65, count: 1000))) != nil { usleep(100) }
                    },
                    "2": { peer in
                        usleep(100_000)
                        try peer.sendFrame(.binary, Array("still".utf8))
                    },
                ],
                outcome: { peer in
                    usleep(150_000)
                    try peer.sync(Peer.operation("s", 200, #"{"return":141}"#))
                })
        ) { $0.descriptors.output = gone.write }
        close(gone.write)
        #expect(result.end == .exited(code: 141))
        #expect(result.error == Array("still".utf8))
    }

    @Test func aStreamThatSomebodyElseHoldsOpenDoesNotKeepUs() throws {
        let result = try run(
            FakeSession(streams: [
                "0": { _ in },
                "1": { peer in
                    try peer.sendFrame(.binary, Array("x".utf8))
                    sleep(20)
                }, "2": { _ in },
            ]))
        #expect(result.end == .exited(code: 0))
        #expect(result.output == Array("x".utf8))
    }

    @Test func aProgramThatCannotBeRunIsAnError() throws {
        let error = clientError {
            _ = try run(
                FakeSession(
                    streams: [
                        "0": { _ in usleep(50_000) }, "1": { _ in usleep(50_000) }, "2": { _ in usleep(50_000) },
                    ],
                    outcome: {
                        try $0.sync(Peer.operation("s", 400, err: "no such program", more: #","error_code":404"#))
                    }))
        }
        #expect(error == ClientError(.refused(status: 404), "no such program"))
    }

    @Test func aDaemonThatDiesIsNoticed() throws {
        let error = clientError {
            _ = try run(
                FakeSession(streams: ["0": { _ in }, "1": { _ in usleep(20_000) }, "2": { _ in }], outcome: { _ in }))
        }
        #expect(error?.kind == .connectionLost)
    }

    @Test func signalsGoToTheProcess() throws {
        let frames = Mutex<[WebSocketFrame]>([])
        let us = pthread_self()
        _ = try run(
            FakeSession(
                streams: [
                    "0": { _ in }, "1": { _ in usleep(200_000) }, "2": { _ in },
                    "control": { peer in
                        usleep(50_000)
                        pthread_kill(us, SIGTERM)
                        let frame = try peer.readFrame()
                        frames.withLock { $0.append(frame) }
                    },
                ],
                outcome: { peer in
                    usleep(200_000)
                    try peer.sync(Peer.operation("s", 200, #"{"return":143}"#))
                }))
        let frame = try #require(frames.withLock { $0.first })
        let message = try JSON.decode(API.SessionControl.self, from: frame.payload)
        #expect(frame.opcode == .text && message.command == "signal" && message.signal == SIGTERM)
    }
}
