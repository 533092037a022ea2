import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/network-acls`.
struct NetworkACLRoutes: Sendable {
    let door: DoorParts
    private var networks: NetworkService { door.engine.networks }

    func add(to table: RouteTable) {
        table.add("/1.0/network-acls", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "/1.0/network-acls/:name",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .post: { try await rename($0) }, .delete: { try await delete($0) },
            ])
    }

    private func list(_ call: Call) async throws -> Response {
        let acls = await networks.accessLists()
        if try call.recursion == 0 { return try Reply.sync(acls.map { "/1.0/network-acls/\($0.name)" }) }
        var rendered: [API.NetworkACL] = []
        for acl in acls { rendered.append(await render(acl)) }
        return try Reply.sync(rendered)
    }

    private func render(_ acl: DriverKit.NetworkACL) async -> API.NetworkACL {
        API.NetworkACL(acl, usedBy: await networks.networks(with: acl.name).map { "/1.0/networks/\($0)" })
    }

    private func find(_ call: Call) async throws -> API.NetworkACL {
        await render(try await networks.accessList(try call.parameter("name")))
    }

    private func get(_ call: Call) async throws -> Response {
        let acl = try await find(call)
        return try Reply.sync(acl, etag: try ETag.of(acl.changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.NetworkACL.self)
        try await networks.create(try DriverKit.NetworkACL(name: post.name, post.changeable))
        return try Reply.created("/1.0/network-acls/\(post.name)")
    }

    private func change(_ call: Call) async throws -> Response {
        let old = try await find(call)
        try call.checkPrecondition(try ETag.of(old.changeable))
        var put = try await call.decode(API.NetworkACLPut.self)
        if call.request.method == .patch {
            put.description = put.description ?? old.description
            put.config = old.config.merging(put.config ?? [:]) { $1 }
            put.ingress = put.ingress ?? old.ingress
            put.egress = put.egress ?? old.egress
        }
        try await networks.update(try DriverKit.NetworkACL(name: old.name, put))
        return try Reply.done()
    }

    private func rename(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.RenamePost.self)
        try await networks.renameACL(try call.parameter("name"), to: post.name)
        return try Reply.created("/1.0/network-acls/\(post.name)")
    }

    private func delete(_ call: Call) async throws -> Response {
        try await networks.deleteACL(try call.parameter("name"))
        return try Reply.done()
    }
}
