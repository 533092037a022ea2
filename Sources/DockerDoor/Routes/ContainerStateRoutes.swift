import DoorKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import LinuxHost
import Model

/// What containers do: start, stop, kill, pause, wait, and what runs in them.
struct ContainerStateRoutes: Sendable {
    let door: DockerParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: inout PathTable) {
        table.add(.post, "/containers/:id/start") { try await start($0) }
        table.add(.post, "/containers/:id/stop") { try await stop($0) }
        table.add(.post, "/containers/:id/restart") { try await restart($0) }
        table.add(.post, "/containers/:id/kill") { try await kill($0) }
        table.add(.post, "/containers/:id/pause") { try await pause($0) }
        table.add(.post, "/containers/:id/unpause") { try await unpause($0) }
        table.add(.post, "/containers/:id/wait") { try await wait($0) }
        table.add(.get, "/containers/:id/top") { try await top($0) }
    }

    private func find(_ call: DockerCall) async throws -> InstanceView {
        try await door.finder.find(try call.parameter("id"))
    }

    private func start(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        if view.status == .frozen {
            throw EngineError(.conflict, "cannot start a paused container, try unpause instead")
        }
        guard view.pid == nil else { return DockerReply.empty(.notModified) }
        do {
            try await instances.start(view.record.name)
            door.failures.forget(view.record.id)
        } catch let error as EngineError {
            let explained = StartFailure.explain(error)
            door.failures.note(view.record.id, explained.description, code: StartFailure.exitCode(error))
            // As dockerd: what was to be removed at its end is removed when it cannot even begin.
            if view.record.ephemeral { try await instances.delete(view.record.name, force: true, volumes: true) }
            throw explained
        }
        return DockerReply.empty()
    }

    /// Seconds between asking and killing; nil: the container's own, and for ever where the client says -1.
    private func patience(_ call: DockerCall) throws -> Duration? {
        guard let seconds = try call.number("t") else { return nil }
        return .seconds(seconds < 0 ? 31_536_000 : min(seconds, 31_536_000))
    }

    private func stop(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        guard view.pid != nil || view.record.wantsRunning else { return DockerReply.empty(.notModified) }
        let patience = try patience(call)
        if let signal = call.value("signal") {
            guard Signals.number(signal) != nil else {
                throw EngineError(.invalidArgument, "invalid signal: \(signal)")
            }
            await tell("kill", view, ["signal": "\(Signals.number(signal) ?? 15)"])
            try await instances.kill(view.record.name, signal: signal)
            _ = try await instances.wait(view.record.name, timeout: patience ?? .seconds(10))
            try await instances.stop(view.record.name, force: true)
        } else {
            await tell("kill", view, ["signal": "15"])
            try await instances.stop(view.record.name, force: patience == .zero, timeout: patience)
        }
        await tell("stop", view)
        return DockerReply.empty()
    }

    private func restart(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        let patience = try patience(call)
        do {
            try await instances.restart(view.record.name, force: patience == .zero, timeout: patience)
        } catch let error as EngineError {
            throw StartFailure.explain(error)
        }
        await tell("restart", view)
        return DockerReply.empty()
    }

    private func kill(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        let signal = call.value("signal") ?? "KILL"
        guard let number = Signals.number(signal) else {
            throw EngineError(.invalidArgument, "invalid signal: \(signal)")
        }
        guard view.pid != nil else {
            throw EngineError(
                .conflict,
                "cannot kill container: \(view.record.name): container \(ContainerID.full(view.record.id)) is not running"
            )
        }
        await tell("kill", view, ["signal": "\(number)"])
        try await instances.kill(view.record.name, signal: signal)
        if number == 9 { try await awaitEnd(view) }
        return DockerReply.empty()
    }

    /// As dockerd: who kills a container finds it ended.
    private func awaitEnd(_ view: InstanceView) async throws {
        do {
            _ = try await instances.wait(view.record.name, timeout: .seconds(10))
        } catch let error as EngineError where error.code == .notFound {
            // It was to be removed at its end.
        }
    }

    private func pause(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        guard view.status != .frozen else {
            throw EngineError(.conflict, "container \(ContainerID.full(view.record.id)) is already paused")
        }
        guard view.pid != nil else { throw Self.notRunning(view) }
        try await instances.pause(view.record.name)
        return DockerReply.empty()
    }

    private func unpause(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        guard view.status == .frozen else {
            throw EngineError(.conflict, "Container \(ContainerID.full(view.record.id)) is not paused")
        }
        try await instances.resume(view.record.name)
        return DockerReply.empty()
    }

    static func notRunning(_ view: InstanceView) -> EngineError {
        EngineError(.conflict, "container \(ContainerID.full(view.record.id)) is not running")
    }

    private func tell(_ action: String, _ view: InstanceView, _ more: [String: String] = [:]) async {
        await door.tell(action, view, more)
    }

    // MARK: waiting

    /// The head of the answer goes out at once: clients wait for it before they start what they wait for.
    private func wait(_ call: DockerCall) async throws -> Response {
        let condition = call.value("condition") ?? "not-running"
        guard ["not-running", "next-exit", "removed"].contains(condition) else {
            throw EngineError(.invalidArgument, "invalid condition: \"\(condition)\"")
        }
        let events = door.engine.events.subscribe()
        let view = try await find(call)
        return DockerReply.stream(call, DockerReply.json) { writer in
            let code = await Self.exitCode(of: view, condition, events)
            try await writer.write(["StatusCode": .integer(Int64(code))])
        }
    }

    private static func exitCode(of view: InstanceView, _ condition: String, _ events: AsyncStream<EngineEvent>) async
        -> Int32
    {
        var code = view.record.lastExit?.code ?? 0
        // One whose process has just ended has no process any more, but its end is not written down yet.
        let isUp = view.status != .stopped && view.status != .error
        if condition == "not-running", !isUp { return code }
        let id = Metadata.string(view.record.id.raw)
        for await event in events where event.topic == .lifecycle && event.context["id"] == id {
            switch event.action {
            case "instance-stopped":
                if case .integer(let value)? = event.context["exit_code"] { code = Int32(truncatingIfNeeded: value) }
                if condition != "removed" { return code }
            case "instance-deleted": return code
            default: continue
            }
        }
        return code
    }

    // MARK: top

    /// ps(1) on the host, of which the lines of the container's processes are shown: as dockerd does it.
    private func top(_ call: DockerCall) async throws -> Response {
        let view = try await find(call)
        guard view.pid != nil else { throw Self.notRunning(view) }
        let asked = (call.value("ps_args") ?? "-ef").split(separator: " ").map(String.init)
        guard asked.allSatisfy({ $0.utf8.allSatisfy { $0 > 32 && $0 < 127 } }) else {
            throw EngineError(.invalidArgument, "the arguments for ps are malformed")
        }
        let pids = Set(try await instances.processes(view.record.name).map { String($0) })
        let result = try await ProcessRunner.run("ps", asked)
        let lines = String(decoding: result.output, as: UTF8.self).split(separator: "\n")
        let titles = (lines.first ?? "").split(separator: " ").map(String.init)
        guard result.status.raw == 0, let column = titles.firstIndex(of: "PID") else {
            throw EngineError(
                .invalidArgument, "ps \(asked.joined(separator: " ")) shows no PID",
                hint: String(decoding: result.error.prefix(200), as: UTF8.self))
        }
        let rows = lines.dropFirst().compactMap { line -> JSON? in
            let fields = line.split(separator: " ", maxSplits: titles.count - 1).map(String.init)
            guard fields.count > column, pids.contains(fields[column]) else { return nil }
            return .strings(fields)
        }
        return DockerReply.json(["Titles": .strings(titles), "Processes": .array(rows)])
    }
}

/// Why a container did not start, in the words by which docker's client chooses its exit code: 127 for a program that is
/// not there, 126 for one that cannot be executed.
enum StartFailure {
    static func explain(_ error: EngineError) -> EngineError {
        let what = "failed to create task for container"
        switch error.code {
        case .notFound where isAboutProgram(error):
            return EngineError(.notFound, "\(what): executable file not found in $PATH: \(error.description)")
        case .invalidArgument where isAboutProgram(error):
            return EngineError(.invalidArgument, "\(what): permission denied: \(error.description)")
        default: return error
        }
    }

    /// What the state of the container tells afterwards.
    static func exitCode(_ error: EngineError) -> Int32 {
        guard isAboutProgram(error) else { return 128 }
        return error.code == .notFound ? 127 : 126
    }

    private static func isAboutProgram(_ error: EngineError) -> Bool { error.message.hasPrefix("program ") }
}
