import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// Images on their way in and out: list and pull, upload, export.
struct ImageFileRoutes: Sendable {
    let door: DoorParts
    private var images: ImageService { door.engine.images }

    func add(to table: RouteTable) {
        table.add("/1.0/images", [.get: { try await list($0) }, .post: { try await post($0) }])
        table.add("/1.0/images/:image/export", [.get: { try await export($0) }])
    }

    private func list(_ call: Call) async throws -> Response {
        let rendered = try await images.list().map { API.Image($0) }.sorted { $0.fingerprint < $1.fingerprint }
        if try call.recursion == 0 { return try Reply.sync(rendered.map { "/1.0/images/\($0.fingerprint)" }) }
        return try Reply.sync(rendered)
    }

    private func post(_ call: Call) async throws -> Response {
        let type = call.request.headers[.contentType] ?? "application/json"
        if type.hasPrefix("application/json") || type.hasPrefix("application/x-www-form-urlencoded") {
            return try await fetch(call)
        }
        guard type.hasPrefix("application/octet-stream") else {
            throw RequestError(.unsupportedMediaType, "images are uploaded as application/octet-stream, not \(type)")
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
        switch source.type {
        case "registry", "image":
            guard !name.isEmpty else { throw EngineError(.invalidArgument, "source.reference is missing") }
            return try await work("Pulling image", names) { images, progress in
                [try await images.pull(name, credentials: credentials, progress: progress)]
            }
        case "bootstrap":
            let words = name.split(separator: "/").map(String.init)
            guard words.count == 2 || (words.count == 3 && source.variant == nil) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(name)) is not a suite", hint: "write it as debian/bookworm")
            }
            let variant = source.variant ?? (words.count == 3 ? words[2] : "system")
            return try await work("Building image", names) { images, progress in
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
            return try await work("Importing image", names) { images, progress in
                try await images.importFile(path, reference: name.isEmpty ? nil : name, progress: progress)
            }
        default:
            throw EngineError(
                .unsupported, "an image cannot come from a source of type \(Names.quoted(source.type))",
                hint: "registry, bootstrap, or upload the file")
        }
    }

    // MARK: uploaded

    private func upload(_ call: Call) async throws -> Response {
        let headers = call.request.headers
        func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
        if header(API.ImageUploadHeader.fingerprint) != nil {
            throw EngineError(.unsupported, "a fingerprint given with an upload is not checked", hint: "leave it out")
        }
        let reference = header(API.ImageUploadHeader.reference) ?? Self.alias(header(API.ImageUploadHeader.aliases))
        let file = try Spool(
            directory: door.engine.layout.temporary,
            name: header(API.ImageUploadHeader.filename)?.removingURLPercentEncoding(),
            format: header(API.ImageUploadHeader.format))
        do {
            try await file.fill(call.request.body)
            return try await work("Importing image", []) { images, progress in
                do {
                    let records = try await images.importFile(file.path, reference: reference, progress: progress)
                    await file.remove()
                    return records
                } catch {
                    await file.remove()
                    throw error
                }
            }
        } catch {
            await file.remove()
            throw error
        }
    }

    /// The first name of `alias=NAME&alias=NAME`.
    private static func alias(_ text: String?) -> String? {
        text?.split(separator: "&").first { $0.hasPrefix("alias=") }
            .flatMap { String($0.dropFirst(6)).removingURLPercentEncoding() }
    }

    private func work(
        _ description: String, _ names: [API.ImageAlias],
        _ body:
            @Sendable @escaping (ImageService, @escaping @Sendable (TransferProgress) -> Void) async throws ->
            [ImageRecord]
    ) async throws -> Response {
        let images = images
        return try await door.operation(description, mayCancel: true) { context in
            let progress = ProgressRelay(context)
            let records = try await body(images) { progress.report($0) }
            await progress.finish()
            guard let first = records.first else { return [:] }
            for name in names where !name.name.isEmpty { try await images.tag(first.digest, as: name.name) }
            let fingerprints = records.map { String($0.digest.dropFirst("sha256:".count)) }
            return [
                "fingerprint": .string(fingerprints[0]), "fingerprints": .array(fingerprints.map { .string($0) }),
                "size": .integer(first.size),
            ]
        }
    }

    // MARK: out

    private func export(_ call: Call) async throws -> Response {
        let name = try call.parameter("image")
        guard let format = ImageArchiveFormat(rawValue: call.query("format") ?? "oci") else {
            throw EngineError(.invalidArgument, "the format is neither oci nor docker")
        }
        let view = try await images.get(name)
        let file = try Spool(directory: door.engine.layout.temporary, name: "image.tar", format: nil)
        do {
            try await images.export([name], format: format, to: file.path)
            let fingerprint = API.Image(view).fingerprint.prefix(12)
            return Response(
                status: .ok,
                headers: [
                    .contentType: "application/octet-stream",
                    .contentDisposition: "attachment; filename=\(fingerprint).tar",
                ],
                body: try file.body())
        } catch {
            await file.remove()
            throw error
        }
    }
}
