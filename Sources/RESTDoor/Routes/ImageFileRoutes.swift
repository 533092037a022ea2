import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/images`: list, and making images: from a registry, a package mirror, a file, an upload, another server, a web
/// address, or an instance.
struct ImageFileRoutes: Sendable {
    let door: DoorParts
    private var images: ImageService { door.engine.images }

    func add(to table: RouteTable) {
        table.add("/1.0/images", [.get: { try await list($0) }, .post: { try await post($0) }])
    }

    private func list(_ call: Call) async throws -> Response {
        let filter = try Filter(call.query("filter"))
        let project = call.flag("all-projects") ? nil : await door.imageProject(call)
        let rendered = try await images.list(project: project)
            .map { API.Image($0, project: project ?? $0.record.projects?.first ?? "default") }
            .filter { filter.matches($0) && ($0.isPublic || call.caller.isClient) }.sorted {
                $0.fingerprint < $1.fingerprint
            }
        if try call.recursion == 0 { return try Reply.sync(rendered.map { "/1.0/images/\($0.fingerprint)" }) }
        return try Reply.sync(rendered)
    }

    private func post(_ call: Call) async throws -> Response {
        let type = call.request.headers[.contentType] ?? "application/json"
        if type.hasPrefix("application/json") || type.hasPrefix("application/x-www-form-urlencoded") {
            return try await fetch(call)
        }
        if type.hasPrefix("multipart/form-data") { return try await uploadParts(call, type) }
        guard type.hasPrefix("application/octet-stream") else {
            throw RequestError(
                .unsupportedMediaType,
                "images are uploaded as application/octet-stream or multipart/form-data, not \(type)")
        }
        return try await upload(call)
    }

    // MARK: from elsewhere

    private func fetch(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.ImagesPost.self)
        guard let source = post.source else { throw EngineError(.invalidArgument, "the image has no source") }
        let credentials = source.username.map { RegistryCredentials(username: $0, password: source.password ?? "") }
        let name = source.reference ?? source.alias ?? ""
        let names = post.aliases ?? []
        let wish = ImageWish(post, project: await door.imageProject(call))
        switch source.type {
        case "image" where wish.isRemote:
            return try await remote(call, wish)
        case "url":
            return try await remote(call, wish)
        case "instance", "container", "virtual-machine", "snapshot":
            return try await ImagePublishing(door: door).publish(call, post, source)
        case "image" where source.project != nil && source.project != call.project:
            return try await copy(call, wish, source)
        case "registry", "image":
            guard !name.isEmpty else { throw EngineError(.invalidArgument, "source.reference is missing") }
            return try await work(call, "Pulling image", names) { images, progress in
                [try await images.pull(name, credentials: credentials, progress: progress)]
            }
        case "bootstrap":
            let words = name.split(separator: "/").map(String.init)
            guard words.count == 2 || (words.count == 3 && source.variant == nil) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(name)) is not a suite", hint: "write it as debian/bookworm")
            }
            let variant = source.variant ?? (words.count == 3 ? words[2] : "system")
            return try await work(call, "Building image", names) { images, progress in
                [
                    try await images.bootstrap(
                        distribution: words[0], suite: words[1], variant: variant, progress: progress)
                ]
            }
        case "file":
            // The daemon reads what the caller may not be able to.
            guard call.context.peer.credentials?.user == 0 else {
                throw EngineError(
                    .permissionDenied, "only root may name a file of the server", hint: "upload the file instead")
            }
            guard let path = source.path, path.hasPrefix("/") else {
                throw EngineError(.invalidArgument, "source.path is not an absolute path")
            }
            return try await work(call, "Importing image", names) { images, progress in
                try await images.importFile(path, reference: name.isEmpty ? nil : name, progress: progress)
            }
        case "" where source.mode == "push":
            throw EngineError(
                .unsupported, "images are not pushed from server to server",
                hint: "lxc image copy --mode relay, or pull where this server reaches the other")
        default:
            throw EngineError(
                .unsupported, "an image cannot come from a source of type \(Names.quoted(source.type))",
                hint: "image, url, instance, registry, bootstrap, or upload the file")
        }
    }

    private func remote(_ call: Call, _ wish: ImageWish) async throws -> Response {
        let origin = try wish.origin()
        return try await work(call, "Downloading image", []) { images, progress in
            [try await images.fetch(origin, secret: wish.secret, wish.addition, progress: progress)]
        }
    }

    /// Within this daemon.
    private func copy(_ call: Call, _ wish: ImageWish, _ source: API.ImagesPostSource) async throws -> Response {
        let name = source.fingerprint ?? source.alias ?? ""
        let from = await door.engine.projects.owner(of: .images, in: source.project ?? "default")
        _ = try await images.get(name, project: from)
        return try await work(call, "Copying image", []) { images, _ in
            [try await images.copy(name, from: from, wish.addition)]
        }
    }

    // MARK: uploaded

    private func upload(_ call: Call) async throws -> Response {
        let headers = ImageUploadHeaders(call)
        let file = try Spool(
            directory: door.engine.layout.temporary, name: headers.filename,
            format: headers[API.ImageUploadHeader.format])
        do {
            try await file.fill(call.request.body)
            let wish = try ImageWish(headers, project: await door.imageProject(call))
            let reference = headers[API.ImageUploadHeader.reference]
            return try await work(call, "Importing image", []) { images, progress in
                do {
                    let records: [ImageRecord]
                    if reference == nil, try await images.isBundle(file.path) {
                        let files = BundleFiles(metadata: file.path, names: [headers.filename ?? "image.tar"])
                        records = [
                            try await images.importBundle(
                                files, fingerprint: headers.fingerprint, wish.addition, progress: progress)
                        ]
                    } else {
                        guard headers.fingerprint == nil else {
                            throw EngineError(
                                .unsupported,
                                "the file is no image in LXD's form, so its fingerprint cannot be checked",
                                hint: "leave it out")
                        }
                        records = try await images.importFile(file.path, reference: reference, progress: progress)
                        if let first = records.first {
                            for alias in wish.addition.aliases {
                                try await images.addAlias(alias.name, for: first.digest, project: wish.addition.project)
                            }
                        }
                    }
                    await file.remove()
                    return records
                } catch {
                    await file.remove()
                    throw file.named(error)
                }
            }
        } catch {
            await file.remove()
            throw error
        }
    }

    /// LXD's image in two files.
    private func uploadParts(_ call: Call, _ type: String) async throws -> Response {
        guard var reader = MultipartReader(type: type, directory: door.engine.layout.temporary) else {
            throw EngineError(.invalidArgument, "the content type names no boundary")
        }
        let headers = ImageUploadHeaders(call)
        let wish = try ImageWish(headers, project: await door.imageProject(call))
        let parts = try await reader.read(call.request.body)
        let cleanUp: @Sendable () async -> Void = { for part in parts { await part.file.remove() } }
        guard parts.count == 2, parts[0].name == "metadata", parts[1].name == "rootfs" || parts[1].name == "rootfs.img"
        else {
            await cleanUp()
            throw EngineError(
                .invalidArgument, "the upload has not the two parts 'metadata' and 'rootfs' (or 'rootfs.img')")
        }
        let files = BundleFiles(
            metadata: parts[0].file.path, root: parts[1].file.path, rootIsDisk: parts[1].name == "rootfs.img",
            names: parts.map { Spool.harmless($0.filename) })
        return try await work(call, "Importing image", []) { images, progress in
            do {
                let record = try await images.importBundle(
                    files, fingerprint: headers.fingerprint, wish.addition, progress: progress)
                await cleanUp()
                return [record]
            } catch {
                await cleanUp()
                throw parts.reduce(error) { $1.file.named($0) }
            }
        }
    }

    private func work(
        _ call: Call, _ description: String, _ names: [API.ImageAlias],
        _ body:
            @Sendable @escaping (ImageService, @escaping @Sendable (TransferProgress) -> Void) async throws ->
            [ImageRecord]
    ) async throws -> Response {
        let (images, project) = (images, await door.imageProject(call))
        return try await door.operation(description, project: call.project, mayCancel: true) { context in
            let progress = ProgressRelay(context)
            let records = try await body(images) { progress.report($0) }
            await progress.finish()
            guard let first = records.first else { return [:] }
            for name in names where !name.name.isEmpty {
                try await images.addAlias(
                    name.name, for: first.digest, description: name.description, project: project)
            }
            let fingerprints = records.map(\.fingerprint)
            return [
                "fingerprint": .string(fingerprints[0]), "fingerprints": .array(fingerprints.map { .string($0) }),
                "size": .integer(first.bundle?.size ?? first.size),
            ]
        }
    }
}
