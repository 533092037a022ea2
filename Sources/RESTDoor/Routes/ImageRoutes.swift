import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/images`: looking, pulling, pushing, naming, removing.
struct ImageRoutes: Sendable {
    let door: DoorParts
    private var images: ImageService { door.engine.images }

    func add(to table: RouteTable) {
        table.add("/1.0/images/aliases", [.get: { try await aliases($0) }, .post: { try await tag($0) }])
        table.add(
            "/1.0/images/aliases/:alias", [.get: { try await alias($0) }, .delete: { try await untag($0) }])
        table.add("/1.0/images/prune", [.post: { try await prune($0) }])
        table.add("/1.0/images/:image", [.get: { try await get($0) }, .delete: { try await delete($0) }])
        table.add("/1.0/images/:image/history", [.get: { try await history($0) }])
        table.add("/1.0/images/:image/push", [.post: { try await push($0) }])
    }

    private func get(_ call: Call) async throws -> Response {
        try Reply.sync(API.Image(try await images.get(try call.parameter("image"))))
    }

    private func history(_ call: Call) async throws -> Response {
        let entries = try await images.history(try call.parameter("image"))
        return try Reply.sync(entries.map { API.ImageHistoryEntry($0) })
    }

    private func push(_ call: Call) async throws -> Response {
        let name = try call.parameter("image")
        let post = try await call.decode(API.ImagePushPost.self)
        let credentials = post.username.map { RegistryCredentials(username: $0, password: post.password ?? "") }
        _ = try await images.get(name)
        let images = images
        return try await door.operation("Pushing image", mayCancel: true) { context in
            let progress = ProgressRelay(context)
            try await images.push(
                name, to: post.reference.isEmpty ? nil : post.reference, credentials: credentials
            ) { progress.report($0) }
            await progress.finish()
            return [:]
        }
    }

    private func delete(_ call: Call) async throws -> Response {
        let name = try call.parameter("image")
        let force = call.flag("force")
        _ = try await images.get(name)
        let images = images
        return try await door.operation("Deleting image") { _ in
            let result = try await images.remove(name, force: force)
            return [
                "untagged": .array(result.untagged.map { .string($0) }),
                "deleted": result.deleted.map { .string($0) } ?? .null,
            ]
        }
    }

    private func prune(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ImagesPrunePost.self)
        let images = images
        return try await door.operation("Pruning images") { _ in
            let result = try await images.prune(all: post.all)
            return [
                "removed": .array(result.deleted.map { .string(String($0.dropFirst("sha256:".count))) }),
                "freed": .integer(result.freed),
            ]
        }
    }

    // MARK: names

    private func aliases(_ call: Call) async throws -> Response {
        let entries = try await images.list().flatMap { view in view.references.map { Self.entry($0, view) } }
            .sorted { $0.name < $1.name }
        if try call.recursion == 0 {
            return try Reply.sync(entries.map { "/1.0/images/aliases/\($0.name)" })
        }
        return try Reply.sync(entries)
    }

    private func alias(_ call: Call) async throws -> Response {
        let name = try call.parameter("alias")
        return try Reply.sync(Self.entry(name, try await images.get(name)))
    }

    private static func entry(_ name: String, _ view: ImageView) -> API.ImageAliasesEntry {
        var entry = API.ImageAliasesEntry()
        entry.name = name
        entry.target = API.Image(view).fingerprint
        entry.type = view.record.content == .disk ? "virtual-machine" : "container"
        return entry
    }

    private func tag(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ImageAliasesEntry.self)
        guard !post.name.isEmpty, !post.target.isEmpty else {
            throw EngineError(.invalidArgument, "an alias needs a name and a target")
        }
        try await images.tag(post.target, as: post.name)
        return try Reply.created("/1.0/images/aliases/\(post.name)")
    }

    /// An image's last name goes with the image only.
    private func untag(_ call: Call) async throws -> Response {
        let name = try call.parameter("alias")
        let view = try await images.get(name)
        guard view.references.count > 1 else {
            throw EngineError(
                .conflict, "\(Names.quoted(name)) is the image's only name",
                hint: "delete the image, or name it anew first")
        }
        try await images.remove(name)
        return try Reply.done()
    }
}
