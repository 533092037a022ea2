import Glibc
import Synchronization
import Testing
import WireTypes

@testable import Client

/// A daemon with one instance that can be made, run and executed in.
private final class FakeIsle: Sendable {
    let requests = Mutex<[String]>([])
    let created = Mutex<API.InstancesPost?>(nil)
    /// How operations end: status code, metadata, error, HTTP status; by id.
    let outcomes: [String: (code: Int, metadata: String, err: String, status: Int?)]
    let output: String

    init(output: String = "", _ outcomes: [String: (code: Int, metadata: String, err: String, status: Int?)] = [:]) {
        self.output = output
        self.outcomes = outcomes
    }

    func script(_ peer: Peer) throws {
        while true {
            let request = try peer.request()
            requests.withLock { $0.append("\(request.method) \(request.path)") }
            let parts = request.path.split(separator: "/").dropFirst().map(String.init)
            switch (request.method, parts.count) {
            case ("POST", 1) where parts[0] == "instances":
                let post = try JSON.decode(API.InstancesPost.self, from: request.body)
                created.withLock { $0 = post }
                try peer.async("create", metadata: "null")
            case ("POST", 3) where parts[2] == "attach" || parts[2] == "exec":
                try peer.async("session", metadata: #"{"fds":{"0":"0","1":"1","2":"2","control":"control"}}"#)
            case ("PUT", 3): try peer.async(parts[1] == "gone" ? "nowhere" : "state")
            case ("GET", 3) where parts[0] == "operations" && parts[2] == "wait":
                if parts[1] == "session" { usleep(60_000) }
                if parts[1] == "state" && outcomes["state"] != nil { usleep(120_000) }
                let end =
                    outcomes[parts[1]] ?? (
                        200, parts[1] == "create" ? #"{"name":"made-up"}"# : #"{"return":0}"#, "", nil
                    )
                try peer.sync(
                    Peer.operation(
                        parts[1], end.code, end.metadata, err: end.err,
                        more: end.status.map { #","error_code":\#($0)"# } ?? ""))
            case ("GET", 3) where parts[2] == "websocket":
                try peer.acceptWebSocket(request)
                if request.target.hasSuffix("=1") { try peer.sendFrame(.binary, Array(output.utf8)) }
                if !request.target.hasSuffix("=control") { try peer.sendFrame(.close) }
                while try peer.readFrame().opcode != .close {}
                return
            case ("GET", 1) where parts[0] == "instances":
                try peer.sync(
                    request.target.contains("recursion")
                        ? Self.instances : #"["/1.0/instances/web","/1.0/instances/db"]"#)
            case ("DELETE", 2): try peer.async("delete")
            case ("GET", 2) where parts[1] == "box": try peer.sync(#"{"name":"box"}"#)
            default:
                try peer.answer(404, #"{"type":"error","error":"instance 'gone' does not exist","error_code":404}"#)
            }
        }
    }

    private static let instances = """
        [{"name":"web","status":"Running","kind":"application","addresses":["10.0.0.2"],"new_field":{"x":1}},
         {"name":"db\\u001b[2J","status":"Stopped","kind":"system","exit":{"exit_code":1}}]
        """
}

@Suite(.enabled(if: Program.path != nil, "the program isle is not built beside the tests"))
struct ProgramTests {
    private func isle(_ fake: FakeIsle = FakeIsle(), _ arguments: String..., input: String? = nil) throws
        -> Program.Result
    {
        let daemon = try FakeDaemon { try fake.script($0) }
        defer { daemon.stop() }
        return try Program.run(arguments, socket: daemon.path, input: input)
    }

    @Test func listInEveryFormat() throws {
        let table = try isle(FakeIsle(), "list")
        #expect(
            table.output == """
                NAME         KIND         STATUS       ADDRESS   PORTS  IMAGE  CREATED
                db\\u{1B}[2J  system       Stopped (1)  -         -      -      -
                web          application  Running      10.0.0.2  -      -      -

                """)
        #expect(table.status == 0 && table.error.isEmpty)
        #expect(try isle(FakeIsle(), "ls", "-q", "web*").output == "web\n")
        #expect(
            try isle(FakeIsle(), "list", "--running", "--format", "csv").output
                == "web,application,Running,10.0.0.2,-,-,-\n")
        // Fields that this client does not know come through.
        #expect(try isle(FakeIsle(), "--format", "json", "list").output.contains("\"new_field\""))
        #expect(try isle(FakeIsle(), "list", "--format=yaml").output.contains("  new_field:\n    x: 1\n"))
    }

    @Test func runGivesOutputAndExitCode() throws {
        let fake = FakeIsle(output: "hello\n", ["session": (200, #"{"return":3}"#, "", nil)])
        let result = try isle(fake, "run", "--rm", "-p", "8080:80", "-e", "A=b", "alpine", "sh", "-c", "exit 3")
        #expect(result.status == 3 && result.output == "hello\n" && result.error.isEmpty)
        let post = try #require(fake.created.withLock { $0 })
        #expect(post.source.reference == "alpine" && post.ephemeral && !post.start)
        #expect(post.config == ["oci.cmd": #"["sh","-c","exit 3"]"#, "environment.A": "b", "oci.tty": "false"])
        #expect(post.devices["proxy-0"]?["listen"] == "tcp:127.0.0.1:8080")
        // Attached before it is started.
        let requests = fake.requests.withLock { $0 }
        let attach = try #require(requests.firstIndex(of: "POST /1.0/instances/made-up/attach"))
        let start = try #require(requests.firstIndex(of: "PUT /1.0/instances/made-up/state"))
        #expect(attach < start)
        #expect(requests[attach..<start].filter { $0 == "GET /1.0/operations/session/websocket" }.count == 4)
    }

    @Test func launchPrintsTheName() throws {
        let fake = FakeIsle()
        let result = try isle(fake, "launch", "alpine", "box", "--memory", "512m", "--", "sleep", "9")
        #expect(result.output == "made-up\n" && result.status == 0)
        let post = try #require(fake.created.withLock { $0 })
        #expect(
            post.name == "box" && post.start
                && post.config == ["limits.memory": "512MiB", "oci.cmd": #"["sleep","9"]"#])
    }

    @Test(arguments: [(404, 127), (400, 126), (507, 125)] as [(Int, Int32)])
    func aProgramThatCannotStart(_ http: Int, _ status: Int32) throws {
        // The session ends before the start's failure is told.
        let fake = FakeIsle(["state": (400, "null", "nope", http), "session": (200, "{}", "", nil)])
        let result = try isle(fake, "run", "--rm", "alpine", "nonsense")
        #expect(result.status == status && result.error == "Error: nope\n")
        // Nothing of it is left.
        #expect(fake.requests.withLock { $0.contains("DELETE /1.0/instances/made-up") })
    }

    @Test func aLaunchThatFailsTellsWhatIsLeft() throws {
        let failing: [String: (code: Int, metadata: String, err: String, status: Int?)] = [
            "create": (400, "null", "nope", 404)
        ]
        let kept = try isle(FakeIsle(failing), "launch", "alpine", "box")
        #expect(kept.status == 1 && kept.error == "Error: nope (instance 'box' is there, stopped: isle delete box)\n")
        let fake = FakeIsle(failing)
        let background = try isle(fake, "run", "-d", "--rm", "--name", "box", "alpine")
        #expect(background.status == 127 && background.error == "Error: nope\n")
        #expect(fake.requests.withLock { $0.contains("DELETE /1.0/instances/box") })
        // Nothing was made: nothing is left.
        #expect(try isle(FakeIsle(failing), "launch", "alpine", "other").error == "Error: nope\n")
    }

    @Test func whatFailsBeforeIs125() throws {
        let image = try isle(FakeIsle(["create": (400, "null", "image 'x' does not exist", 404)]), "run", "x")
        #expect(image.status == 125 && image.error == "Error: image 'x' does not exist\n")
        #expect(try isle(FakeIsle(), "run", "--nonsense", "x").status == 125)
        #expect(try isle(FakeIsle(), "run", "-p", "x", "alpine").status == 125)
        #expect(try isle(FakeIsle(), "exec", "web").status == 125)
        let daemon = try Program.run(["run", "alpine"], socket: "/tmp/isle-client-test-nobody")
        #expect(
            daemon.status == 125
                && daemon.error.hasPrefix("Error: no isle daemon answers on /tmp/isle-client-test-nobody"))
        #expect(daemon.error.filter { $0 == "\n" }.count == 1)
    }

    @Test func execTakesBothSpellings() throws {
        let fake = FakeIsle(output: "x", ["session": (200, #"{"return":42}"#, "", nil)])
        for arguments in [["exec", "web", "ls"], ["exec", "-u", "a", "web", "--", "ls", "--help"]] {
            let daemon = try FakeDaemon { try fake.script($0) }
            defer { daemon.stop() }
            let result = try Program.run(arguments, socket: daemon.path)
            #expect(result.status == 42 && result.output == "x")
        }
        let missing = try isle(
            FakeIsle(["session": (400, #"{"return":127}"#, "no such program", 404)]), "exec", "web", "x")
        #expect(missing.status == 127 && missing.error == "Error: no such program\n")
    }

    @Test func oneOfManyThatFailsDoesNotStopTheOthers() throws {
        let fake = FakeIsle(["nowhere": (400, "null", "instance 'gone' does not exist", 404)])
        let result = try isle(fake, "stop", "web", "gone", "db")
        #expect(result.status == 1 && result.output == "web\ndb\n")
        #expect(result.error == "Error: instance 'gone' does not exist\n")
    }

    @Test func wrongCommandLinesAreOneLine() throws {
        for arguments in [
            ["start"], ["list", "--format", "x"], ["nonsense"], ["network", "x"], ["stop", "a", "--all"],
        ] {
            let result = try Program.run(arguments, socket: "/nonexistent")
            #expect(result.status == 2, "\(arguments)")
            #expect(
                result.error.hasPrefix("Error: ") && result.error.contains("--help'")
                    && result.error.filter { $0 == "\n" }.count == 1)
        }
    }

    @Test func theReferenceNamesEveryVerbAndOption() throws {
        let file = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let descriptor = open("/\(file)/docs/reference/cli.md", O_RDONLY)
        try #require(descriptor >= 0)
        let reference = String(decoding: Collector(descriptor).all(), as: UTF8.self)
        let dump = try Program.run(["--experimental-dump-help"], socket: "/nonexistent").output
        let root = try #require(try JSON.decode(JSONValue.self, from: Array(dump.utf8))["command"])
        var missing: [String] = []
        func visit(_ command: JSONValue, _ path: String) {
            for inner in command["subcommands"]?.arrayValue ?? [] where inner["shouldDisplay"] == true {
                guard let name = inner["commandName"]?.stringValue, name != "help" else { continue }
                if !reference.contains("# \(path) \(name)\n") { missing.append("\(path) \(name)") }
                visit(inner, "\(path) \(name)")
            }
            for option in command["arguments"]?.arrayValue ?? [] where option["shouldDisplay"] == true {
                for name in option["names"]?.arrayValue ?? [] where name["kind"] == "long" {
                    let text = "--" + (name["name"]?.stringValue ?? "")
                    if !reference.contains(text) && text != "--help" { missing.append("\(path) \(text)") }
                }
            }
        }
        visit(root, "isle")
        #expect(missing.isEmpty, "scripts/cli-reference makes docs/reference/cli.md anew")
    }

    @Test func theVersionOfTheProgramNeedsNoDaemon() throws {
        let result = try Program.run(["--version"], socket: "/nonexistent")
        #expect(result.status == 0 && result.output == "0.1.0\n", "\(result)")
    }

    @Test func helpAndCompletions() throws {
        for arguments in [
            ["--help"], ["run", "--help"], ["help", "launch"], ["exec", "-h"], ["config", "device", "add", "--help"],
        ] {
            let result = try Program.run(arguments, socket: "/nonexistent")
            #expect(result.status == 0 && result.output.contains("USAGE: isle"), "\(arguments)")
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = try Program.run(["completion", shell], socket: "/nonexistent").output
            #expect(script.contains("isle complete instances"))
            if shell != "fish" { #expect(script.contains("rm)\n") && script.contains("\"_isle_image_remove\"")) }
        }
        #expect(try isle(FakeIsle(), "complete", "instances").output == "db\nweb\n")
    }
}
