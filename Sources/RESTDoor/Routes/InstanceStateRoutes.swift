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
        return try Reply.sync(API.InstanceState(view))
    }

    private func put(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let put = try await call.decode(API.InstanceStatePut.self)
        let change = try StateChange(put)
        _ = try await instances.get(name, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            change.description, project: project, resources: ["instances": ["/1.0/instances/\(name)"]]
        ) { _ in
            OperationContext.warnings(try await change.apply(to: name, project, instances))
        }
    }

    /// Changes every instance of the project that is in a state to be changed.
    func putAll(_ call: Call) async throws -> Response {
        guard let put = try await call.decode(API.InstancesPut.self).state else {
            throw EngineError(.invalidArgument, "the field 'state' is missing")
        }
        let change = try StateChange(put)
        let (instances, project) = (instances, call.project)
        let names = await instances.list(project: project).filter { change.applies(to: $0.status) }.map(\.record.name)
        return try await door.operation(
            change.description, project: project, resources: ["instances": names.map { "/1.0/instances/\($0)" }]
        ) { _ in
            let failures = await withTaskGroup(of: (String, String)?.self) { group in
                for name in names {
                    group.addTask {
                        do {
                            try await change.apply(to: name, project, instances)
                            return nil
                        } catch {
                            return (name, "\(error)")
                        }
                    }
                }
                var failures: [(String, String)] = []
                for await case let failure? in group { failures.append(failure) }
                return failures.sorted { $0.0 < $1.0 }
            }
            guard failures.isEmpty else {
                throw EngineError(.conflict, failures.map { "\($0): \($1)" }.joined(separator: "; "))
            }
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
}
