import Glibc
import Synchronization
import Testing
import WireTypes

@testable import Client

/// A client that talks to `script`, and the server's end.
func withDaemon<Result>(
    _ script: @escaping FakeDaemon.Script, _ body: (IsleClient) throws -> Result
) throws -> Result {
    let daemon = try FakeDaemon(script)
    defer { daemon.stop() }
    let client = IsleClient(socketPath: daemon.path)
    client.answerTimeout = 10
    return try body(client)
}

/// The ClientError that `body` throws.
func clientError(_ body: () throws -> Void) -> ClientError? {
    do {
        try body()
        return nil
    } catch {
        if !(error is ClientError) { Issue.record("\(error)") }
        return error as? ClientError
    }
}

@Suite struct HTTPTests {
    @Test func readsALengthBody() throws {
        let names = try withDaemon({ peer in
            let request = try peer.request()
            try peer.sync(#"["\#(request.method)","\#(request.target)","\#(request.headers["host"] ?? "")"]"#)
        }) { try $0.get([String].self, Endpoint(["instances"], query: [("recursion", "1"), ("no", nil)])) }
        #expect(names == ["GET", "/1.0/instances?recursion=1", "isle"])
    }

    @Test func readsChunksCutAnywhere() throws {
        let body = #"{"type":"sync","metadata":["α","β"]}"#
        let bytes = Array(body.utf8)
        for cut in 1..<bytes.count {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            let first = Array((String(cut, radix: 16) + ";name=value\r\n").utf8) + bytes[..<cut] + [13, 10]
            let second = Array((String(bytes.count - cut, radix: 16) + "\r\n").utf8) + bytes[cut...] + [13, 10]
            let all = Array(head.utf8) + first + second + Array("0\r\nTrailer: x\r\n\r\n".utf8)
            let names = try withDaemon({ peer in
                _ = try peer.request()
                // Two writes at a place that differs from the chunks' borders.
                let place = (cut * 7) % all.count
                try peer.write(Array(all[..<place]))
                try peer.write(Array(all[place...]))
            }) { try $0.get([String].self, Endpoint([])) }
            #expect(names == ["α", "β"])
        }
    }

    @Test func readsABodyThatTheEndOfTheConnectionEnds() throws {
        let names = try withDaemon({ peer in
            _ = try peer.request()
            try peer.write("HTTP/1.0 200 OK\r\n\r\n" + #"{"type":"sync","metadata":["x"]}"#)
        }) { try $0.get([String].self, Endpoint([])) }
        #expect(names == ["x"])
    }

    @Test func skipsInformationalAnswers() throws {
        let names = try withDaemon({ peer in
            _ = try peer.request()
            try peer.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
            try peer.sync(#"["x"]"#)
        }) { try $0.get([String].self, Endpoint([])) }
        #expect(names == ["x"])
    }

    @Test func keepsOneConnectionForManyRequests() throws {
        let connections = Mutex(0)
        let counts = try withDaemon({ peer in
            connections.withLock { $0 += 1 }
            var count = 0
            while true {
                _ = try peer.request()
                count += 1
                try peer.sync("[\(count)]")
            }
        }) { client in try (0..<3).map { _ in try client.get([Int].self, Endpoint([])) } }
        #expect(counts == [[1], [2], [3]])
        #expect(connections.withLock { $0 } == 1)
    }

    @Test func replacesAnIdleConnectionThatTheDaemonClosed() throws {
        let count = try withDaemon({ peer in
            _ = try peer.request()
            try peer.sync("[1]")
            // Closed by the end of the script, as a daemon does with idle connections.
        }) { client in
            _ = try client.get([Int].self, Endpoint([]))
            usleep(50_000)
            return try client.get([Int].self, Endpoint([]))
        }
        #expect(count == [1])
    }

    @Test func doesNotRepeatWhatChangesSomething() throws {
        let error = try withDaemon({ peer in
            _ = try peer.request()
            try peer.sync("{}")
        }) { client in
            clientError {
                try client.send("POST", Endpoint(["profiles"]), API.Empty())
                usleep(50_000)
                try client.send("POST", Endpoint(["profiles"]), API.Empty())
            }
        }
        #expect(error?.kind == .connectionLost)
    }

    @Test func aBrokenBodyIsAnError() throws {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "",
        ] {
            let error = try withDaemon({ peer in
                _ = try peer.request()
                try peer.write(text)
            }) { client in clientError { _ = try client.get([Int].self, Endpoint([])) } }
            #expect(error?.kind == .connectionLost || error?.kind == .malformedAnswer, "\(text)")
        }
    }

    @Test func aSilentDaemonTimesOut() throws {
        let error = try withDaemon({ peer in
            _ = try peer.request()
            sleep(3)
        }) { client in
            client.answerTimeout = 0.2
            return clientError { _ = try client.get([Int].self, Endpoint([])) }
        }
        #expect(error?.kind == .timeout)
    }

    @Test func aMissingDaemonSaysHowToStartIt() {
        let client = IsleClient(socketPath: "/tmp/isle-client-test-nobody")
        let error = clientError { _ = try client.get([Int].self, Endpoint([])) }
        #expect(error?.kind == .daemonUnavailable)
        #expect(error?.message == "no isle daemon answers on /tmp/isle-client-test-nobody")
        #expect(error?.hint?.contains("isle daemon start") == true)
        let long = IsleClient(socketPath: String(repeating: "x", count: 200))
        #expect(clientError { _ = try long.get([Int].self, Endpoint([])) }?.kind == .daemonUnavailable)
    }

    @Test func uploadsInPieces() throws {
        for length in [nil, Int64(600_000)] {
            let size = Mutex(0)
            try withDaemon({ peer in
                let request = try peer.request()
                size.withLock { $0 = request.body.count }
                #expect(request.headers["x-lxd-filename"] == "a.wasm")
                #expect(request.body.allSatisfy { $0 == 7 })
                try peer.sync("{}")
            }) { client in
                var left = 6
                let body = HTTPRequest.Body.stream(length: length) {
                    left -= 1
                    return left < 0 ? nil : [UInt8](repeating: 7, count: 100_000)
                }
                _ = try client.upload(Endpoint(["images"]), headers: [("X-LXD-filename", "a.wasm")], body: body)
            }
            #expect(size.withLock { $0 } == 600_000)
        }
    }

    @Test func aRefusedUploadShowsTheAnswer() throws {
        let error = try withDaemon({ peer in
            _ = try peer.take(200)
            try peer.answer(400, #"{"type":"error","error":"too large","error_code":400}"#)
            shutdown(peer.descriptor, Int32(SHUT_RD))
            usleep(300_000)
        }) { client in
            clientError {
                var left = 400
                let body = HTTPRequest.Body.stream(length: nil) {
                    left -= 1
                    return left < 0 ? nil : [UInt8](repeating: 7, count: 100_000)
                }
                _ = try client.upload(Endpoint(["images"]), headers: [], body: body)
            }
        }
        #expect(error?.message == "too large")
    }

    @Test func streamsWhatComes() throws {
        var pieces = ""
        try withDaemon({ peer in
            let request = try peer.request()
            #expect(request.target == "/1.0/instances/a%2Fb/logs/output?follow=1&project=p")
            try peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            usleep(30_000)
            try peer.write("3\r\ntwo\r\n0\r\n\r\n")
        }) { daemon in
            let client = IsleClient(socketPath: daemon.socketPath, project: "p")
            try client.stream(Endpoint(["instances", "a/b", "logs", "output"], query: [("follow", "1")])) {
                pieces += String(decoding: $0, as: UTF8.self)
            }
        }
        #expect(pieces == "onetwo")
    }

    @Test func encodesPathsSoThatNoneLeavesItsPlace() {
        #expect(
            Endpoint(["images", "docker.io/library/alpine:3"]).target == "/1.0/images/docker.io%2Flibrary%2Falpine%3A3")
        #expect(Endpoint(["instances", ".."]).target == "/1.0/instances/%2E%2E")
        #expect(Endpoint(["a b?&"], query: [("ä", "=&")]).target == "/1.0/a%20b%3F%26?%C3%A4=%3D%26")
    }
}
