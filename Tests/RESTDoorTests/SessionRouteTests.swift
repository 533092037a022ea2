import Glibc
import Model
import Testing
import WireTypes

@Suite("Exec, attach and console over websockets")
struct SessionRouteTests {
    private func exec(_ door: DoorFixture, _ command: [String], _ more: [String: JSONValue] = [:]) async throws
        -> JSONValue
    {
        var body: [String: JSONValue] = ["command": .array(command.map { .string($0) }), "wait-for-websocket": true]
        body.merge(more) { $1 }
        let answer = try await door.call("POST", "/1.0/instances/web/exec", .object(body))
        #expect(answer.status == 202, "\(answer.body)")
        return answer.metadata
    }

    private func end(_ door: DoorFixture, _ operation: JSONValue) async throws -> API.Operation {
        try await door.operation(try #require(operation["id"]?.stringValue))
    }

    @Test("three streams, input with its end, exit code")
    func streams() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(
                door, ["/bin/sh", "-c", "tr a-z A-Z; echo oops >&2; echo $VALUE; exit 3"],
                ["environment": ["VALUE": "seven"]])
            #expect(operation["class"] == "websocket")
            let input = try await door.open(operation, "0")
            let output = try await door.open(operation, "1")
            let errors = try await door.open(operation, "2")
            let control = try await door.open(operation, "control")
            try await input.sendFrame(2, Array("hello ".utf8))
            try await input.sendFrame(2, Array("world\n".utf8))
            try await input.sendFrame(1, [])
            #expect(try await door.collect(output) == "HELLO WORLD\nseven\n")
            #expect(try await door.collect(errors) == "oops\n")
            let ended = try await end(door, operation)
            #expect(ended.status == "Success" && ended.metadata?["return"] == 3, "\(ended)")
            #expect(ended.metadata?["fds"] == nil)
            #expect(try await control.receiveFrame().opcode == 8)
        }
    }

    @Test("8 MiB of output arrive whole, though the client is slow to read")
    func bulk() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(door, ["/bin/sh", "-c", "head -c 8388608 /dev/zero; echo done"])
            let input = try await door.open(operation, "0")
            let output = try await door.open(operation, "1")
            let errors = try await door.open(operation, "2")
            try await Task.sleep(for: .milliseconds(300))
            #expect(try await door.collect(output).utf8.count == 8_388_608 + 5)
            #expect(try await door.collect(errors) == "")
            #expect(try await end(door, operation).metadata?["return"] == 0)
            _ = input
        }
    }

    @Test("a terminal: one stream, sizes, signals by its keys")
    func terminal() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(
                door, ["/bin/sh", "-c", "stty size; read line; stty size; exit 4"],
                ["interactive": true, "width": 100, "height": 40])
            let stream = try await door.open(operation, "0")
            let control = try await door.open(operation, "control")
            var text = ""
            while !text.contains("40 100") {
                text += String(decoding: try await stream.receiveFrame().payload, as: UTF8.self)
            }
            try await control.sendFrame(
                1, Array(#"{"command":"window-resize","args":{"width":"72","height":"21"}}"#.utf8))
            try await Task.sleep(for: .milliseconds(100))
            try await stream.sendFrame(2, Array("go\n".utf8))
            #expect(try await door.collect(stream).contains("21 72"))
            #expect(try await end(door, operation).metadata?["return"] == 4)
        }
    }

    @Test("a signal on control; nonsense there is passed over")
    func signal() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(door, ["/bin/sleep", "1000"])
            let streams = [
                try await door.open(operation, "0"), try await door.open(operation, "1"),
                try await door.open(operation, "2"),
            ]
            let control = try await door.open(operation, "control")
            try await control.sendFrame(1, Array("nonsense".utf8))
            try await control.sendFrame(2, Array(#"{"command":"signal","signal":999}"#.utf8))
            try await control.sendFrame(1, Array(#"{"command":"signal","signal":15}"#.utf8))
            #expect(try await end(door, operation).metadata?["return"] == 143)
            _ = streams
        }
    }

    @Test("each secret opens one websocket, once")
    func secrets() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(door, ["/bin/sleep", "1000"])
            let id = try #require(operation["id"]?.stringValue)
            let first = try await door.open(operation, "0")
            await #expect(throws: (any Error).self) { _ = try await door.open(operation, "0") }
            let wrong = try await door.call("GET", "/1.0/operations/\(id)/websocket?secret=wrong")
            #expect(wrong.status == 403)
            // The secrets are shown to the one who asked for the session and to nobody else.
            #expect(try await door.call("GET", "/1.0/operations/\(id)").metadata["metadata"]?["fds"] == nil)
            #expect(try await door.call("DELETE", "/1.0/operations/\(id)").status == 200)
            #expect(try await end(door, operation).status == "Cancelled")
            _ = first
        }
    }

    @Test("a program that does not exist has a shell's exit code")
    func notFound() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(door, ["/no/such/program"])
            let ended = try await end(door, operation)
            #expect(ended.status == "Failure" && ended.metadata?["return"] == 127 && ended.errorCode == 404)
            #expect(ended.err.contains("/no/such/program"))
        }
    }

    @Test("when the client vanishes, its process is ended")
    func vanished() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(door, ["/bin/sleep", "1000"])
            let streams = [
                try await door.open(operation, "0"), try await door.open(operation, "1"),
                try await door.open(operation, "2"), try await door.open(operation, "control"),
            ]
            for stream in streams { stream.descriptor.close() }
            #expect(try await end(door, operation).metadata?["return"] == 137)
        }
    }

    @Test("a child that is left behind does not keep the session open")
    func background() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let operation = try await exec(door, ["/bin/sh", "-c", "sleep 3 & echo started"])
            let streams = [try await door.open(operation, "0"), try await door.open(operation, "2")]
            let output = try await door.open(operation, "1")
            #expect(try await door.collect(output) == "started\n")
            #expect(try await end(door, operation).metadata?["return"] == 0)
            _ = streams
        }
    }

    @Test("without websockets: output is recorded when asked for")
    func recorded() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web")
            let ended = try await door.work(
                "POST", "/1.0/instances/web/exec",
                ["command": ["/bin/sh", "-c", "echo out; echo err >&2; exit 5"], "record-output": true])
            #expect(ended.metadata?["return"] == 5)
            let path = try #require(ended.metadata?["output"]?["1"]?.stringValue)
            #expect(try await door.call("GET", path).body == "out\n")
            #expect(
                try await door.call("GET", "/1.0/instances/web/logs").metadata.arrayValue?.contains(.string(path))
                    == true)
            #expect(try await door.call("DELETE", path).status == 200)
            #expect(try await door.call("GET", path).status == 404)
            let plain = try await door.work("POST", "/1.0/instances/web/exec", ["command": ["/bin/true"]])
            #expect(plain.metadata?["return"] == 0 && plain.metadata?["output"] == nil)
        }
    }

    @Test("attach: the first process's streams; leaving does not end it")
    func attach() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create(
                "web",
                config: [
                    "oci.entrypoint": #"["/bin/sh","-c","while read l; do echo got $l; done; exit 6"]"#,
                    "oci.stdin": "true",
                ])
            var operation = try await door.call("POST", "/1.0/instances/web/attach", ["input": true]).metadata
            let input = try await door.open(operation, "0")
            let output = try await door.open(operation, "1")
            let errors = try await door.open(operation, "2")
            try await input.sendFrame(2, Array("one\n".utf8))
            #expect(try await output.receiveFrame().payload == Array("got one\n".utf8))
            try await input.sendFrame(1, [])
            #expect(try await end(door, operation).metadata?["return"] == 6)
            _ = errors

            try await door.create("idle")
            operation = try await door.call("POST", "/1.0/instances/idle/attach", [:]).metadata
            let streams = [
                try await door.open(operation, "0"), try await door.open(operation, "1"),
                try await door.open(operation, "2"),
            ]
            for stream in streams { try await stream.sendFrame(8, [3, 232]) }
            let detached = try await end(door, operation)
            #expect(detached.status == "Success" && detached.metadata?["return"] == nil)
            #expect(try await door.call("GET", "/1.0/instances/idle").metadata["status"] == "Running")
        }
    }

    @Test("attach: outputs that end before the process do not hide how it ends")
    func outputsEndFirst() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create(
                "web",
                config: [
                    "oci.entrypoint": #"["/bin/sh","-c","read l; exec >&- 2>&-; sleep 0.3; exit 6"]"#,
                    "oci.stdin": "true",
                ])
            let operation = try await door.call("POST", "/1.0/instances/web/attach", ["input": true]).metadata
            let input = try await door.open(operation, "0")
            let outputs = [try await door.open(operation, "1"), try await door.open(operation, "2")]
            try await input.sendFrame(2, Array("go\n".utf8))
            for output in outputs {
                #expect(try await door.collect(output) == "")
                try await output.sendFrame(8, [3, 232])
            }
            #expect(try await end(door, operation).metadata?["return"] == 6)
        }
    }

    @Test("exec and console refuse what cannot be")
    func refusals() async throws {
        try await DoorFixture.run { (door) async throws in
            try await door.create("web", start: false)
            func status(_ path: String, _ body: JSONValue) async throws -> Int {
                try await door.call("POST", "/1.0/instances/web/\(path)", body).status
            }
            #expect(try await status("exec", ["command": []]) == 400)
            #expect(try await status("exec", ["command": ["a\0b"]]) == 400)
            #expect(try await status("exec", ["command": ["true"], "user": -1]) == 400)
            #expect(try await status("exec", ["command": ["true"], "environment": ["A=B": "c"]]) == 400)
            #expect(try await status("exec", ["command": ["true"]]) == 400)
            #expect(try await status("console", ["type": "vga"]) == 400)
            #expect(try await status("console", ["type": "hologram"]) == 501)
            #expect(try await status("console", [:]) == 400)
        }
    }
}
