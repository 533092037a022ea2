import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/networks`.
struct NetworkRoutes: Sendable {
    let door: DoorParts
    private var networks: NetworkService { door.engine.networks }

    func add(to table: RouteTable) {
        table.add("/1.0/networks", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "/1.0/networks/:name",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .post: { try await rename($0) }, .delete: { try await delete($0) },
            ])
        table.add("/1.0/networks/:name/leases", [.get: { try await leases($0) }])
        table.add("/1.0/networks/:name/state", [.get: { try await state($0) }])
    }

    private func list(_ call: Call) async throws -> Response {
        let specs = await networks.list()
        // The host's own interfaces are no business of a client that is confined to projects.
        let others = call.caller.isAdministrator ? HostInterface.all(besides: Set(specs.map(\.bridge))) : []
        if try call.recursion == 0 {
            return try Reply.sync((specs.map(\.name) + others.map(\.name)).map { "/1.0/networks/\($0)" })
        }
        var rendered: [API.Network] = []
        for spec in specs { rendered.append(await render(spec)) }
        return try Reply.sync(rendered + others.map(\.network))
    }

    /// An interface of the host that is no managed network; nil if there is none of that name, or it is not shown.
    private func unmanaged(_ name: String, _ call: Call) async -> HostInterface? {
        guard call.caller.isAdministrator else { return nil }
        let specs = await networks.list()
        guard !specs.contains(where: { $0.name == name }) else { return nil }
        return HostInterface.all(besides: Set(specs.map(\.bridge))).first { $0.name == name }
    }

    /// A managed network; says so of an interface that is none.
    private func managed(_ call: Call) async throws -> NetworkSpec {
        let name = try call.parameter("name")
        if await unmanaged(name, call) != nil {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(name)) is an interface of the host, not a network of Isle's",
                hint: "only managed networks can be changed")
        }
        return try await networks.get(name)
    }

    private func get(_ call: Call) async throws -> Response {
        if let interface = await unmanaged(try call.parameter("name"), call) {
            return try Reply.sync(interface.network, etag: try ETag.of(interface.network.changeable))
        }
        let network = await render(try await networks.get(try call.parameter("name")))
        return try Reply.sync(network, etag: try ETag.of(network.changeable))
    }

    private func render(_ spec: NetworkSpec) async -> API.Network {
        let ports = await networks.endpoints().filter { $0.network == spec.name }
            .flatMap { API.PublishedPort.all(of: $0) }
        return API.Network(spec, usedBy: await users(of: spec.name), ports: ports)
    }

    /// Instances and profiles whose devices name it.
    private func users(of network: String) async -> [String] {
        @Sendable func uses(_ devices: [String: [String: String]]) -> Bool {
            devices.values.contains { $0["type"] == "nic" && ($0["network"] ?? $0["parent"]) == network }
        }
        let instances = await door.users { uses($0.expanded.devices) }
        let profiles = await door.engine.profiles.all().filter { uses($0.devices) }.map { Path.profile($0) }
        return instances + profiles
    }

    private func create(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.NetworksPost.self)
        try await networks.create(try NetworkSpec(post))
        return try Reply.created("/1.0/networks/\(post.name)")
    }

    private func change(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let put = try await call.decode(API.NetworkPut.self)
        let network = await render(try await managed(call))
        try call.checkPrecondition(try ETag.of(network.changeable))
        let isPatch = call.request.method == .patch
        var config = isPatch ? network.config.merging(put.config ?? [:]) { $1 } : put.config ?? [:]
        // The bridge stays what it is when it is not named.
        if config["bridge.name"] == nil { config["bridge.name"] = network.config["bridge.name"] }
        let description = put.description ?? (isPatch ? network.description : "")
        try await networks.update(try NetworkSpec(name: name, description: description, config: config))
        return try Reply.done()
    }

    private func rename(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.RenamePost.self)
        _ = try await managed(call)
        try await networks.rename(name, to: post.name, usedBy: await users(of: name))
        return try Reply.created("/1.0/networks/\(post.name)")
    }

    private func delete(_ call: Call) async throws -> Response {
        let name = try await managed(call).name
        try await networks.delete(name, usedBy: await users(of: name))
        return try Reply.done()
    }

    private func leases(_ call: Call) async throws -> Response {
        let leases = try await networks.leases(try call.parameter("name"))
        let fixed = Set(await networks.endpoints().compactMap(\.ipv4))
        return try Reply.sync(
            leases.map { lease in
                var rendered = API.NetworkLease(lease)
                rendered.type = fixed.contains(lease.address) ? "static" : "dynamic"
                return rendered
            })
    }

    private func state(_ call: Call) async throws -> Response {
        if let interface = await unmanaged(try call.parameter("name"), call) {
            return try Reply.sync(interface.state)
        }
        let network = try await networks.get(try call.parameter("name"))
        var state = API.NetworkState()
        state.state = await networks.isUp(network.name) ? "up" : "down"
        state.type = "broadcast"
        state.mtu = network.mtu ?? 1500
        for (family, text) in [("inet", network.ipv4), ("inet6", network.ipv6)] {
            guard let parts = text?.split(separator: "/"), parts.count == 2, let prefix = Int(parts[1]) else {
                continue
            }
            state.addresses.append(API.Address(family, String(parts[0]), prefix))
        }
        HostInterface(name: network.bridge).fill(&state)
        return try Reply.sync(state)
    }
}
