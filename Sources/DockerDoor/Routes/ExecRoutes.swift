import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import Model
import NIOCore

/// Further commands in running containers.
struct ExecRoutes: Sendable {
    let door: DockerParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: inout PathTable) {
        table.add(.post, "/containers/:id/exec") { try await create($0) }
        table.add(.post, "/exec/:id/start") { try await start($0) }
        table.add(.post, "/exec/:id/resize") { try await resize($0) }
        table.add(.get, "/exec/:id/json") { try await inspect($0) }
    }

    private func create(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let body = try await call.body()
        guard let command = try body.command("Cmd"), !command.isEmpty else {
            throw EngineError(.invalidArgument, "No exec command specified")
        }
        if view.status == .frozen {
            throw EngineError(
                .conflict, "container \(ContainerID.full(view.record.id)) is paused, unpause the container before exec")
        }
        guard view.pid != nil else { throw ContainerStateRoutes.notRunning(view) }
        if try body.bool("Privileged"), view.expanded.config["security.privileged"] != "true" {
            throw EngineError(.unsupported, "a privileged command in a container that is not is not offered")
        }
        let keys = try body.string("DetachKeys") ?? ""
        guard keys.isEmpty || DetachScanner.parse(keys) != nil else {
            throw EngineError(.invalidArgument, "Invalid detach keys: \(keys)")
        }
        let entry = ExecRegistry.Entry(
            id: ContainerID.random(), container: view.record.id,
            process: ProcessSpec(
                arguments: command, environment: try body.strings("Env").filter { $0.contains("=") },
                workingDirectory: try body.text("WorkingDir"), user: try body.text("User")),
            terminal: try body.bool("Tty"), opensInput: try body.bool("AttachStdin"),
            attachesOutput: try body.bool("AttachStdout"), attachesError: try body.bool("AttachStderr"),
            detachKeys: keys)
        door.execs.add(entry, now: Clock.now)
        await door.tell("exec_create: \(command.joined(separator: " "))", view, ["execID": entry.id])
        return DockerReply.json(["Id": .string(entry.id)], status: .created)
    }

    private func start(_ call: DockerCall) async throws -> Response {
        let entry = try door.execs.find(try call.parameter("id"))
        let body = try await call.body()
        let detach = try body.bool("Detach")
        // As dockerd: the start says whether there are frames, the exec whether there is a terminal.
        let framed = try !body.bool("Tty")
        guard let view = await instances.find(id: entry.container) else {
            throw EngineError(.notFound, "No such exec instance: \(entry.id)")
        }
        guard view.pid != nil else { throw ContainerStateRoutes.notRunning(view) }
        var size: TerminalSize?
        if entry.terminal, case .array(let numbers) = body.json["ConsoleSize"], numbers.count == 2,
            case .integer(let rows) = numbers[0], case .integer(let columns) = numbers[1]
        {
            guard let rows = UInt16(exactly: rows), let columns = UInt16(exactly: columns) else {
                throw EngineError(.invalidArgument, "the ConsoleSize is out of range")
            }
            if rows > 0, columns > 0 { size = TerminalSize(columns: columns, rows: rows) }
        }
        guard door.execs.begin(entry.id) else {
            throw EngineError(.conflict, "Error: Exec command \(entry.id) is already running")
        }
        await door.tell("exec_start: \(entry.process.arguments.joined(separator: " "))", view, ["execID": entry.id])
        let run = ExecRun(door: door, entry: entry, view: view, size: size, framed: framed)
        if detach {
            let session = try await run.begin()
            Task { await run.drain(session) }
            return DockerReply.empty(.ok)
        }
        let closing = call.context.closing
        return Hijack.answer(call, terminal: !framed) { client in try await run.serve(client, closing) }
    }

    private func resize(_ call: DockerCall) async throws -> Response {
        let entry = try door.execs.find(try call.parameter("id"))
        guard let size = try StreamRoutes.size(call) else { return DockerReply.empty(.ok) }
        // A client resizes as soon as it asked for the start.
        for _ in 0..<100 {
            guard let now = try? door.execs.find(entry.id), now.exitCode == nil else { break }
            if let session = now.session {
                try await session.resize(size)
                return DockerReply.empty(.ok)
            }
            guard now.started else { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw EngineError(.conflict, "exec process \(entry.id) is not running")
    }

    private func inspect(_ call: DockerCall) async throws -> Response {
        let entry = try door.execs.find(try call.parameter("id"))
        guard await instances.find(id: entry.container) != nil else {
            throw EngineError(.notFound, "No such exec instance: \(entry.id)")
        }
        return DockerReply.json([
            "ID": .string(entry.id), "Running": .bool(entry.isRunning),
            "ExitCode": entry.exitCode.map { .integer(Int64($0)) } ?? .null,
            "ProcessConfig": [
                "tty": .bool(entry.terminal), "entrypoint": .string(entry.process.arguments.first ?? ""),
                "arguments": .strings(entry.process.arguments.dropFirst()), "privileged": false,
                "user": .string(entry.process.user ?? ""),
            ],
            "OpenStdin": .bool(entry.opensInput), "OpenStderr": .bool(entry.attachesError),
            "OpenStdout": .bool(entry.attachesOutput), "CanRemove": .bool(entry.exitCode != nil),
            "ContainerID": .string(ContainerID.full(entry.container)), "DetachKeys": .string(entry.detachKeys),
            "Pid": .integer(Int64(entry.pid ?? 0)),
        ])
    }
}

/// One command from its start to its end.
struct ExecRun: Sendable {
    let door: DockerParts
    let entry: ExecRegistry.Entry
    let view: InstanceView
    let size: TerminalSize?
    let framed: Bool

    /// Starts it. What keeps it from starting becomes its exit code: 127 for a program that is not there, else 126.
    func begin() async throws -> any ExecSession {
        do {
            let session = try await door.engine.instances.exec(
                view.record.name, process: entry.process,
                stdio: StdioOptions(
                    terminal: entry.terminal, openStdin: entry.opensInput, stdinOnce: entry.opensInput, size: size))
            door.execs.set(session, for: entry.id)
            return session
        } catch let error as EngineError {
            door.execs.finish(entry.id, code: error.code == .notFound ? 127 : 126, now: Clock.now)
            await died(error.code == .notFound ? 127 : 126)
            throw StartFailure.explainExec(error)
        }
    }

    /// Runs it with a client at its streams. The exit code is known before the streams end.
    func serve(_ client: ClientStream, _ closing: EventLoopFuture<Void>) async throws {
        let session: any ExecSession
        do { session = try await begin() } catch {
            let text = ByteBuffer(string: DockerReply.describe(error).1 + "\r\n")
            if !framed {
                try await client.write(text, nil)
            } else {
                try await client.write(OutputFrame.head(OutputFrame.error, length: text.readableBytes), text)
            }
            return
        }
        let keys = DetachScanner.parse(entry.detachKeys.isEmpty ? "ctrl-p,ctrl-q" : entry.detachKeys) ?? []
        let relay = StdioRelay(
            streams: session.streams, wantsInput: entry.opensInput, wantsOutput: entry.attachesOutput,
            wantsError: entry.attachesError, detachKeys: keys, framed: framed, closing: closing)
        let waiting = Task { await settle(session) }
        if try await relay.run(client, keepsOpen: true, ended: { try await Self.end(of: waiting) }) {
            // It goes on, and must not wait for a reader. Whoever started it has gone: this ends with the command.
            Task { await read(session) }
            return
        }
        await firstOf(waiting)
    }

    /// Waits for the end, or until the relay is over: a client that detached does not wait.
    private static func end(of waiting: Task<Void, Never>) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let watch = Task {
            await waiting.value
            continuation.finish()
        }
        for await _ in stream {}
        watch.cancel()
        try Task.checkCancellation()
    }

    /// Waits for the end, but not for ever: a process may close its streams and go on.
    private func firstOf(_ waiting: Task<Void, Never>) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let relay = Task {
            await waiting.value
            continuation.finish()
        }
        let timer = Task {
            try await Task.sleep(for: .milliseconds(500))
            continuation.finish()
        }
        for await _ in stream {}
        relay.cancel()
        timer.cancel()
    }

    /// Runs it with nobody at its streams.
    func drain(_ session: any ExecSession) async {
        session.streams.input?.close()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await read(session) }
            await settle(session)
            group.cancelAll()
        }
    }

    /// Reads what it prints to the end, for nobody.
    private func read(_ session: any ExecSession) async {
        await withTaskGroup(of: Void.self) { group in
            for stream in [session.streams.output, session.streams.error].compactMap({ $0 }) {
                group.addTask {
                    var reader = DescriptorReader(stream)
                    do { while try await reader.next() != nil {} } catch { return }
                }
            }
        }
        session.streams.input?.close()
    }

    /// Waits for the end and writes down how it was.
    private func settle(_ session: any ExecSession) async {
        var code: Int32 = 137
        do { code = try await session.wait().code } catch {
            door.logger.debug("the end of a command is not known", metadata: ["error": "\(error)"])
        }
        door.execs.finish(entry.id, code: code, now: Clock.now)
        await died(code)
    }

    private func died(_ code: Int32) async {
        await door.tell("exec_die", view, ["execID": entry.id, "exitCode": "\(code)"])
    }
}

extension StartFailure {
    /// The same for a further command.
    static func explainExec(_ error: EngineError) -> EngineError {
        guard error.message.hasPrefix("program ") else { return error }
        let reason = error.code == .notFound ? "executable file not found in $PATH" : "permission denied"
        return EngineError(
            error.code,
            "OCI runtime exec failed: exec failed: unable to start container process: \(reason): \(error.description)"
        )
    }
}
