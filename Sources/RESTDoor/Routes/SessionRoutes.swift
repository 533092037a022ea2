import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import WireTypes

/// Streams of processes: exec, attach, console.
struct SessionRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: RouteTable) {
        for root in ["instances", "containers", "virtual-machines"] {
            table.add("/1.0/\(root)/:name/exec", [.post: { try await exec($0) }])
            table.add(
                "/1.0/\(root)/:name/console", [.get: { try await consoleLog($0) }, .post: { try await console($0) }])
        }
        table.add("/1.0/instances/:name/attach", [.post: { try await attach($0) }])
    }

    // MARK: exec

    private func exec(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.InstanceExecPost.self)
        let process = try Self.process(post)
        let view = try await instances.get(name, project: call.project)
        guard view.status == .running || view.status == .frozen else {
            throw EngineError(
                .conflict, "cannot execute: instance \(Names.quoted(name)) is not running", hint: "isle start \(name)")
        }
        let stdio = StdioOptions(
            terminal: post.interactive, openStdin: post.waitForWebsocket, size: Self.size(post.width, post.height))
        try door.tell("instance-exec", call, ["command": .array(post.command.map { .string($0) })])
        let (instances, project) = (instances, call.project)
        let start: @Sendable () async throws -> SessionProcess = {
            SessionProcess(try await instances.exec(name, project: project, process: process, stdio: stdio))
        }
        var metadata: [String: Metadata] = [
            "command": .array(post.command.map { .string($0) }), "interactive": .bool(post.interactive),
        ]
        metadata["environment"] = .object(post.environment.mapValues { .string($0) })
        guard post.waitForWebsocket else {
            return try await execRecorded(call, view, metadata, post.recordOutput, start)
        }
        return try await answer(
            StreamSession(terminal: post.interactive, tie: .owned), "Executing command", call, name, metadata, start)
    }

    private static func process(_ post: API.InstanceExecPost) throws -> ProcessSpec {
        guard let program = post.command.first, !program.isEmpty else {
            throw EngineError(.invalidArgument, "the command is empty")
        }
        let words = post.command + post.environment.map { $0 + $1 } + [post.cwd, post.userName ?? ""]
        guard !words.contains(where: { $0.utf8.contains(0) }) else {
            throw EngineError(.invalidArgument, "the command or its environment has a NUL byte")
        }
        guard !post.environment.keys.contains(where: { $0.isEmpty || $0.contains("=") }) else {
            throw EngineError(.invalidArgument, "the name of an environment variable is empty or has a '='")
        }
        guard UInt32(exactly: post.user) != nil, UInt32(exactly: post.group) != nil else {
            throw EngineError(.invalidArgument, "user \(post.user) or group \(post.group) is not an id")
        }
        var user = post.userName.flatMap { $0.isEmpty ? nil : $0 }
        if user == nil, post.user != 0 || post.group != 0 { user = "\(post.user):\(post.group)" }
        return ProcessSpec(
            arguments: post.command,
            environment: post.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
            workingDirectory: post.cwd.isEmpty ? nil : post.cwd, user: user)
    }

    private func execRecorded(
        _ call: Call, _ view: InstanceView, _ metadata: [String: Metadata], _ records: Bool,
        _ start: @escaping @Sendable () async throws -> SessionProcess
    ) async throws -> Response {
        let folder = door.engine.layout.state(of: view.record.id) + "/logs"
        let name = view.record.name
        let record = await door.engine.operations.start(
            "Executing command", project: call.project, resources: ["instances": ["/1.0/instances/\(name)"]],
            metadata: metadata, mayCancel: true
        ) { context in
            let process: SessionProcess
            do { process = try await start() } catch { return try await Self.notExecuted(error, context) }
            let file = records ? "exec_\(context.id)" : nil
            let exit = try await RecordedExec(path: file.map { "\(folder)/\($0)" }).run(process)
            var result: [String: Metadata] = [:]
            if let exit { result["return"] = .integer(Int64(exit.code)) }
            if let file {
                let path = "/1.0/instances/\(name)/logs/\(file)"
                result["output"] = .object(["1": .string(path + ".stdout"), "2": .string(path + ".stderr")])
            }
            return result
        }
        return try Reply.operation(API.Operation(record))
    }

    /// A program that could not be executed has a shell's exit code, as in LXD; the operation fails with the reason.
    private static func notExecuted(_ error: any Error, _ context: OperationContext) async throws -> [String: Metadata]
    {
        if let error = error as? EngineError, error.code == .notFound || error.code == .invalidArgument {
            await context.update(["return": .integer(error.code == .notFound ? 127 : 126)])
        }
        throw error
    }

    // MARK: attach and console

    private func attach(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.InstanceAttachPost.self)
        let process = try await attached(name, call, input: post.input, Self.size(post.width, post.height))
        return try await answer(
            StreamSession(terminal: process.streams.error == nil, tie: .attached), "Attaching to instance", call, name,
            [:], { process })
    }

    private func console(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.InstanceConsolePost.self)
        if post.type == "vga" { return try await ScreenRoutes(door: door).open(call) }
        guard post.type == "console" || post.type.isEmpty else {
            throw EngineError(
                .unsupported, "a console of the type \(Names.quoted(post.type)) is not offered",
                hint: "use 'console' or 'vga'")
        }
        let view = try await instances.get(name, project: call.project)
        guard view.status == .running || view.status == .starting else {
            throw EngineError(.conflict, "instance \(Names.quoted(name)) is not running", hint: "isle start \(name)")
        }
        let process = try await attached(name, call, input: true, Self.size(post.width, post.height))
        guard process.streams.error == nil else {
            throw EngineError(
                .unsupported, "instance \(Names.quoted(name)) has no terminal", hint: "isle attach \(name)")
        }
        try door.tell("instance-console", call, ["type": "console"])
        return try await answer(
            StreamSession(terminal: true, tie: .attached), "Showing console", call, name, [:], { process })
    }

    private func attached(_ name: String, _ call: Call, input: Bool, _ size: TerminalSize?) async throws
        -> SessionProcess
    {
        let (instances, project) = (instances, call.project)
        let (session, exit) = try await instances.attach(name, project: project, withInput: input)
        if let size, session.streams.error == nil { try await session.resize(size) }
        return SessionProcess(
            session,
            signal: { try await instances.kill(name, project: project, signal: String($0)) }, wait: exit)
    }

    /// What the console showed so far.
    private func consoleLog(_ call: Call) async throws -> Response {
        if call.query("type") == "vga" { return try await ScreenRoutes(door: door).picture(call) }
        let lines = try await instances.logs(
            try call.parameter("name"), project: call.project, LogQuery(tail: 10_000))
        try door.tell("instance-console-retrieved", call)
        return LogBody(timestamps: false, stream: nil, isFollowed: false).response(lines)
    }

    // MARK: -

    private static func size(_ columns: Int, _ rows: Int) -> TerminalSize? {
        guard let columns = UInt16(exactly: columns), let rows = UInt16(exactly: rows), columns > 0, rows > 0
        else { return nil }
        return TerminalSize(columns: columns, rows: rows)
    }

    /// Starts the operation of a session. Its secrets stand in this answer and nowhere else: who may see operations
    /// and events is not by that allowed to take over their streams.
    private func answer(
        _ session: StreamSession, _ description: String, _ call: Call, _ name: String,
        _ metadata: [String: Metadata], _ start: @escaping @Sendable () async throws -> SessionProcess
    ) async throws -> Response {
        let registered = Latch<Void>()
        let hub = door.sessions
        let record = await door.engine.operations.start(
            description, project: call.project, class: .websocket,
            resources: ["instances": ["/1.0/instances/\(name)"]], metadata: metadata, mayCancel: true
        ) { context in
            let result = await Self.outcome { try await session.run(start) }
            _ = await registered.wait()
            hub.remove(context.id)
            switch result {
            case .success(let exit): return exit.map { ["return": .integer(Int64($0.code))] } ?? [:]
            case .failure(let error): return try await Self.notExecuted(error, context)
            }
        }
        hub.add(session, record.id)
        registered.set(())
        var operation = API.Operation(record)
        var shown = operation.metadata ?? [:]
        shown["fds"] = .object(session.secrets.mapValues { .string($0) })
        operation.metadata = shown
        return try Reply.operation(operation)
    }

    private static func outcome(_ body: () async throws -> ExitRecord?) async -> Result<ExitRecord?, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
