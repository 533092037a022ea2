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
        table.add("/1.0/images/prune", [.post: { try await prune($0) }])
        table.add(
            "/1.0/images/:image",
            [
                .get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) },
                .delete: { try await delete($0) },
            ])
        table.add("/1.0/images/:image/history", [.get: { try await history($0) }])
        table.add("/1.0/images/:image/push", [.post: { try await push($0) }])
        table.add("/1.0/images/:image/references", [.post: { try await tag($0) }])
        table.add("/1.0/images/:image/refresh", [.post: { try await refresh($0) }])
        table.add("/1.0/images/:image/secret", [.post: { try await secret($0) }])
        table.add("/1.0/images/:image/convert", [.post: { try await convert($0) }])
    }

    private func view(_ call: Call) async throws -> ImageView {
        try await images.get(try call.parameter("image"), project: await door.imageProject(call))
    }

    private func get(_ call: Call) async throws -> Response {
        try await door.admit(call, try call.parameter("image"))
        let image = API.Image(try await view(call), project: await door.imageProject(call))
        return try Reply.sync(image, etag: try ETag.of(image.changeable))
    }

    private func put(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.ImagePut.self)
        try await change(
            call,
            ImageUpdate(
                properties: (put.properties ?? [:]).withoutEmpty, isPublic: put.isPublic ?? false,
                autoUpdate: put.autoUpdate ?? false,
                expiresAt: try Self.time(put.expiresAt) ?? 0, profiles: put.profiles ?? []))
        return try Reply.done()
    }

    private func patch(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.ImagePut.self)
        let known = try await view(call).record.properties
        let properties = put.properties.map { changes in known.merging(changes) { $1 }.withoutEmpty }
        try await change(
            call,
            ImageUpdate(
                properties: properties, isPublic: put.isPublic, autoUpdate: put.autoUpdate,
                expiresAt: try Self.time(put.expiresAt), profiles: put.profiles))
        return try Reply.done()
    }

    private func change(_ call: Call, _ update: ImageUpdate) async throws {
        let view = try await view(call)
        try call.checkPrecondition(try ETag.of(API.Image(view, project: await door.imageProject(call)).changeable))
        try await images.update(view.record.digest, project: await door.imageProject(call), update)
    }

    /// Seconds since 1970; nil if nothing was stated, 0 for never.
    static func time(_ text: String?) throws -> Double? {
        guard let text, !text.isEmpty else { return nil }
        guard let seconds = WireTypes.Timestamp.seconds(text) else {
            throw EngineError(
                .invalidArgument, "expires_at=\(Names.quoted(text)) is not a time as 2026-01-31T00:00:00Z")
        }
        return max(0, seconds)
    }

    private func refresh(_ call: Call) async throws -> Response {
        let name = try await view(call).record.digest
        let (images, project) = (images, await door.imageProject(call))
        return try await door.operation("Refreshing image", project: project, mayCancel: true) { context in
            let progress = ProgressRelay(context)
            let isNew = try await images.refresh(name, project: project) { progress.report($0) }
            await progress.finish()
            return ["refreshed": .bool(isNew)]
        }
    }

    /// The secret is in the operation's metadata, as LXD has it, from the first answer on: clients take it from there
    /// without asking again.
    private func secret(_ call: Call) async throws -> Response {
        let record = try await view(call).record
        let secret = try await images.makeSecret(record.digest, project: await door.imageProject(call))
        let path = "/1.0/images/\(record.fingerprint)"
        return try await door.operation(
            "Image download token", project: call.project, resources: ["images": [path]],
            metadata: ["secret": .string(secret)]
        ) { _ in [:] }
    }

    /// Gives an OCI image LXD's form (Isle's).
    private func convert(_ call: Call) async throws -> Response {
        let name = try await view(call).record.digest
        let (images, project) = (images, await door.imageProject(call))
        return try await door.operation("Converting image", project: project) { _ in
            let record = try await images.makeBundle(name, project: project)
            return ["fingerprint": .string(record.fingerprint)]
        }
    }

    /// A further reference (Isle's); LXD's aliases are made by `/1.0/images/aliases`.
    private func tag(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ImageAlias.self)
        guard !post.name.isEmpty else { throw EngineError(.invalidArgument, "the reference has no name") }
        try await images.tag(try await view(call).record.digest, as: post.name)
        return try Reply.done()
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

    /// By fingerprint the image itself is deleted, as with LXD; by a reference that reference, and the image with its
    /// last one.
    private func delete(_ call: Call) async throws -> Response {
        let name = try call.parameter("image")
        let (force, images, project) = (call.flag("force"), images, await door.imageProject(call))
        let view = try await view(call)
        let isFingerprint = name == view.record.fingerprint || "sha256:" + name == view.record.digest
        return try await door.operation("Deleting image", project: project) { _ in
            if isFingerprint, !force {
                try await images.delete(view.record.digest, project: project)
                return ["deleted": .string(view.record.digest)]
            }
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
}
