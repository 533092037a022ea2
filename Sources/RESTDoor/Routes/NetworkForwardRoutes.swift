import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/networks/NAME/forwards`.
struct NetworkForwardRoutes: Sendable {
    let door: DoorParts
    private var networks: NetworkService { door.engine.networks }

    func add(to table: RouteTable) {
        table.add("/1.0/networks/:name/forwards", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "/1.0/networks/:name/forwards/:address",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .delete: { try await delete($0) },
            ])
    }

    private func list(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let forwards = try await networks.forwards(name)
        if try call.recursion == 0 {
            return try Reply.sync(forwards.map { "/1.0/networks/\(name)/forwards/\($0.listenAddress)" })
        }
        return try Reply.sync(forwards.map { API.NetworkForward($0) })
    }

    private func find(_ call: Call) async throws -> DriverKit.NetworkForward {
        try await networks.forward(try call.parameter("name"), try call.parameter("address"))
    }

    private func get(_ call: Call) async throws -> Response {
        let forward = API.NetworkForward(try await find(call))
        return try Reply.sync(forward, etag: try ETag.of(forward.changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.NetworkForward.self)
        let forward = try DriverKit.NetworkForward(
            listenAddress: post.listenAddress, description: post.description, config: post.config, ports: post.ports)
        try await networks.addForward(name, forward)
        return try Reply.created("/1.0/networks/\(name)/forwards/\(forward.listenAddress)")
    }

    private func change(_ call: Call) async throws -> Response {
        let old = API.NetworkForward(try await find(call))
        try call.checkPrecondition(try ETag.of(old.changeable))
        let put = try await call.decode(API.NetworkForwardPut.self)
        let isPatch = call.request.method == .patch
        let config = isPatch ? old.config.merging(put.config ?? [:]) { $1 } : put.config ?? [:]
        let forward = try DriverKit.NetworkForward(
            listenAddress: old.listenAddress, description: put.description ?? (isPatch ? old.description : ""),
            config: config, ports: put.ports ?? (isPatch ? old.ports : []))
        try await networks.setForward(try call.parameter("name"), forward)
        return try Reply.done()
    }

    private func delete(_ call: Call) async throws -> Response {
        try await networks.removeForward(try call.parameter("name"), try call.parameter("address"))
        return try Reply.done()
    }
}
