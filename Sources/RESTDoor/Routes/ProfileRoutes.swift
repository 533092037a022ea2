import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/profiles`.
struct ProfileRoutes: Sendable {
    let door: DoorParts
    private var profiles: ProfileService { door.engine.profiles }

    func add(to table: RouteTable) {
        table.add("/1.0/profiles", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "/1.0/profiles/:name",
            [
                .get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) },
                .post: { try await rename($0) }, .delete: { try await delete($0) },
            ])
    }

    private func users(of name: String) async -> [String] {
        await door.users { $0.record.profiles.contains(name) }
    }

    private func list(_ call: Call) async throws -> Response {
        let records = await profiles.list(project: call.project)
        if try call.recursion == 0 { return try Reply.sync(records.map { "/1.0/profiles/\($0.name)" }) }
        var rendered: [API.Profile] = []
        for record in records { rendered.append(API.Profile(record, usedBy: await users(of: record.name))) }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        let record = try await profiles.get(try call.parameter("name"), project: call.project)
        let profile = API.Profile(record, usedBy: await users(of: record.name))
        return try Reply.sync(profile, etag: try ETag.of(profile.changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ProfilesPost.self)
        try await profiles.create(
            ProfileRecord(
                project: call.project, name: post.name, description: post.description, config: post.config,
                devices: post.devices))
        return try Reply.created("/1.0/profiles/\(post.name)")
    }

    private func put(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.ProfilePut.self)
        var record = try await checked(call)
        record.description = put.description ?? ""
        record.config = put.config ?? [:]
        record.devices = put.devices ?? [:]
        try await profiles.update(record)
        return try Reply.done()
    }

    private func patch(_ call: Call) async throws -> Response {
        let patch = try await call.decode(API.ProfilePut.self)
        var record = try await checked(call)
        if let description = patch.description { record.description = description }
        record.config = record.config.merging(patch.config ?? [:]) { $1 }.filter { !$0.value.isEmpty }
        record.devices = record.devices.merging(patch.devices ?? [:]) { $1 }.filter { !$0.value.isEmpty }
        try await profiles.update(record)
        return try Reply.done()
    }

    private func checked(_ call: Call) async throws -> ProfileRecord {
        let record = try await profiles.get(try call.parameter("name"), project: call.project)
        try call.checkPrecondition(try ETag.of(API.Profile(record, usedBy: []).changeable))
        return record
    }

    private func rename(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.RenamePost.self)
        guard name != "default" else {
            throw EngineError(.permissionDenied, "the profile 'default' cannot be renamed")
        }
        let users = await users(of: name)
        guard users.isEmpty else {
            throw EngineError(
                .conflict, "profile \(Names.quoted(name)) is used by \(users.joined(separator: ", "))",
                hint: "take it from those instances first")
        }
        var record = try await profiles.get(name, project: call.project)
        record.name = post.name
        try await profiles.create(record)
        try await profiles.delete(name, project: call.project, usedBy: [])
        return try Reply.created("/1.0/profiles/\(post.name)")
    }

    private func delete(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        try await profiles.delete(name, project: call.project, usedBy: await users(of: name))
        return try Reply.done()
    }
}
