import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// Images on their way in and out: pull, push, import, load, save.
struct ImageTransferRoutes: Sendable {
    let door: DockerParts
    private var images: ImageService { door.engine.images }

    func add(to table: inout PathTable) {
        table.add(.post, "/images/create") { try await create($0) }
        table.add(.post, "/images/load") { try await load($0) }
        table.add(.get, "/images/get") { try await save($0, $0.values("names")) }
        table.add(.get, "/images/*name/get") { try await save($0, [$0.parameter("name")]) }
        table.add(.post, "/images/*name/push") { try await push($0) }
    }

    // MARK: pull and import

    private func create(_ call: DockerCall) async throws -> Response {
        if let source = call.value("fromSrc") { return try await bringIn(call, source) }
        guard let image = call.value("fromImage") else {
            throw EngineError(.invalidArgument, "the image to pull is not named", hint: "fromImage or fromSrc")
        }
        try ContainerRoutes.checkPlatform(call.value("platform"))
        let tag = call.value("tag")
        let name = image + (tag.map { $0.hasPrefix("sha256:") ? "@" + $0 : ":" + $0 } ?? "")
        guard let full = ImageNames.full(name) else {
            throw EngineError(.invalidArgument, "invalid reference format: \(name)")
        }
        let credentials = try RegistryAuth.credentials(call.header("X-Registry-Auth"))
        let images = images
        return transfer(call, .pull) { progress in
            let (title, shown) = ImageNames.split(ImageNames.familiar(full, among: []))
            progress.send(["status": .string("Pulling from \(title)"), "id": .string(shown ?? title)])
            let record: ImageRecord
            do {
                record = try await images.pull(full, credentials: credentials) { progress.report($0) }
            } catch let error as EngineError where title.hasPrefix("moby/buildkit") {
                // buildx wants it for a builder of its own, since this engine has no BuildKit in it.
                throw EngineError(
                    error.code, error.message,
                    hint: "this engine has the classic builder: set DOCKER_BUILDKIT=0 to build without BuildKit")
            }
            progress.send(["status": .string("Digest: \(record.digest)")])
            progress.send([
                "status": .string("Status: Downloaded newer image for \(ImageNames.familiar(full, among: []))")
            ])
        }
    }

    /// A root filesystem from the body; from an address only where the client fetched it itself.
    private func bringIn(_ call: DockerCall, _ source: String) async throws -> Response {
        guard source == "-" else {
            throw EngineError(
                .unsupported, "fetching \(Names.quoted(source)) is not offered", hint: "send the archive as the body")
        }
        let changes = try call.values("changes").flatMap { $0.split(separator: "\n") }.map {
            try ImageInstruction(String($0))
        }
        var adjust: (@Sendable (inout ImageConfig) -> Void)?
        if !changes.isEmpty { adjust = { config in for change in changes { change.apply(to: &config) } } }
        let name = call.value("repo").map { $0 + (call.value("tag").map { ":" + $0 } ?? "") }
        let reference = try name.map { name in
            guard let full = ImageNames.full(name) else {
                throw EngineError(.invalidArgument, "invalid reference format: \(name)")
            }
            return full
        }
        let file = try await upload(call)
        let images = images
        return transfer(call, .pull) { [adjust] progress in
            let records = try await Self.using(file) {
                try await images.importArchive(file.path, reference: reference, adjust: adjust) { _ in }
            }
            if let record = records.first { progress.send(["status": .string(record.image.digest)]) }
        }
    }

    private func load(_ call: DockerCall) async throws -> Response {
        let images = images
        let records: Result<[(image: ImageRecord, names: [String])], any Error>
        do {
            records = .success(
                try await BodyPipe.feed(call.request.body) { descriptor in
                    try await images.importArchive(from: descriptor, name: "from the client") { _ in }
                })
        } catch { records = .failure(error) }
        return transfer(call, .pull) { progress in
            let records = try records.get()
            let all = Set(try await images.list().flatMap(\.references))
            for (image, names) in records {
                for name in names {
                    let tag = ImageNames.familiar(name, among: all)
                    progress.send(["stream": .string("Loaded image: \(tag)\n")])
                }
                if names.isEmpty {
                    progress.send(["stream": .string("Loaded image ID: \(image.digest)\n")])
                }
            }
        }
    }

    private func upload(_ call: DockerCall) async throws -> Spool {
        let file = try Spool(directory: door.engine.layout.temporary, name: "image.tar", format: nil)
        do { try await file.fill(call.request.body) } catch {
            await file.remove()
            throw error
        }
        return file
    }

    private static func using<Result: Sendable>(_ file: Spool, _ body: () async throws -> Result) async throws -> Result
    {
        do {
            let result = try await body()
            await file.remove()
            return result
        } catch {
            await file.remove()
            throw error
        }
    }

    // MARK: push and save

    private func push(_ call: DockerCall) async throws -> Response {
        let name = try call.parameter("name")
        guard let full = ImageNames.full(name + (call.value("tag").map { ":" + $0 } ?? "")) else {
            throw EngineError(.invalidArgument, "invalid reference format: \(name)")
        }
        let (view, _) = try await door.imageNames.reference(full)
        let credentials = try RegistryAuth.credentials(call.header("X-Registry-Auth"))
        let images = images
        return transfer(call, .push) { progress in
            let (title, tag) = ImageNames.split(full)
            progress.send(["status": .string("The push refers to repository [\(title)]")])
            try await images.push(view.record.digest, to: full, credentials: credentials) { progress.report($0) }
            let digest = view.record.digest
            progress.send([
                "status": .string("\(tag ?? "latest"): digest: \(digest) size: \(view.record.size)")
            ])
            progress.send([
                "progressDetail": [:],
                "aux": [
                    "Tag": .string(tag ?? "latest"), "Digest": .string(digest), "Size": .integer(view.record.size),
                ],
            ])
        }
    }

    private func save(_ call: DockerCall, _ names: [String]) async throws -> Response {
        guard !names.isEmpty else { throw EngineError(.invalidArgument, "no image was named") }
        var references: [String] = []
        for name in names { references.append(try await door.imageNames.reference(name).reference) }
        let file = try Spool(directory: door.engine.layout.temporary, name: "image.tar", format: nil)
        do {
            try await images.export(references, format: .docker, to: file.path, namesDigests: false)
            return Response(status: .ok, headers: [.contentType: "application/x-tar"], body: try file.body())
        } catch {
            await file.remove()
            throw error
        }
    }

    // MARK: -

    /// Work that tells how far it is. What fails before the first word has a status of its own; later an error is the
    /// stream's last message, as with dockerd.
    private func transfer(
        _ call: DockerCall, _ direction: ProgressMessages.Direction,
        _ body: @escaping @Sendable (ProgressMessages) async throws -> Void
    ) -> Response {
        let progress = ProgressMessages(direction)
        return DockerReply.stream(call, DockerReply.json) { writer in
            let work = Task {
                do { try await body(progress) } catch {
                    let text = DockerReply.describe(error).1
                    progress.send(["errorDetail": ["message": .string(text)], "error": .string(text)])
                }
                progress.finish()
            }
            try await withTaskCancellationHandler {
                for await message in progress.messages { try await writer.write(message) }
            } onCancel: {
                work.cancel()
            }
            await work.value
        }
    }
}
