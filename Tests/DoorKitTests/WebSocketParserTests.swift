import NIOCore
import Testing

@testable import DoorKit

@Suite("Websocket frames")
struct WebSocketParserTests {
    private func events(_ bytes: [UInt8], pieces: Int) throws -> [WebSocketParser.Event] {
        var parser = WebSocketParser()
        var events: [WebSocketParser.Event] = []
        var pending = ByteBuffer()
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            pending.writeBytes(bytes[start..<min(start + pieces, bytes.count)])
            while let event = try parser.next(&pending) { events.append(event) }
        }
        return events
    }

    @Test("frames in pieces of any size", arguments: [1, 2, 3, 7, 1000])
    func pieces(_ size: Int) throws {
        let payload = [UInt8]((0..<300).map { UInt8(truncatingIfNeeded: $0) })
        let bytes =
            RawClient.frame(2, payload) + RawClient.frame(1, Array("héllo".utf8)) + RawClient.frame(9, [7])
            + RawClient.frame(2, []) + RawClient.frame(8, [3, 233])
        var binary: [UInt8] = []
        var others: [WebSocketParser.Event] = []
        for event in try events(bytes, pieces: size) {
            if case .binary(let piece) = event { binary += Array(buffer: piece) } else { others.append(event) }
        }
        #expect(binary == payload)
        #expect(others == [.text("héllo"), .ping(ByteBuffer(bytes: [7])), .close(1001)])
    }

    @Test("an empty text message is a message")
    func emptyText() throws { #expect(try events(RawClient.frame(1, []), pieces: 10) == [.text("")]) }

    @Test(
        "violations",
        arguments: [
            ([0xc1, 0x80, 0, 0, 0, 0], 1002), ([0x81, 0x01, 65], 1002), ([0x83, 0x80, 0, 0, 0, 0], 1002),
            ([0x80, 0x80, 0, 0, 0, 0], 1002), ([0x09, 0x80, 0, 0, 0, 0], 1002),
            ([0x89, 0xfe, 0, 126, 0, 0, 0, 0], 1002),
            ([0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1002),
            ([0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 1009), ([0x88, 0x81, 0, 0, 0, 0, 1], 1002),
            ([0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        ] as [([UInt8], UInt16)])
    func violations(_ bytes: [UInt8], _ code: UInt16) {
        let error = #expect(throws: WebSocketParser.Violation.self) { try events(bytes, pieces: 100) }
        #expect(error?.code == code)
    }

    @Test("random bytes never crash the parser")
    func fuzz() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in UInt8.random(in: 0...255) }
            _ = try? events(bytes, pieces: Int.random(in: 1...50))
        }
    }

    @Test("SHA-1 and base 64 of the standards")
    func digests() {
        #expect(
            SHA1.digest(Array("abc".utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(Base64.encode(SHA1.digest([])) == "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
        #expect(["f", "fo", "foo", ""].map { Base64.encode(Array($0.utf8)) } == ["Zg==", "Zm8=", "Zm9v", ""])
        let long = [UInt8](repeating: 97, count: 119)
        #expect(
            SHA1.digest(long).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                == "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56")
    }
}

@Suite("Looking at JSON before decoding")
struct JSONTextTests {
    private func check(_ text: String, depth: Int = 4) throws { try JSONText.check(Array(text.utf8), depth: depth) }

    @Test(
        "ordinary text passes",
        arguments: [
            "", "{}", #"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#, #"{"a":"b","b":"a"}"#, #"["a","a"]"#,
            #"{"a":"\"","b":"{[[[[[["}"#, "nonsense", #"{"unfinished"#, "]]]]}}",
        ])
    func passes(_ text: String) throws { try check(text) }

    @Test(
        "a key twice",
        arguments: [#"{"a":1,"a":2}"#, #"{"b":{"a":1,"x":[],"a":2}}"#, #"{"a":1,"\u0061":2}"#, #"{"é":1,"\u00e9":2}"#])
    func duplicates(_ text: String) { #expect(throws: JSONText.Violation.self) { try check(text) } }

    @Test("nested too deeply")
    func depth() throws {
        try check("[[[[]]]]")
        let error = #expect(throws: JSONText.Violation.self) { try check("[[[[[]]]]]") }
        #expect(error?.offset == 4)
        let bomb = String(repeating: "[", count: 1_000_000)
        #expect(throws: JSONText.Violation.self) { try check(bomb) }
    }
}
