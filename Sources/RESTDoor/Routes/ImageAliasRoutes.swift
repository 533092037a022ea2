import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/images/aliases`: LXD's names of images. The store's references are shown among them and can be removed like
/// them; the references of an image are made by `/1.0/images/:image/references`.
struct ImageAliasRoutes: Sendable {
    let door: DoorParts
    private var images: ImageService { door.engine.images }

    func add(to table: RouteTable) {
        table.add("/1.0/images/aliases", [.get: { try await list($0) }, .post: { try await add($0) }])
        table.add(
            "/1.0/images/aliases/:alias",
            [
                .get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) },
                .post: { try await rename($0) }, .delete: { try await remove($0) },
            ])
    }

    private func list(_ call: Call) async throws -> Response {
        let project = await door.imageProject(call)
        let views = try await images.list(project: project).filter {
            call.caller.isClient || API.Image($0, project: project).isPublic
        }
        let entries = views.flatMap { view in
            view.aliases.map { Self.entry($0.name, view, $0.description) }
                + view.references.map { Self.entry($0, view) }
        }.sorted { $0.name < $1.name }
        if try call.recursion == 0 { return try Reply.sync(entries.map { "/1.0/images/aliases/\($0.name)" }) }
        return try Reply.sync(entries)
    }

    private func get(_ call: Call) async throws -> Response {
        try await door.admit(call, try call.parameter("alias"))
        let entry = try await entry(call)
        return try Reply.sync(entry, etag: try ETag.of(entry))
    }

    private func entry(_ call: Call) async throws -> API.ImageAliasesEntry {
        let name = try call.parameter("alias")
        let view = try await images.get(name, project: await door.imageProject(call))
        let alias = view.aliases.first { $0.name == name }
        guard alias != nil || !view.record.fingerprint.hasPrefix(name) else {
            throw EngineError(.notFound, "image alias \(Names.quoted(name)) does not exist")
        }
        return Self.entry(name, view, alias?.description ?? "")
    }

    private static func entry(_ name: String, _ view: ImageView, _ description: String = "") -> API.ImageAliasesEntry {
        var entry = API.ImageAliasesEntry()
        entry.name = name
        entry.description = description
        entry.target = view.record.fingerprint
        entry.type = view.record.content == .disk ? "virtual-machine" : "container"
        return entry
    }

    private func add(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ImageAliasesEntry.self)
        guard !post.name.isEmpty, !post.target.isEmpty else {
            throw EngineError(.invalidArgument, "an alias needs a name and a target")
        }
        try await images.addAlias(
            post.name, for: post.target, description: post.description, project: await door.imageProject(call))
        return try Reply.created("/1.0/images/aliases/\(post.name)")
    }

    private func put(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.ImageAliasesEntry.self)
        guard !put.target.isEmpty else { throw EngineError(.invalidArgument, "the alias has no target") }
        try call.checkPrecondition(try ETag.of(try await entry(call)))
        try await images.updateAlias(
            try call.parameter("alias"), target: put.target, description: put.description,
            project: await door.imageProject(call))
        return try Reply.done()
    }

    private func patch(_ call: Call) async throws -> Response {
        let patch = try await call.decode(API.ImageAliasPatch.self)
        try call.checkPrecondition(try ETag.of(try await entry(call)))
        try await images.updateAlias(
            try call.parameter("alias"), target: patch.target, description: patch.description,
            project: await door.imageProject(call))
        return try Reply.done()
    }

    private func rename(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ImageAlias.self)
        try await images.renameAlias(try call.parameter("alias"), to: post.name, project: await door.imageProject(call))
        return try Reply.created("/1.0/images/aliases/\(post.name)")
    }

    private func remove(_ call: Call) async throws -> Response {
        let name = try call.parameter("alias")
        do {
            try await images.removeAlias(name, project: await door.imageProject(call))
        } catch let error as EngineError where error.code == .notFound {
            try await images.untag(name)
        }
        return try Reply.done()
    }
}
