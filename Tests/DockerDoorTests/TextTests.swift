import Engine
import Model
import NIOCore
import Testing

@testable import DockerDoor

@Suite struct JSONTests {
    @Test func valuesComeBackAsTheyWere() throws {
        let text = #"{"a":[1,-2.5,true,null,"x\n\"\\"],"b":{"c":"é😀"},"d":9007199254740993}"#
        #expect(try JSONParser.parse(text.utf8).text == text)
        #expect(try JSONParser.parse(#""\u00e9\ud83d\ude00""#.utf8) == .string("é😀"))
    }

    @Test(arguments: [
        "", "{", "[1,", "{\"a\"}", "{\"a\":1,}", "01", "+1", "1.", "nul", "\"\u{1}\"", "{\"a\":1,\"a\":2}", "1 2",
        "\"\\x\"",
        "\"\\ud83d\\u0041\"", "1e999", "--1",
    ])
    func whatIsNoJSONIsRefused(_ text: String) {
        #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(text.utf8) }
    }

    @Test func deepNestingAndWrongBytesAreRefused() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(deep.utf8) }
        #expect(throws: JSONParser.Failure.self) { try JSONParser.parse([0x22, 0xff, 0x22]) }
    }

    @Test func everyPrefixOfABodyIsRefusedInPeace() throws {
        let body = Array(#"{"Image":"busybox","HostConfig":{"Memory":1e3,"Binds":["/a:/b"]},"Tty":false}"#.utf8)
        for end in body.indices { #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(body[..<end]) } }
        #expect(try JSONParser.parse(body)["HostConfig"]["Binds"].elements == ["/a:/b"])
    }

    @Test func membersAreFoundRegardlessOfCase() throws {
        #expect(try JSONParser.parse(#"{"image":"a"}"#.utf8)["Image"] == "a")
        #expect(try JSONParser.parse(#"{"image":"a","Image":"b"}"#.utf8)["Image"] == "b")
    }

    @Test func fieldsSayWhatIsWrong() throws {
        let fields = try Fields(["HostConfig": ["Memory": "much"], "Cmd": "true", "Env": [1]])
        #expect(try fields.command("Cmd") == ["true"])
        let error = try #require(throws: EngineError.self) { try fields.object("HostConfig").integer("Memory") }
        #expect(error.message.contains("HostConfig.Memory"))
        #expect(throws: EngineError.self) { try fields.strings("Env") }
        #expect(throws: EngineError.self) { try Fields([1, 2]) }
    }
}

@Suite struct PathTests {
    private func match(_ pattern: String, _ path: String) -> [String: String]? {
        PathTable.match(
            pattern.split(separator: "/").map(String.init)[...], path.split(separator: "/").map(String.init)[...])
    }

    @Test func namesOfImagesMayHaveSlashes() {
        #expect(
            match("/images/*name/json", "/images/localhost:5000/team/app:1/json") == [
                "name": "localhost:5000/team/app:1"
            ])
        #expect(match("/images/*name/json", "/images/json") == nil)
        #expect(match("/images/*name", "/images/json/json") == ["name": "json/json"])
        #expect(match("/containers/:id/json", "/containers/web/json") == ["id": "web"])
        #expect(match("/containers/:id/json", "/containers/web/top") == nil)
        #expect(match("/info", "/info/more") == nil)
    }
}

@Suite struct NamingTests {
    @Test func idsFollowFromTheInstance() throws {
        let id = try #require(InstanceID("0123456789abcdef"))
        let full = ContainerID.full(id)
        #expect(full.utf8.count == 64 && full.hasPrefix("0123456789abcdef") && full == ContainerID.full(id))
        #expect(ContainerID.isHexadecimal(full) && ContainerID.short(id) == "0123456789ab")
        #expect(ContainerID.of(name: "a") != ContainerID.of(name: "b"))
    }

    @Test(arguments: [
        ("busybox", "docker.io/library/busybox:latest"), ("busybox:1", "docker.io/library/busybox:1"),
        ("team/app", "docker.io/team/app:latest"), ("localhost:5000/a", "localhost:5000/a:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"), ("ghcr.io/a/b:2", "ghcr.io/a/b:2"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
    ])
    func referencesAreMadeWhole(_ name: String, _ full: String) { #expect(ImageNames.full(name) == full) }

    @Test func namesArePutShortly() {
        #expect(ImageNames.familiar("docker.io/library/busybox:latest", among: []) == "busybox:latest")
        #expect(ImageNames.familiar("docker.io/a/b:1", among: []) == "a/b:1")
        #expect(ImageNames.familiar("localhost/busybox:latest", among: []) == "busybox:latest")
        let both: Set = ["localhost/busybox:latest", "docker.io/library/busybox:latest"]
        #expect(ImageNames.familiar("localhost/busybox:latest", among: both) == "localhost/busybox:latest")
        #expect(ImageNames.split("localhost:5000/a:1").name == "localhost:5000/a")
        #expect(ImageNames.split("localhost:5000/a").tag == nil)
    }

    @Test func patternsMatchNames() {
        #expect(ImageRoutes.matches("busy*", "busybox:latest"))
        #expect(ImageRoutes.matches("*/app", "team/app:1") && !ImageRoutes.matches("*", "team/app:1"))
        #expect(ImageRoutes.matches("busybox:l?test", "busybox:latest") && !ImageRoutes.matches("busy", "busybox:1"))
    }
}

@Suite struct FilterTests {
    @Test func bothFormsAreRead() throws {
        #expect(try Filters(#"{"label":["a=b"]}"#)["label"] == ["a=b"])
        #expect(try Filters(#"{"label":{"a=b":true,"c":false}}"#)["label"] == ["a=b"])
        #expect(throws: EngineError.self) { try Filters("[1]") }
        #expect(throws: EngineError.self) { try Filters(#"{"a":1}"#) }
        #expect(throws: EngineError.self) { try Filters(#"{"odd":["a"]}"#).allow(["label"]) }
    }

    @Test func labelsAllHaveToFit() throws {
        let filters = try Filters(#"{"label":["a=b","c"],"label!":["d"]}"#)
        #expect(filters.fits(labels: ["a": "b", "c": ""]))
        #expect(!filters.fits(labels: ["a": "b"]) && !filters.fits(labels: ["a": "b", "c": "", "d": "1"]))
    }

    @Test func timesAreRead() throws {
        #expect(try Filters.time("10.5", now: 100) == 10.5)
        #expect(try Filters.time("1m30s", now: 100) == 10)
        #expect(try Filters.time("1970-01-01T00:00:07Z", now: 100) == 7)
        #expect(throws: EngineError.self) { try Filters.time("soon", now: 0) }
    }
}

@Suite struct StreamTextTests {
    @Test func detachKeysAreFoundAcrossPieces() {
        var scanner = DetachScanner(keys: [16, 17])
        #expect(scanner.scan(ByteBuffer(bytes: [1, 16])) == (ByteBuffer(bytes: [1]), false))
        #expect(scanner.scan(ByteBuffer(bytes: [2, 16])) == (ByteBuffer(bytes: [16, 2]), false))
        #expect(scanner.scan(ByteBuffer(bytes: [17])).detached)
    }

    @Test func detachKeysAreRead() {
        #expect(DetachScanner.parse("ctrl-p,ctrl-q") == [16, 17])
        #expect(DetachScanner.parse("ctrl-@,a") == [0, 97])
        #expect(DetachScanner.parse("ctrl-1") == nil && DetachScanner.parse("") == nil)
    }

    @Test func framesTellTheStreamAndTheLength() {
        #expect(OutputFrame.head(2, length: 258) == ByteBuffer(bytes: [2, 0, 0, 0, 0, 0, 1, 2]))
    }

    @Test func spansAndSizesAreInDockersWords() {
        #expect(ContainerFacts.span(0.2) == "Less than a second" && ContainerFacts.span(59) == "59 seconds")
        #expect(ContainerFacts.span(61) == "About a minute" && ContainerFacts.span(3 * 3600) == "3 hours")
        #expect(ProgressMessages.size(1500) == "1.5kB" && ProgressMessages.size(12) == "12B")
    }
}
