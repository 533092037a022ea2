import Glibc
import Synchronization
import Testing
import WireTypes

@testable import Client

@Suite struct OperationTests {
    private func running(_ id: String) -> API.Operation {
        var operation = API.Operation()
        operation.id = id
        operation.statusCode = 103
        return operation
    }

    @Test func waitsForTheEnd() throws {
        let done = try withDaemon({ peer in
            while true {
                let request = try peer.request()
                #expect(request.target == "/1.0/operations/o1/wait?timeout=-1")
                usleep(20_000)
                try peer.sync(Peer.operation("o1", 200, #"{"fingerprint":"abc"}"#))
            }
        }) { try $0.wait(for: self.running("o1")) }
        #expect(done.metadata?["fingerprint"] == "abc")
    }

    @Test func aFailureIsThrownWithItsSentenceAndStatus() throws {
        let error = try withDaemon({ peer in
            _ = try peer.request()
            try peer.sync(Peer.operation("o1", 400, err: "no space", more: #","error_code":507"#))
        }) { client in clientError { try client.wait(for: self.running("o1")) } }
        #expect(error == ClientError(.refused(status: 507), "no space"))
    }

    @Test func showsProgressMeanwhile() throws {
        var seen: [String] = []
        let step = Mutex(0)
        _ = try withDaemon({ peer in
            while true {
                let request = try peer.request()
                if request.target.contains("/wait") {
                    while step.withLock({ $0 }) < 3 { usleep(5000) }
                    try peer.sync(Peer.operation("o1", 200))
                } else {
                    let now = step.withLock {
                        $0 += 1
                        return $0
                    }
                    try peer.sync(Peer.operation("o1", 103, #"{"progress":{"stage":"pull","percent":"\#(now)0"}}"#))
                }
            }
        }) { client in
            try client.wait(
                for: running("o1"),
                progress: { operation in
                    seen.append(operation.metadata?["progress"]?["percent"]?.stringValue ?? "?")
                })
        }
        #expect(seen.prefix(3) == ["10", "20", "30"])
    }

    @Test func aSyncAnswerIsAnOperationThatHasEnded() throws {
        let operation = try withDaemon({ peer in
            _ = try peer.request()
            try peer.sync(#"{"a":1}"#)
        }) { client in
            let operation = try client.start("PUT", Endpoint(["x"]), API.Empty())
            return try client.wait(for: operation)
        }
        #expect(operation.metadata?["a"] == 1)
    }

    @Test func anEventStreamGivesMessages() throws {
        var seen: [String] = []
        try withDaemon({ peer in
            let request = try peer.request()
            #expect(request.target == "/1.0/events?type=lifecycle%2Coperation")
            try peer.acceptWebSocket(request)
            try peer.sendFrame(.text, Array("one".utf8))
            try peer.sendFrame(.text, Array("two".utf8))
            try peer.sendFrame(.close)
            _ = try? peer.readFrame()
        }) { client in
            try client.events(types: ["lifecycle", "operation"]) { seen.append(String(decoding: $0, as: UTF8.self)) }
        }
        #expect(seen == ["one", "two"])
    }
}

@Suite struct DetachKeysTests {
    private func pass(_ keys: DetachKeys, _ pieces: [[UInt8]]) -> (bytes: [UInt8], detach: Bool) {
        var keys = keys
        var out: [UInt8] = []
        for piece in pieces {
            let (bytes, detach) = keys.pass(piece)
            out += bytes
            if detach { return (out, true) }
        }
        return (out, false)
    }

    @Test func theSequenceDetachesInOnePieceAndInTwo() {
        #expect(pass(.docker, [[0x61, 0x10, 0x11, 0x62]]) == ([0x61], true))
        #expect(pass(.docker, [[0x10], [0x11]]) == ([], true))
    }

    @Test func whatOnlyBeginsLikeItComesThrough() {
        #expect(pass(.docker, [[0x10, 0x62]]) == ([0x10, 0x62], false))
        #expect(pass(.docker, [[0x10, 0x10, 0x11]]) == ([0x10], true))
        #expect(pass(.docker, [[0x11, 0x10]]) == ([0x11], false))
    }

    @Test func readsKeysAsDockerWritesThem() {
        #expect(DetachKeys("ctrl-p,ctrl-q") == .docker)
        #expect(DetachKeys("ctrl-a,q") == .console)
        #expect(DetachKeys("ctrl-[") != nil)
        for text in ["", "ctrl-", "ctrl-pp", "a,,b", "f1"] { #expect(DetachKeys(text) == nil, "\(text)") }
    }
}
