import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// What an instance does: its state, changes of it, and its end.
struct InstanceStateRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: RouteTable) {
        for root in ["instances", "containers", "virtual-machines"] {
            table.add("/1.0/\(root)/:name/state", [.get: { try await get($0) }, .put: { try await put($0) }])
        }
        table.add("/1.0/instances/:name/wait", [.get: { try await wait($0) }])
    }

    private func get(_ call: Call) async throws -> Response {
        let view = try await instances.get(try call.parameter("name"), project: call.project, withUsage: true)
        var counters: [String: NetworkCounters] = [:]
        if view.pid != nil {
            for endpoint in view.endpoints {
                counters[endpoint.device] = try await door.engine.networks.counters(endpoint)
            }
        }
        return try Reply.sync(API.InstanceState(view, counters: counters))
    }

    private func put(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let put = try await call.decode(API.InstanceStatePut.self)
        let change = try Change(put)
        _ = try await instances.get(name, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            change.description, project: project, resources: ["instances": ["/1.0/instances/\(name)"]]
        ) { _ in
            try await change.apply(to: name, project, instances)
            return [:]
        }
    }

    /// Answers when the instance has ended; 504 when `timeout` seconds have passed before.
    private func wait(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let timeout = try call.number("timeout").flatMap { $0 < 0 ? nil : Duration.seconds($0) }
        if let exit = try await instances.wait(name, project: call.project, timeout: timeout) {
            return try Reply.sync(API.InstanceExit(exit))
        }
        let view = try await instances.get(name, project: call.project)
        if view.pid != nil, let timeout {
            throw EngineError(.timeout, "instance \(Names.quoted(name)) still runs after \(timeout)")
        }
        throw EngineError(.conflict, "instance \(Names.quoted(name)) has not run yet", hint: "isle start \(name)")
    }

    /// A change of state as the API names it.
    private struct Change: Sendable {
        let put: API.InstanceStatePut
        let timeout: Duration?
        let description: String

        init(_ put: API.InstanceStatePut) throws {
            self.put = put
            timeout = put.timeout > 0 ? .seconds(put.timeout) : nil
            if put.stateful { throw EngineError(.unsupported, "stopping with memory kept is not offered") }
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

        func apply(to name: String, _ project: String, _ instances: InstanceService) async throws {
            switch put.action {
            case "start": try await instances.start(name, project: project)
            case "stop": try await instances.stop(name, project: project, force: put.force, timeout: timeout)
            case "restart": try await instances.restart(name, project: project, force: put.force, timeout: timeout)
            case "freeze": try await instances.pause(name, project: project)
            case "unfreeze": try await instances.resume(name, project: project)
            default: try await instances.kill(name, project: project, signal: put.signal ?? "KILL")
            }
        }
    }
}
