import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// A client at the streams of a container's first process: attach, attach by websocket, resize.
struct StreamRoutes: Sendable {
    let door: DockerParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: inout PathTable) {
        table.add(.post, "/containers/:id/attach") { try await attach($0) }
        table.add(.get, "/containers/:id/attach/ws") { try await websocket($0) }
        table.add(.post, "/containers/:id/resize") { try await resize($0) }
    }

    /// What a client wants of the streams.
    private struct Wish {
        var logs: Bool
        var stream: Bool
        var input: Bool
        var output: Bool
        var error: Bool
        var detachKeys: [UInt8]

        init(_ call: DockerCall) throws {
            logs = call.flag("logs")
            stream = call.flag("stream")
            input = call.flag("stdin")
            output = call.flag("stdout")
            error = call.flag("stderr")
            let keys = call.value("detachKeys") ?? "ctrl-p,ctrl-q"
            guard let parsed = DetachScanner.parse(keys) else {
                throw EngineError(.invalidArgument, "Invalid detach keys: \(keys)")
            }
            detachKeys = parsed
        }
    }

    private func attach(_ call: DockerCall) async throws -> Response {
        let wish = try Wish(call)
        let (facts, body) = try await prepare(call, wish)
        return Hijack.answer(call, terminal: facts.hasTerminal) { try await body($0) }
    }

    private func websocket(_ call: DockerCall) async throws -> Response {
        var wish = try Wish(call)
        // A websocket that asks for nothing gets everything.
        if !wish.input, !wish.output, !wish.error { (wish.input, wish.output, wish.error) = (true, true, true) }
        wish.stream = wish.stream || !wish.logs
        let (_, body) = try await prepare(call, wish, framed: false)
        do {
            return try WebSocket.accept(call.request, call.context) { socket in
                try await body(
                    ClientStream(
                        read: {
                            switch try await socket.receive() {
                            case .binary(let bytes)?: bytes
                            case .text(let text)?: ByteBuffer(string: text)
                            case nil: nil
                            }
                        },
                        write: { first, second in try await socket.send(second ?? first) }))
            }
        } catch {
            throw EngineError(.invalidArgument, error.message)
        }
    }

    /// Everything up to the answer; what comes after it is in the closure.
    private func prepare(_ call: DockerCall, _ wish: Wish, framed: Bool = true) async throws -> (
        ContainerFacts, @Sendable (ClientStream) async throws -> Void
    ) {
        let view = try await door.finder.find(try call.parameter("id"))
        let facts = await door.facts(view, names: door.names())
        if view.status == .frozen {
            throw EngineError(
                .conflict, "container \(facts.id) is paused, unpause the container before attach")
        }
        if facts.state == "restarting" {
            throw EngineError(
                .conflict, "container \(facts.id) is restarting, wait until the container is running")
        }
        let name = view.record.name
        let session =
            wish.stream
            ? try await instances.attach(name, withInput: wish.input && facts.opensInput).session : nil
        if wish.stream { await door.tell("attach", view) }
        let (door, instances) = (door, instances)
        let body: @Sendable (ClientStream) async throws -> Void = { client in
            if wish.logs {
                // docker-py loses what it receives together with the head of the answer.
                try await Task.sleep(for: .milliseconds(5))
                let lines = try await instances.logs(name, LogQuery())
                try await LogFormat(
                    terminal: facts.hasTerminal, timestamps: false, output: wish.output, error: wish.error
                )
                .write(lines) { try await client.write($0, nil) }
            }
            guard let session else { return }
            let number = door.terminals.add(view.record.id, session)
            let relay = StdioRelay(
                streams: session.streams, wantsInput: wish.input, wantsOutput: wish.output, wantsError: wish.error,
                detachKeys: wish.detachKeys, closing: call.context.closing)
            do { try await relay.run(client) } catch {
                door.terminals.remove(view.record.id, number)
                throw error
            }
            door.terminals.remove(view.record.id, number)
        }
        return (facts, body)
    }

    /// Sets the size of the terminal. The size of the client that is attached is the one that counts.
    private func resize(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        guard let size = try Self.size(call) else { return DockerReply.empty(.ok) }
        guard view.pid != nil else { throw ContainerStateRoutes.notRunning(view) }
        if let session = door.terminals.find(view.record.id) {
            try await session.resize(size)
        } else {
            let (session, _) = try await instances.attach(view.record.name, withInput: false)
            defer {
                session.streams.input?.close()
                session.streams.output.close()
                session.streams.error?.close()
            }
            try await session.resize(size)
        }
        await door.tell("resize", view, ["height": "\(size.rows)", "width": "\(size.columns)"])
        return DockerReply.empty(.ok)
    }

    /// nil for zero, which clients without a terminal send.
    static func size(_ call: DockerCall) throws -> TerminalSize? {
        guard let rows = try call.number("h"), let columns = try call.number("w"), (0...65_535).contains(rows),
            (0...65_535).contains(columns)
        else { throw EngineError(.invalidArgument, "h and w must be numbers from 0 to 65535") }
        guard rows > 0, columns > 0 else { return nil }
        return TerminalSize(columns: UInt16(columns), rows: UInt16(rows))
    }
}
