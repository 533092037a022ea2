import Testing
import WireTypes

@Suite("Instances over the API")
struct InstanceRouteTests {
    @Test("create, look, change, rename, delete")
    func life() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web", config: ["user.a": "1"], start: false)
            var answer = try await door.call("GET", "/1.0/instances/web")
            #expect(answer.status == 200)
            #expect(answer.metadata["status"] == "Stopped" && answer.metadata["status_code"] == 102)
            #expect(answer.metadata["type"] == "container" && answer.metadata["kind"] == "application")
            #expect(answer.metadata["config"]?["volatile.base_image"]?.stringValue?.count == 64)

            answer = try await door.call("GET", "/1.0/instances?recursion=1")
            #expect(answer.metadata.arrayValue?.count == 1)
            answer = try await door.call("GET", "/1.0/instances?recursion=1&summary=1")
            let summary = try #require(answer.metadata.arrayValue?.first?.objectValue)
            #expect(summary["name"] == "web" && summary["kind"] == "application" && summary["config"] == nil)
            answer = try await door.call("GET", "/1.0/instances")
            #expect(answer.metadata == ["/1.0/instances/web"])

            answer = try await door.call("PATCH", "/1.0/instances/web", ["config": ["user.b": "2", "user.a": ""]])
            #expect(answer.status == 200, "\(answer.error)")
            answer = try await door.call("GET", "/1.0/instances/web")
            #expect(answer.metadata["config"]?["user.a"] == nil && answer.metadata["config"]?["user.b"] == "2")

            // What GET shows, PUT takes back.
            let put = try await door.work("PUT", "/1.0/instances/web", answer.metadata)
            #expect(put.status == "Success", "\(put.err)")

            #expect(try await door.work("POST", "/1.0/instances/web", ["name": "www"]).status == "Success")
            #expect(try await door.names() == ["www"])
            #expect(try await door.work("DELETE", "/1.0/instances/www").status == "Success")
            #expect(try await door.names() == [])
        }
    }

    @Test("start, state, stop, kill, wait")
    func running() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            var answer = try await door.call("GET", "/1.0/instances/web/state")
            #expect(answer.metadata["status"] == "Running" && (answer.metadata["pid"]?.intValue ?? 0) > 0)
            let kill = try await door.work("PUT", "/1.0/instances/web/state", ["action": "kill", "signal": "TERM"])
            #expect(kill.status == "Success")
            answer = try await door.call("GET", "/1.0/instances/web/wait?timeout=10")
            #expect(answer.status == 200 && answer.metadata["exit_code"] == 143, "\(answer.body)")
            #expect(try await door.work("PUT", "/1.0/instances/web/state", ["action": "start"]).status == "Success")
            #expect(
                try await door.work("PUT", "/1.0/instances/web/state", ["action": "stop", "force": true]).status
                    == "Success")
            answer = try await door.call("GET", "/1.0/instances/web")
            #expect(answer.metadata["status"] == "Stopped" && answer.metadata["exit"]?["exit_code"] == 137)
        }
    }

    @Test("a change is refused when the thing was changed meanwhile")
    func etag() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web", start: false)
            let etag = try #require(try await door.call("GET", "/1.0/instances/web").etag)
            var answer = try await door.call(
                "PATCH", "/1.0/instances/web", ["description": "new"], headers: ["If-Match: \(etag)"])
            #expect(answer.status == 200)
            answer = try await door.call(
                "PATCH", "/1.0/instances/web", ["description": "newer"], headers: ["If-Match: \(etag)"])
            #expect(answer.status == 412)
            #expect(try await door.call("GET", "/1.0/instances/web").metadata["description"] == "new")
        }
    }

    @Test("filters")
    func filters() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("a", start: false)
            try await door.create("b")
            func names(_ query: String) async throws -> JSONValue {
                try await door.call("GET", "/1.0/instances?\(query)").metadata
            }
            #expect(try await names("filter=status%20eq%20running") == ["/1.0/instances/b"])
            #expect(try await names("filter=name+eq+a+and+type+eq+container") == ["/1.0/instances/a"])
            #expect(try await names("filter=not+name+eq+a") == ["/1.0/instances/b"])
            #expect(try await names("instance-type=virtual-machine") == [])
            #expect(try await door.call("GET", "/1.0/instances?filter=nonsense").status == 400)
        }
    }

    @Test(
        "refusals name the thing and have LXD's shape",
        arguments: [
            ("GET", "/1.0/instances/none", nil, 404), ("GET", "/1.0/nothing", nil, 404), ("GET", "/nothing", nil, 404),
            ("PATCH", "/1.0/operations", nil, 405), ("DELETE", "/1.0", nil, 405),
            ("POST", "/1.0/instances", ["name": "-x", "source": ["alias": "alpine"]], 400),
            ("POST", "/1.0/instances", ["name": 7], 400), ("POST", "/1.0/instances", ["name": "x"], 400),
            ("POST", "/1.0/instances", ["name": "x", "kind": "toaster", "source": ["alias": "a"]], 400),
            ("POST", "/1.0/instances", ["name": "x", "source": ["type": "migration"]], 501),
            ("PUT", "/1.0/instances/none/state", ["action": "start"], 404),
            ("PUT", "/1.0/instances/none/state", ["action": "explode"], 400),
            ("GET", "/1.0/instances?recursion=9", nil, 400), ("GET", "/1.0/instances/%zz", nil, 400),
            ("GET", "/1.0/instances/..%2f..%2fetc", nil, 404), ("GET", "/1.0/operations/none", nil, 404),
            ("GET", "/1.0/operations/none/websocket?secret=x", nil, 404), ("GET", "/1.0/events", nil, 400),
        ] as [(String, String, JSONValue?, Int)])
    func refusals(_ method: String, _ path: String, _ body: JSONValue?, _ status: Int) async throws {
        try await DoorFixture.run { (door) async throws in
            let answer = try await door.call(method, path, body)
            #expect(answer.status == status, "\(answer.body)")
            #expect(answer.json["type"] == "error" && answer.json["error_code"] == .int(Int64(status)))
            #expect(!answer.error.isEmpty)
        }
    }

    @Test("bodies that are refused before they are decoded")
    func bodies() async throws {
        try await DoorFixture.run { (door) async throws in
            func post(_ text: String) async throws -> (Int, String) {
                let answer = try await door.send("POST", "/1.0/profiles", Array(text.utf8))
                return (answer.status, answer.error)
            }
            #expect(try await post("nonsense").0 == 400)
            #expect(try await post(#"{"name":"a","name":"b"}"#).1.contains("twice"))
            #expect(try await post(String(repeating: "[", count: 5000)).1.contains("nested"))
            #expect(try await post(#"{"name":"\#(String(repeating: "x", count: 2 << 20))"}"#).0 == 413)
            #expect(try await post(#"{"name":["a"]}"#).1.contains("'name'"))
            #expect(try await door.call("GET", "/1.0/profiles").metadata == ["/1.0/profiles/default"])
        }
    }

    @Test("a name that is taken is refused at once")
    func taken() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web", start: false)
            let answer = try await door.call(
                "POST", "/1.0/instances", ["name": "web", "source": ["reference": "alpine"]])
            #expect(answer.status == 409 && answer.error.contains("web"))
        }
    }
}
