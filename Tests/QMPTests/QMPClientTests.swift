import LinuxHost
import Model
import Testing

@testable import QMP

@Suite(.timeLimit(.minutes(1)))
struct QMPClientTests {
    /// A client that is connected to a fake, and the fake's end.
    private func connected() async throws -> (QMPClient, UnixStream, FakePeer) {
        let fake = try FakePeer()
        async let client = QMPClient.connect(fake.path)
        let peer = try await fake.accept()
        try await peer.greet()
        return (try await client, peer, fake)
    }

    @Test func answersFindTheirCommands() async throws {
        let (client, peer, fake) = try await connected()
        async let first = client.execute("query-status")
        let one = try await peer.hear()
        async let second = client.execute("query-name", ["x": .integer(1)])
        let two = try await peer.hear()
        #expect(one == #"{"execute":"query-status","id":2}"#)
        #expect(two == #"{"arguments":{"x":1},"execute":"query-name","id":3}"#)
        peer.say(#"{"return": {"name": "b"}, "id": 3}"#)
        peer.say(#"{"return": {"status": "running"}, "id": 2}"#)
        #expect(try await first["status"]?.text == "running")
        #expect(try await second["name"]?.text == "b")
        withExtendedLifetime(fake) {}
    }

    @Test func errorsKeepQEMUsWords() async throws {
        let (client, peer, fake) = try await connected()
        let answer = Task { try await client.execute("nonsense") }
        _ = try await peer.hear()
        peer.say(
            #"{"id": 2, "error": {"class": "CommandNotFound", "desc": "The command nonsense has not been found"}}"#)
        let error = await #expect(throws: EngineError.self) { try await answer.value }
        #expect(error?.code == .notFound)
        #expect(error?.message.contains("nonsense has not been found") == true)
        withExtendedLifetime(fake) {}
    }

    @Test func eventsArriveBetweenAnswers() async throws {
        let (client, peer, fake) = try await connected()
        let answer = Task { try await client.execute("stop") }
        _ = try await peer.hear()
        peer.say(#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}"#)
        peer.say(#"{"return": {}, "id": 2}"#)
        peer.say(#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#)
        _ = try await answer.value
        peer.close()
        var names: [String] = []
        for await event in client.events { names.append(event.name) }
        #expect(names == ["STOP", "SHUTDOWN"])
        withExtendedLifetime(fake) {}
    }

    @Test(arguments: [
        "not json", #"{"unknown": 1}"#, "[1,2,3]", #"{"return": "#, String(repeating: "[", count: 5000),
    ])
    func garbageEndsTheConnectionWithAnError(_ line: String) async throws {
        let (client, peer, fake) = try await connected()
        let answer = Task { try await client.execute("query-status") }
        _ = try await peer.hear()
        peer.say(line)
        let error = await #expect(throws: EngineError.self) { try await answer.value }
        #expect(error?.code == .unavailable)
        await #expect(throws: EngineError.self) { try await client.execute("query-status") }
        withExtendedLifetime(fake) {}
    }

    @Test func endlessLineIsRefused() throws {
        var reader = LineReader(limit: 100)
        #expect(try reader.append(Array("ab\r\ncd".utf8)) == [Array("ab".utf8)])
        #expect(throws: EngineError.self) { try reader.append([UInt8](repeating: 65, count: 101)) }
    }

    @Test func vanishingPeerFailsWhatWaits() async throws {
        let (client, peer, fake) = try await connected()
        let answer = Task { try await client.execute("query-status") }
        _ = try await peer.hear()
        peer.close()
        let error = await #expect(throws: EngineError.self) { try await answer.value }
        #expect(error?.code == .unavailable)
        withExtendedLifetime(fake) {}
    }

    @Test func silenceTimesOut() async throws {
        let (client, peer, fake) = try await connected()
        let error = await #expect(throws: EngineError.self) {
            try await client.execute("query-status", timeout: .milliseconds(50))
        }
        #expect(error?.code == .timeout)
        withExtendedLifetime((fake, peer)) {}
    }

    @Test func nobodyThere() async throws {
        let error = await #expect(throws: EngineError.self) {
            try await QMPClient.connect("/nonexistent/socket", timeout: .milliseconds(20))
        }
        #expect(error?.code == .unavailable)
        await #expect(throws: EngineError.self) {
            try await UnixStream.connect("/" + String(repeating: "x", count: 200))
        }
    }

    @Test func muchDataFitsThroughASlowReader() async throws {
        let fake = try FakePeer()
        let stream = try await UnixStream.connect(fake.path)
        let peer = try await fake.accept()
        let sent = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0) }
        for start in stride(from: 0, to: sent.count, by: 100_000) {
            stream.send(Array(sent[start..<(start + 100_000)]))
        }
        var received: [UInt8] = []
        while received.count < sent.count {
            let bytes = try await peer.read()
            #expect(!bytes.isEmpty)
            received += bytes
        }
        #expect(received == sent)
        withExtendedLifetime(fake) {}
    }
}
