import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/projects`.
struct ProjectRoutes: Sendable {
    let door: DoorParts
    private var projects: ProjectService { door.engine.projects }
    private var changes: ProjectChanges { door.engine.projectChanges }

    func add(to table: RouteTable) {
        table.add("/1.0/projects", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "/1.0/projects/:name",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .post: { try await rename($0) }, .delete: { try await delete($0) },
            ])
        table.add("/1.0/projects/:name/state", [.get: { try await state($0) }])
    }

    private func list(_ call: Call) async throws -> Response {
        let records = await projects.list()
        if try call.recursion == 0 { return try Reply.sync(records.map { "/1.0/projects/\($0.name)" }) }
        var rendered: [API.Project] = []
        for record in records { rendered.append(await render(record)) }
        return try Reply.sync(rendered)
    }

    /// As LXD: a project with profiles of its own is used by its default profile too.
    private func render(_ record: ProjectRecord) async -> API.Project {
        var users = await changes.contents(of: record.name)
        if record.owner(of: .profiles) == record.name {
            users.append(Path.scoped("/1.0/profiles/default", record.name))
        }
        return API.Project(record, usedBy: users.sorted())
    }

    private func get(_ call: Call) async throws -> Response {
        let project = await render(try await projects.get(try call.parameter("name")))
        return try Reply.sync(project, etag: try ETag.of(project.changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ProjectsPost.self)
        try await changes.create(
            ProjectRecord(name: post.name, description: post.description, config: post.config))
        return try Reply.created("/1.0/projects/\(post.name)")
    }

    private func change(_ call: Call) async throws -> Response {
        let old = try await projects.get(try call.parameter("name"))
        try call.checkPrecondition(try ETag.of(API.Project(old, usedBy: []).changeable))
        let put = try await call.decode(API.ProjectPut.self)
        if call.request.method == .patch {
            try await changes.update(
                old.name, description: put.description ?? old.description,
                config: old.config.merging(put.config ?? [:]) { $1 })
        } else {
            var config = put.config ?? [:]
            // Features stay what they are unless they are named.
            for (key, value) in old.config where key.hasPrefix("features.") && config[key] == nil {
                config[key] = value
            }
            try await changes.update(old.name, description: put.description ?? "", config: config)
        }
        return try Reply.done()
    }

    private func rename(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.RenamePost.self)
        let changes = changes
        return try await door.operation("Renaming project", resources: ["projects": ["/1.0/projects/\(name)"]]) { _ in
            try await changes.rename(name, to: post.name)
            return [:]
        }
    }

    private func delete(_ call: Call) async throws -> Response {
        try await changes.remove(try call.parameter("name"))
        return try Reply.done()
    }

    private func state(_ call: Call) async throws -> Response {
        var state = API.ProjectState()
        state.resources = try await changes.state(of: try call.parameter("name")).mapValues {
            API.ProjectStateResource(limit: $0.limit, usage: $0.usage)
        }
        return try Reply.sync(state)
    }
}
