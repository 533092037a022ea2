import Engine
import FoundationEssentials
import Testing
import WireTypes

@Suite("The rest of the API")
struct ResourceRouteTests {
    @Test("the server tells about itself")
    func server() async throws {
        try await DoorFixture.run { (door) async throws in
            #expect(try await door.call("GET", "/").metadata == ["/1.0"])
            let answer = try await door.call("GET", "/1.0")
            #expect(answer.metadata["api_version"] == "1.0" && answer.metadata["auth"] == "trusted")
            #expect(answer.metadata["api_extensions"]?.arrayValue?.contains("isle_kinds") == true)
            #expect(answer.metadata["environment"]?["server_version"] == "1.2.3")
            #expect(try await door.call("PUT", "/1.0", ["config": ["core.x": "1"]]).status == 400)
            #expect(try await door.call("GET", "/1.0/resources").metadata["memory"]?["total"]?.intValue ?? 0 > 0)
            #expect(try await door.call("GET", "/1.0/doctor").metadata["checks"]?.arrayValue?.isEmpty == false)
            #expect(try await door.call("GET", "/1.0/kernels").metadata == [])
            #expect(try await door.call("POST", "/1.0/kernels", [:]).status == 501)
            #expect(try await door.call("GET", "/1.0/metrics").body.contains("lxd_instances 0"))
        }
    }

    @Test("images: pull, look, tag, untag, history, export, delete")
    func images() async throws {
        try await DoorFixture.run { (door) async throws in
            let pulled = try await door.work(
                "POST", "/1.0/images", ["source": ["type": "registry", "reference": "busybox"]])
            let fingerprint = try #require(pulled.metadata?["fingerprint"]?.stringValue)
            var answer = try await door.call("GET", "/1.0/images/docker.io%2Flibrary%2Fbusybox:latest")
            #expect(answer.metadata["fingerprint"] == .string(fingerprint), "\(answer.body)")
            #expect(answer.metadata["kinds"] == ["application", "system", "machine"])
            answer = try await door.call("GET", "/1.0/images")
            #expect(answer.metadata == [.string("/1.0/images/\(fingerprint)")])
            answer = try await door.call(
                "POST", "/1.0/images/aliases", ["name": "mine:1", "target": .string(fingerprint)])
            #expect(answer.status == 201)
            #expect(try await door.call("GET", "/1.0/images/aliases").metadata.arrayValue?.count == 2)
            #expect(try await door.call("DELETE", "/1.0/images/aliases/mine:1").status == 200)
            #expect(
                try await door.call("POST", "/1.0/images/busybox/references", ["name": "other:1"]).status == 200)
            #expect(try await door.call("DELETE", "/1.0/images/aliases/other:1").status == 200)
            #expect(try await door.call("DELETE", "/1.0/images/aliases/other:1").status == 404)
            answer = try await door.call("GET", "/1.0/images/busybox/history")
            #expect(answer.metadata.arrayValue?.first?["created_by"] == "RUN true")
            // It has not the form that clients of LXD compare with the fingerprint.
            #expect(try await door.call("GET", "/1.0/images/busybox/export").status == 501)
            answer = try await door.call("GET", "/1.0/images/busybox/export?format=oci")
            #expect(answer.body.utf8.count == 400_000 && answer.head.contains("attachment"))
            #expect(try await door.work("DELETE", "/1.0/images/busybox").status == "Success")
            #expect(try await door.call("GET", "/1.0/images/busybox").status == 404)
            let gone = try await door.work(
                "POST", "/1.0/images", ["source": ["type": "registry", "reference": "gone"]])
            #expect(gone.status == "Failure" && gone.errorCode == 404)
        }
    }

    @Test("an upload goes to disk and is gone afterwards")
    func upload() async throws {
        try await DoorFixture.run { (door) async throws in
            let file = [UInt8](repeating: UInt8(ascii: "x"), count: 5 << 20)
            let answer = try await door.send(
                "POST", "/1.0/images", file,
                headers: [
                    "Content-Type: application/octet-stream", "X-LXD-filename: ..%2F..%2F-evil%20name.tar",
                    "X-Isle-reference: mine:2",
                ])
            #expect(answer.status == 202, "\(answer.body)")
            let ended = try await door.operation(try #require(answer.metadata["id"]?.stringValue))
            #expect(ended.status == "Success", "\(ended.err)")
            #expect(door.images.contents == ["evilname.tar \(5 << 20) xxxxx"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: door.layout.temporary).isEmpty)
            #expect(try await door.call("GET", "/1.0/images/mine:2").status == 200)
            let wrong = try await door.send("POST", "/1.0/images", [1], headers: ["Content-Type: text/html"])
            #expect(wrong.status == 415)
        }
    }

    @Test("progress is told and the work can be cancelled")
    func progress() async throws {
        try await DoorFixture.run { (door) async throws in
            let id = try #require(
                try await door.call("POST", "/1.0/images", ["source": ["type": "registry", "reference": "slow/x"]])
                    .metadata["id"]?.stringValue)
            var percent: String?
            for _ in 0..<50 where percent == nil {
                try await Task.sleep(for: .milliseconds(50))
                percent = try await door.call("GET", "/1.0/operations/\(id)").metadata["metadata"]?["progress"]?[
                    "percent"]?
                    .stringValue
            }
            #expect(percent != nil)
            #expect(try await door.call("GET", "/1.0/operations").metadata["running"]?.arrayValue?.count == 1)
            #expect(try await door.call("DELETE", "/1.0/operations/\(id)").status == 200)
            #expect(try await door.operation(id).status == "Cancelled")
        }
    }

    @Test("profiles")
    func profiles() async throws {
        try await DoorFixture.run { (door) async throws in
            #expect(
                try await door.call("POST", "/1.0/profiles", ["name": "p", "config": ["user.x": "1"]]).status == 201)
            #expect(try await door.call("POST", "/1.0/profiles", ["name": "p"]).status == 409)
            var answer = try await door.call("GET", "/1.0/profiles/p")
            let etag = try #require(answer.etag)
            #expect(try await door.call("PATCH", "/1.0/profiles/p", ["config": ["user.y": "2"]]).status == 200)
            answer = try await door.call("PUT", "/1.0/profiles/p", [:], headers: ["If-Match: \(etag)"])
            #expect(answer.status == 412)
            answer = try await door.call("GET", "/1.0/profiles/p")
            #expect(answer.metadata["config"] == ["user.x": "1", "user.y": "2"])
            #expect(try await door.call("POST", "/1.0/profiles/p", ["name": "q"]).status == 201)
            #expect(try await door.call("DELETE", "/1.0/profiles/q").status == 200)
            #expect(try await door.call("DELETE", "/1.0/profiles/default").status == 403)
        }
    }

    @Test("networks")
    func networks() async throws {
        try await DoorFixture.run { (door) async throws in
            var answer = try await door.call(
                "POST", "/1.0/networks",
                ["name": "net1", "config": ["ipv4.address": "10.77.0.1/24", "ipv4.nat": "false"]])
            #expect(answer.status == 201, "\(answer.body)")
            answer = try await door.call("GET", "/1.0/networks/net1")
            #expect(answer.metadata["config"]?["ipv4.nat"] == "false" && answer.metadata["type"] == "bridge")
            answer = try await door.call("GET", "/1.0/networks/net1/state")
            #expect(answer.metadata["addresses"]?.arrayValue?.first?["address"] == "10.77.0.1")
            #expect(try await door.call("GET", "/1.0/networks/net1/leases").metadata == [])
            let change: JSONValue = ["config": ["ipv4.nat": "true", "user.a": "b"]]
            answer = try await door.call("PATCH", "/1.0/networks/net1", change)
            #expect(answer.status == 200)
            answer = try await door.call("GET", "/1.0/networks/net1")
            #expect(answer.metadata["config"]?["ipv4.nat"] == "true" && answer.metadata["config"]?["user.a"] == "b")
            answer = try await door.call("PATCH", "/1.0/networks/net1", ["config": ["bridge.name": "other"]])
            #expect(answer.status == 400)
            #expect(try await door.call("POST", "/1.0/networks", ["name": "n2", "config": ["a.b": "c"]]).status == 400)
            #expect(try await door.call("POST", "/1.0/networks", ["name": "n2", "type": "ovn"]).status == 501)
            #expect(try await door.call("DELETE", "/1.0/networks/net1").status == 200)
        }
    }

    @Test("volumes")
    func volumes() async throws {
        try await DoorFixture.run { (door) async throws in
            let root = "/1.0/storage-pools/default/volumes/custom"
            #expect(try await door.call("POST", root, ["name": "data"]).status == 201)
            #expect(try await door.call("GET", root).metadata == [.string("\(root)/data")])
            #expect(try await door.call("GET", "\(root)/data").metadata["content_type"] == "filesystem")
            #expect(try await door.call("GET", "\(root)/data/state").metadata["usage"]?["used"] == 4096)
            #expect(try await door.call("GET", "/1.0/storage-pools?recursion=1").metadata.arrayValue?.count == 1)
            #expect(try await door.call("GET", "/1.0/storage-pools/none").status == 404)
            #expect(try await door.call("GET", "/1.0/storage-pools/default/volumes/nonsense").status == 404)
            #expect(
                try await door.call("GET", "/1.0/storage-pools/default/resources").metadata["space"]?["total"]?.intValue
                    ?? 0 > 0)
            #expect(try await door.call("DELETE", "\(root)/data").status == 200)
        }
    }

    @Test("events of the wanted type, whole operations among them")
    func events() async throws {
        try await DoorFixture.run { (door) async throws in
            let listener = try RawClient(door.socket)
            #expect(try await listener.upgrade("/1.0/events?type=lifecycle,operation").hasPrefix("HTTP/1.1 101"))
            try await door.create("web", start: false)
            var actions: Set<String> = []
            var statuses: Set<String> = []
            while !actions.contains("instance-created") || !statuses.contains("Success") {
                let frame = try await listener.receiveFrame()
                let event = try JSONDecoder().decode(API.Event.self, from: Data(frame.payload))
                if event.type == "lifecycle", let action = event.metadata?["action"]?.stringValue {
                    actions.insert(action)
                }
                if event.type == "operation", let status = event.metadata?["status"]?.stringValue {
                    statuses.insert(status)
                }
            }
            try await listener.sendFrame(8, [3, 232])
            let refused = try await door.call("GET", "/1.0/events?type=gossip")
            #expect(refused.status == 400 && refused.error.contains("gossip"))
        }
    }

    @Test("logs with times, tails and one stream")
    func logs() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web", start: false)
            let id = try #require(try await door.call("GET", "/1.0/instances/web").metadata["id"]?.stringValue)
            let lines = (1...3).map { "2024-01-0\($0)T00:00:00.000000000Z stdout F line \($0)\n" }
            let log = lines.joined() + "2024-01-04T00:00:00.000000000Z stderr F oops\n"
            try Data(log.utf8).write(to: URL(filePath: "\(door.layout.instances)/\(id)/logs/console.log"))
            func output(_ query: String) async throws -> String {
                let client = try RawClient(door.socket)
                try await client.send(
                    "GET /1.0/instances/web/logs/output?\(query) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                let all = try await client.rest()
                let body = all.split(separator: "\r\n\r\n", maxSplits: 1).last ?? ""
                return body.split(separator: "\r\n").enumerated().filter { $0.offset % 2 == 1 }.map {
                    String($0.element)
                }.joined()
            }
            #expect(try await output("tail=2") == "line 3\noops\n")
            #expect(try await output("stream=stdout&tail=2") == "line 3\n")
            #expect(try await output("since=2024-01-03T00:00:00Z&until=2024-01-03T12:00:00Z") == "line 3\n")
            #expect(try await output("tail=1&timestamps=1") == "2024-01-04T00:00:00.000000000Z oops\n")
            #expect(try await door.call("GET", "/1.0/instances/web/logs/output?since=tomorrow").status == 400)
            #expect(try await door.call("GET", "/1.0/instances/web/logs/..%2f..%2fisle.db").status == 404)
            #expect(try await door.call("DELETE", "/1.0/instances/web/logs/console.log").status == 403)
        }
    }

    @Test("the reference names every path and no other")
    func reference() async throws {
        try await DoorFixture.run { (door) async throws in
            let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent()
            let text = String(
                decoding: try Data(contentsOf: root.appending(path: "docs/reference/api.md")), as: UTF8.self)
            let documented = text.split(separator: "\n").compactMap { line -> String? in
                let cells = line.split(separator: "|").map { $0.filter { $0 != " " && $0 != "`" } }
                guard cells.count == 3, cells[1].hasPrefix("/") else { return nil }
                return "\(cells[0]) \(cells[1])"
            }
            // LXD's old names lead to the same things and are named once.
            let routes = door.routes.filter { !$0.contains("/containers") && !$0.contains("/virtual-machines") }
            #expect(Set(documented).subtracting(routes) == [])
            #expect(Set(routes).subtracting(documented) == [])
            #expect(routes.count == Set(routes).count)
        }
    }
}
