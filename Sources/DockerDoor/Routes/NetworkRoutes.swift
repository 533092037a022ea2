import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// Networks: Isle's managed bridges, and Docker's `host` and `none`.
struct NetworkRoutes: Sendable {
    let door: DockerParts
    private var networks: NetworkService { door.engine.networks }

    func add(to table: inout PathTable) {
        table.add(.get, "/networks") { try await list($0) }
        table.add(.post, "/networks/create") { try await create($0) }
        table.add(.post, "/networks/prune") { try await prune($0) }
        table.add(.get, "/networks/:id") { try await inspect($0) }
        table.add(.delete, "/networks/:id") { try await delete($0) }
        table.add(.post, "/networks/:id/connect") { try await connect($0) }
        table.add(.post, "/networks/:id/disconnect") { try await disconnect($0) }
    }

    private static let predefined: Set<String> = ["bridge", "host", "none"]

    private func list(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(["dangling", "driver", "id", "label", "label!", "name", "scope", "type"])
        let names = await door.names()
        let dangling = try filters.bool("dangling")
        let users = await users()
        var rendered: [JSON] = []
        for spec in await networks.list() {
            let name = names.dockerName(spec.name)
            guard filters.fits(labels: NetworkRendering.labels(spec)),
                Self.fits(filters, name: name, id: ContainerID.of(name: spec.name), driver: "bridge"),
                dangling.map({ $0 == (users[spec.name]?.isEmpty ?? true) && !Self.predefined.contains(name) }) ?? true
            else { continue }
            rendered.append(NetworkRendering.render(spec, name: name, containers: nil))
        }
        for (name, driver) in [("host", "host"), ("none", "null")] {
            guard filters.fits(labels: [:]), dangling != true,
                Self.fits(filters, name: name, id: ContainerID.of(name: name), driver: driver)
            else { continue }
            rendered.append(NetworkRendering.predefined(name, driver: driver))
        }
        return DockerReply.json(.array(rendered))
    }

    private static func fits(_ filters: Filters, name: String, id: String, driver: String) -> Bool {
        filters.fits("name") { name.contains($0) } && filters.fits("id") { id.hasPrefix($0) }
            && filters.fits("driver") { $0 == driver } && filters.fits("scope") { $0 == "local" }
            && filters.fits("type") { $0 == (predefined.contains(name) ? "builtin" : "custom") }
    }

    /// Names of the instances on each network, running or not.
    private func users() async -> [String: [InstanceView]] {
        var users: [String: [InstanceView]] = [:]
        for view in await door.engine.instances.list() {
            for device in view.expanded.devices.values where device["type"] == "nic" {
                if let network = device["network"] ?? device["parent"] { users[network, default: []].append(view) }
            }
        }
        return users
    }

    private func find(_ reference: String) async throws -> NetworkSpec {
        try await networks.get(try await door.names().engineName(reference))
    }

    private func inspect(_ call: DockerCall) async throws -> Response {
        let reference = try call.parameter("id")
        for (name, driver) in [("host", "host"), ("none", "null")]
        where reference == name || reference == ContainerID.of(name: name) {
            return DockerReply.json(NetworkRendering.predefined(name, driver: driver))
        }
        let names = await door.names()
        let spec = try await find(reference)
        let containers = await users()[spec.name, default: []].filter { $0.pid != nil }
        return DockerReply.json(
            NetworkRendering.render(spec, name: names.dockerName(spec.name), containers: containers))
    }

    private func create(_ call: DockerCall) async throws -> Response {
        let body = try await call.body()
        guard let name = try body.text("Name") else {
            throw EngineError(.invalidArgument, "network name must not be empty")
        }
        guard !Self.predefined.contains(name), name != "default" else {
            throw Refusal(.forbidden, "operation is not permitted on predefined \(name) network ")
        }
        guard await door.names().existing.contains(name) == false else {
            throw EngineError(.conflict, "network with name \(name) already exists")
        }
        let translation = try await NetworkCreation(body, name: name, used: networks.list())
        try await networks.create(translation.spec)
        return DockerReply.json(
            [
                "Id": .string(ContainerID.of(name: name)),
                "Warning": .string(translation.warnings.joined(separator: "; ")),
            ],
            status: .created)
    }

    private func delete(_ call: DockerCall) async throws -> Response {
        let reference = try call.parameter("id")
        let spec = try await find(reference)
        guard spec.name != door.server.standardNetwork else {
            throw Refusal(.forbidden, "bridge is a pre-defined network and cannot be removed")
        }
        // Docker lets go of containers that do not run; they fail to start afterwards.
        let active = await users()[spec.name, default: []].filter { $0.pid != nil }
        guard active.isEmpty else {
            throw Refusal(
                .forbidden,
                "error while removing network: network \(reference) id \(ContainerID.of(name: spec.name)) has active endpoints"
            )
        }
        try await networks.delete(spec.name, usedBy: [])
        return DockerReply.empty()
    }

    private func prune(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(["until", "label", "label!"])
        let users = await users()
        var deleted: [String] = []
        for spec in await networks.list() where spec.name != door.server.standardNetwork {
            guard users[spec.name]?.isEmpty ?? true, filters.fits(labels: NetworkRendering.labels(spec)) else {
                continue
            }
            try await networks.delete(spec.name, usedBy: [])
            deleted.append(spec.name)
        }
        return DockerReply.json(["NetworksDeleted": deleted.isEmpty ? nil : .strings(deleted)])
    }

    // MARK: containers

    private func connect(_ call: DockerCall) async throws -> Response {
        let spec = try await find(try call.parameter("id"))
        let body = try await call.body()
        guard let container = try body.text("Container") else {
            throw EngineError(.invalidArgument, "the container is not named")
        }
        let endpoint = try EndpointBody(body.object("EndpointConfig"))
        let view = try await door.finder.find(container)
        var devices = view.record.devices
        guard !Self.nics(view).contains(where: { $0.value["network"] == spec.name }) else {
            throw Refusal(
                .forbidden, "endpoint with name \(view.record.name) already exists in network \(spec.name)")
        }
        var number = 0
        while view.expanded.devices["eth\(number)"].map({ $0["type"] == "nic" }) ?? false { number += 1 }
        devices["eth\(number)"] = NetworkTranslation.nic(
            spec.name, endpoint, name: "eth\(number)", mac: nil,
            aliases: spec.name == door.server.standardNetwork ? [] : [ContainerID.short(view.record.id)])
        try await change(view, devices)
        tell("connect", spec, view)
        return DockerReply.empty(.ok)
    }

    private func disconnect(_ call: DockerCall) async throws -> Response {
        let spec = try await find(try call.parameter("id"))
        let body = try await call.body()
        guard let container = try body.text("Container") else {
            throw EngineError(.invalidArgument, "the container is not named")
        }
        let view = try await door.finder.find(container)
        let found = Self.nics(view).filter { $0.value["network"] == spec.name }
        guard !found.isEmpty else {
            throw Refusal(
                .forbidden, "container \(ContainerID.full(view.record.id)) is not connected to the network \(spec.name)"
            )
        }
        var devices = view.record.devices
        // A device of a profile is hidden, the container's own go.
        for (name, _) in found { devices[name] = ["type": "none"] }
        try await change(view, devices)
        tell("disconnect", spec, view)
        return DockerReply.empty(.ok)
    }

    private static func nics(_ view: InstanceView) -> [String: [String: String]] {
        view.expanded.devices.filter { $0.value["type"] == "nic" }
    }

    private func change(_ view: InstanceView, _ devices: [String: [String: String]]) async throws {
        _ = try await door.engine.instances.update(view.record.name, UpdateRequest(devices: devices))
    }

    private func tell(_ action: String, _ spec: NetworkSpec, _ view: InstanceView) {
        door.events.publish(
            EventLog.Event(
                type: "network", action: action, id: ContainerID.of(name: spec.name),
                attributes: ["name": spec.name, "type": "bridge", "container": ContainerID.full(view.record.id)],
                time: Clock.now))
    }
}
