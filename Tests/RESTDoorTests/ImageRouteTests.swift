import Engine
import FoundationEssentials
import Testing
import WireTypes

@Suite struct ImageRouteTests {
    private func pull(_ door: DoorFixture) async throws -> String {
        let pulled = try await door.work(
            "POST", "/1.0/images", ["source": ["type": "registry", "reference": "busybox"]])
        return try #require(pulled.metadata?["fingerprint"]?.stringValue)
    }

    @Test("aliases: make, describe, rename, point elsewhere, remove")
    func aliases() async throws {
        try await DoorFixture.run { (door) async throws in
            let fingerprint = try await pull(door)
            let alias: JSONValue = ["name": "deb/12", "target": .string(fingerprint), "description": "d"]
            #expect(try await door.call("POST", "/1.0/images/aliases", alias).status == 201)
            #expect(try await door.call("POST", "/1.0/images/aliases", alias).status == 409)
            var answer = try await door.call("GET", "/1.0/images/aliases/deb%2F12")
            #expect(answer.metadata["target"] == .string(fingerprint) && answer.metadata["description"] == "d")
            #expect(
                try await door.call("PUT", "/1.0/images/aliases/deb%2F12", ["target": "nothing"]).status == 404)
            #expect(
                try await door.call("PATCH", "/1.0/images/aliases/deb%2F12", ["description": "e"]).status == 200)
            #expect(try await door.call("POST", "/1.0/images/aliases/deb%2F12", ["name": "-x"]).status == 400)
            #expect(try await door.call("POST", "/1.0/images/aliases/deb%2F12", ["name": "twelve"]).status == 201)
            #expect(try await door.call("GET", "/1.0/images/aliases/deb%2F12").status == 404)
            answer = try await door.call("GET", "/1.0/images/twelve")
            #expect(answer.metadata["aliases"]?.arrayValue?.first?["description"] == "e")
            #expect(try await door.call("DELETE", "/1.0/images/aliases/twelve").status == 200)
            #expect(try await door.call("GET", "/1.0/images/\(fingerprint)").status == 200)
        }
    }

    @Test("properties and flags are changed with PUT and PATCH, guarded by the ETag")
    func details() async throws {
        try await DoorFixture.run { (door) async throws in
            let fingerprint = try await pull(door)
            let path = "/1.0/images/\(fingerprint)"
            let etag = try #require(try await door.call("GET", path).etag)
            let put: JSONValue = [
                "public": true, "properties": ["os": "B"], "expires_at": "2099-01-02T03:04:05Z", "profiles": ["p"],
            ]
            #expect(try await door.call("PUT", path, put, headers: ["If-Match: \(etag)"]).status == 200)
            #expect(try await door.call("PUT", path, put, headers: ["If-Match: \(etag)"]).status == 412)
            #expect(try await door.call("PATCH", path, ["properties": ["release": "1"]]).status == 200)
            let image = try await door.call("GET", path).metadata
            #expect(image["public"] == true && image["profiles"] == ["p"])
            #expect(image["properties"] == ["os": "B", "release": "1"])
            #expect(image["expires_at"] == "2099-01-02T03:04:05Z")
            #expect(try await door.call("PATCH", path, ["expires_at": "soon"]).status == 400)
            let listed = try await door.call("GET", "/1.0/images?recursion=1&filter=properties.os%20eq%20B")
            #expect(listed.metadata.arrayValue?.count == 1)
            let none = try await door.call("GET", "/1.0/images?filter=properties.os%20eq%20C")
            #expect(none.metadata.arrayValue?.isEmpty == true)
        }
    }

    @Test("a deleted image goes at once, and later when an instance rests on it")
    func deletion() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web", start: false)
            let listed = try await door.call("GET", "/1.0/images?recursion=1").metadata.arrayValue
            let fingerprint = try #require(listed?.first?["fingerprint"]?.stringValue)
            #expect(try await door.work("DELETE", "/1.0/images/\(fingerprint)").status == "Success")
            #expect(try await door.call("GET", "/1.0/images").metadata == [])
            #expect(try await door.call("GET", "/1.0/images/\(fingerprint)").status == 404)
            #expect(try await door.work("DELETE", "/1.0/instances/web?force=1").status == "Success")
        }
    }

    @Test("an upload in parts must be what LXD's clients send")
    func parts() async throws {
        try await DoorFixture.run { (door) async throws in
            func send(_ body: String, _ type: String = "multipart/form-data; boundary=B") async throws -> Int {
                try await door.send("POST", "/1.0/images", Array(body.utf8), headers: ["Content-Type: \(type)"]).status
            }
            let part = "Content-Disposition: form-data; name=\"metadata\"; filename=\"../../m.tar\"\r\n\r\nx"
            #expect(try await send("--B\r\n\(part)\r\n--B--\r\n") == 400)
            #expect(try await send("--B\r\n\(part)") == 400)
            #expect(try await send("--C\r\n\(part)\r\n--C--") == 400)
            #expect(try await send("--B\r\nX-Other: 1\r\n\r\nx\r\n--B--") == 400)
            #expect(try await send("", "multipart/form-data") == 400)
            let many = String(repeating: "\r\n--B\r\n\(part)", count: 9).dropFirst(2)
            #expect(try await send(many + "\r\n--B--") == 400)
            let names = try FileManager.default.contentsOfDirectory(atPath: door.layout.temporary)
            #expect(names.isEmpty, "\(names)")
        }
    }
}
