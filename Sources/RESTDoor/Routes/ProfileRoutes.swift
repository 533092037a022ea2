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

    private var changes: ProfileChanges { door.engine.profileChanges }

    private func users(of record: ProfileRecord) async -> [String] {
        await changes.users(of: record.name, project: record.project).map { Path.instance($0.record) }
    }

    private func list(_ call: Call) async throws -> Response {
        let records =
            call.projectOrAll == nil ? await profiles.all() : await profiles.list(project: call.project)
        if try call.recursion == 0 { return try Reply.sync(records.map { Path.profile($0) }) }
        var rendered: [API.Profile] = []
        for record in records { rendered.append(API.Profile(record, usedBy: await users(of: record))) }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        let record = try await profiles.get(try call.parameter("name"), project: call.project)
        let profile = API.Profile(record, usedBy: await users(of: record))
        return try Reply.sync(profile, etag: try ETag.of(profile.changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ProfilesPost.self)
        try await profiles.create(
            ProfileRecord(
                project: call.project, name: post.name, description: post.description, config: post.config.withoutEmpty,
                devices: post.devices.withoutEmptyKeys))
        return try Reply.created("/1.0/profiles/\(post.name)")
    }

    private func put(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.ProfilePut.self)
        var record = try await checked(call)
        record.description = put.description ?? ""
        record.config = (put.config ?? [:]).withoutEmpty
        record.devices = (put.devices ?? [:]).withoutEmptyKeys
        try await changes.update(record)
        return try Reply.done()
    }

    private func patch(_ call: Call) async throws -> Response {
        let patch = try await call.decode(API.ProfilePut.self)
        var record = try await checked(call)
        if let description = patch.description { record.description = description }
        record.config = record.config.merging(patch.config ?? [:]) { $1 }.withoutEmpty
        record.devices = record.devices.merging((patch.devices ?? [:]).withoutEmptyKeys) { $1 }.filter {
            !$0.value.isEmpty
        }
        try await changes.update(record)
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
        try await changes.rename(name, to: post.name, project: call.project)
        return try Reply.created("/1.0/profiles/\(post.name)")
    }

    private func delete(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let users = await users(of: try await profiles.get(name, project: call.project))
        try await profiles.delete(name, project: call.project, usedBy: users)
        return try Reply.done()
    }
}
