import Engine
import Model
import WireTypes

/// A change of state as the API names it.
struct StateChange: Sendable {
    let put: API.InstanceStatePut
    let timeout: Duration?
    let description: String

    init(_ put: API.InstanceStatePut) throws {
        self.put = put
        timeout = put.timeout > 0 ? .seconds(put.timeout) : nil
        switch put.action {
        case "start": description = "Starting instance"
        case "stop": description = "Stopping instance"
        case "restart": description = "Restarting instance"
        case "freeze": description = "Freezing instance"
        case "unfreeze": description = "Unfreezing instance"
        case "kill": description = "Signalling instance"
        default:
            throw EngineError(
                .invalidArgument, "\(Names.quoted(put.action)) is not an action",
                hint: "start, stop, restart, freeze, unfreeze or kill")
        }
        if let signal = put.signal, Signals.number(signal) == nil {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(signal)) is not a signal",
                hint: "a name as TERM or a number from 1 to 64")
        }
    }

    /// Whether an instance in that state is changed by it at all.
    func applies(to status: InstanceStatus) -> Bool {
        switch put.action {
        case "start": status == .stopped || status == .error
        case "freeze": status == .running
        case "unfreeze": status == .frozen
        default: status == .running || status == .frozen
        }
    }

    /// LXD's words where there is nothing to change; nil where there is.
    private func refusal(_ status: InstanceStatus) -> String? {
        switch (put.action, status) {
        case ("start", .running): "The instance is already running"
        case ("stop", .stopped), ("restart", .stopped), ("stop", .error), ("restart", .error):
            "The instance is already stopped"
        case ("freeze", .frozen): "The instance is already frozen"
        case ("unfreeze", .running): "The instance is already running"
        default: nil
        }
    }

    /// Gives the notices of a start.
    @discardableResult
    func apply(to name: String, _ project: String, _ instances: InstanceService) async throws -> [String] {
        let status = try await instances.get(name, project: project).status
        if !put.idempotent, let text = refusal(status) { throw EngineError(.conflict, text) }
        switch put.action {
        case "start": return try await instances.start(name, project: project, keepingState: put.stateful)
        case "stop" where put.stateful: try await instances.stopKeepingState(name, project: project)
        case "stop":
            try await instances.stop(
                name, project: project, force: put.force, timeout: timeout, killing: put.force || put.kill)
        case "restart":
            return try await instances.restart(
                name, project: project, force: put.force, timeout: timeout, killing: put.force || put.kill)
        case "freeze": try await instances.pause(name, project: project)
        case "unfreeze": try await instances.resume(name, project: project)
        default: try await instances.kill(name, project: project, signal: put.signal ?? "KILL")
        }
        return []
    }
}
