import DoorKit
import DriverKit
import Engine
import Glibc
import HTTPTypes
import HummingbirdCore
import Model
import NIOCore
import Synchronization
import Testing
import WireTypes

@testable import RESTDoor

@Suite("Parts of the door")
struct PartsTests {
    @Test("every code of the engine has a status of its own kind")
    func statuses() {
        let statuses = Dictionary(
            EngineError.Code.allCases.map { ($0, $0.httpStatus.code) }, uniquingKeysWith: { $1 })
        #expect(statuses.values.allSatisfy { (400...599).contains($0) })
        #expect(statuses[.notFound] == 404 && statuses[.alreadyExists] == 409 && statuses[.conflict] == 400)
        #expect(statuses[.resourceExhausted] == 507 && statuses[.internal] == 500)
    }

    @Test("failures become answers with their sentence and the way out")
    func failures() {
        let error = EngineError(.notFound, "network 'x' does not exist", hint: "isle network list")
        #expect(Reply.failure(error).status == .notFound)
        #expect(Reply.failure(RequestError(.preconditionFailed, "changed")).status == .preconditionFailed)
        #expect(Reply.failure(CancellationError()).status == .serviceUnavailable)
        struct Unknown: Error {}
        #expect(Reply.failure(Unknown()).status == .internalServerError)
    }

    @Test(
        "percent decoding",
        arguments: [
            ("plain", "plain"), ("a%20b", "a b"), ("%2F%2f", "//"), ("%e2%82%ac", "€"), ("%", nil), ("%2", nil),
            ("%zz", nil), ("%ff", nil), ("", ""),
        ] as [(String, String?)])
    func percent(_ text: String, _ expected: String?) { #expect(text.removingURLPercentEncoding() == expected) }

    @Test(
        "names of uploaded files",
        arguments: [
            ("disk.vmdk", "disk.vmdk"), ("../../etc/passwd", "passwd"), ("-rf", "rf"), (".hidden", "hidden"),
            ("", "file"), ("///", "file"), ("a b;c$(d).tar", "abcd.tar"), ("é\n\0.ova", "ova"),
            (String(repeating: "x", count: 300) + ".qcow2", String(repeating: "x", count: 94) + ".qcow2"),
        ])
    func uploads(_ name: String, _ expected: String) { #expect(Spool.harmless(name) == expected) }

    @Test("marks change with what they mark")
    func etags() throws {
        var put = API.InstancePut()
        let first = try ETag.of(put)
        #expect(try ETag.of(put) == first)
        put.config = ["a": "1", "b": "2"]
        let second = try ETag.of(put)
        put.config = ["b": "2", "a": "1"]
        #expect(try ETag.of(put) == second && second != first)
    }

    @Test(
        "control messages",
        arguments: [
            (
                #"{"command":"window-resize","args":{"width":"80","height":"24"}}"#,
                .resize(TerminalSize(columns: 80, rows: 24))
            ),
            (#"{"command":"signal","signal":9}"#, .signal(9)),
            (#"{"command":"signal","signal":0}"#, nil), (#"{"command":"signal","signal":65}"#, nil),
            (#"{"command":"window-resize","args":{"width":"0","height":"24"}}"#, nil),
            (#"{"command":"window-resize","args":{"width":"70000","height":"24"}}"#, nil),
            (#"{"command":"dance"}"#, nil), ("", nil), ("[]", nil), (#"{"command":"signal","command":"signal"}"#, nil),
            (String(repeating: "[", count: 5000), nil),
        ] as [(String, SessionControlMessage?)])
    func control(_ text: String, _ expected: SessionControlMessage?) {
        #expect(SessionControlMessage(.text(text)) == expected)
        #expect(SessionControlMessage(.binary(ByteBuffer(string: text))) == expected)
    }

    @Test("filters on fields and config keys")
    func filters() throws {
        var instance = API.Instance()
        (instance.name, instance.status, instance.config) = ("web", "Running", ["user.role": "front"])
        func matches(_ text: String) throws -> Bool { try Filter(text).matches(instance) }
        #expect(try matches("name eq web and config.user.role eq front"))
        #expect(try matches("name ne db"))
        #expect(try matches(#"name eq "web""#))
        #expect(try !matches("not name eq web"))
        #expect(try !matches("unknown eq x"))
        #expect(try matches("name eq db or name eq web") && matches("name eq web or name eq db"))
        #expect(try !matches("name eq db or name eq web and status eq Stopped"))
        instance.config["user.role"] = "front end"
        #expect(try matches(#"config.user.role eq "front end" and name eq web"#))
        #expect(try Filter(nil).matches(instance))
        for text in ["name", "name eq", "name like x", "name eq x or", "name eq x and", #"name eq "x"#] {
            #expect(throws: EngineError.self) { try Filter(text) }
        }
    }

    @Test(
        "network settings", arguments: [["ipv4.nat": "maybe"], ["bridge.mtu": "12"], ["bridge.mtu": "x"], ["k": "v"]])
    func networks(_ config: [String: String]) {
        var post = API.NetworksPost()
        (post.name, post.config) = ("n", config)
        #expect(throws: EngineError.self) { try NetworkSpec(post) }
    }

    @Test("a session's secrets are long, different, and good once")
    func secrets() throws {
        let session = StreamSession(terminal: false, tie: .owned)
        #expect(Set(session.secrets.keys) == ["0", "1", "2", "control"])
        #expect(Set(session.secrets.values).count == 4)
        #expect(session.secrets.values.allSatisfy { $0.utf8.count == 64 })
        let secret = try #require(session.secrets["1"])
        #expect(session.claim(secret) == .output)
        #expect(session.claim(secret) == nil && session.claim("") == nil)
        #expect(Set(StreamSession(terminal: true, tie: .owned).secrets.keys) == ["0", "control"])
    }

    @Test("a session whose process cannot start fails with its error")
    func failedStart() async {
        let session = StreamSession(terminal: false, tie: .owned)
        await #expect(throws: EngineError.self) {
            try await session.run { throw EngineError(.notFound, "no program") }
        }
    }

    @Test("a session that is cancelled ends its process")
    func cancelled() async throws {
        let process = try FakeProcess(ProcessSpec(arguments: ["/bin/sleep", "1000"]), StdioOptions())
        let session = StreamSession(terminal: false, tie: .owned)
        let task = Task { try await session.run { SessionProcess(process) } }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await process.wait().code == 137)
    }
}
