import DoorKit
import DriverKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// The classic builder, and images of containers.
struct BuildRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) {
        table.add(.post, "/build") { try await build($0) }
        table.add(.post, "/build/prune") { _ in try await prune() }
        table.add(.post, "/commit") { try await commit($0) }
        table.add(.get, "/containers/:id/changes") { try await changes($0) }
    }

    // MARK: build

    private func build(_ call: DockerCall) async throws -> Response {
        guard call.value("version") != "2" else {
            throw Refusal(
                .notImplemented,
                "this engine does not speak BuildKit's protocol: use the classic builder with DOCKER_BUILDKIT=0")
        }
        guard call.value("remote") == nil else {
            throw EngineError(.unsupported, "building from an address is not offered", hint: "send the context")
        }
        try ContainerRoutes.checkPlatform(call.value("platform"))
        let network = call.value("networkmode") ?? "default"
        guard ["default", "bridge", "host", "none"].contains(network) else {
            throw EngineError(.invalidArgument, "the network mode \(Names.quoted(network)) of a build is not offered")
        }
        let tags = try call.values("t").filter { !$0.isEmpty }.map { tag in
            guard let full = ImageNames.full(tag) else {
                throw EngineError(.invalidArgument, "invalid reference format: \(tag)")
            }
            return full
        }
        var request = BuildRequest(
            context: "", dockerfile: call.value("dockerfile") ?? "Dockerfile",
            arguments: try Self.texts(call, "buildargs"), labels: try Self.texts(call, "labels"),
            target: call.value("target"), noCache: call.flag("nocache"), pull: call.flag("pull"),
            squash: call.flag("squash"), architecture: HostFacts.architecture, hasNetwork: network != "none",
            extraHosts: call.values("extrahosts").flatMap { $0.split(separator: ",").map(String.init) },
            shmSize: try call.number("shmsize").flatMap { $0 > 0 ? Int64($0) : nil },
            cacheFrom: try Self.list(call, "cachefrom"))
        // As dockerd: images that are named as caches are the only ones, and of those that are missing there is nothing.
        if !request.cacheFrom.isEmpty {
            let here = try await door.engine.images.list().flatMap(\.references)
            let isKnown = request.cacheFrom.contains { name in
                [ImageNames.full(name), ImageNames.local(name)].contains { $0.map(here.contains) ?? false }
            }
            if !isKnown { request.noCache = true }
        }
        let credentials = try RegistryAuth.all(call.header("X-Registry-Config"))
        let file = try Spool(directory: door.engine.layout.temporary, name: "context.tar", format: nil)
        do { try await file.fill(call.request.body) } catch {
            await file.remove()
            throw error
        }
        request.context = file.path
        return answer(call, request, tags, credentials, file)
    }

    private func answer(
        _ call: DockerCall, _ request: BuildRequest, _ tags: [String], _ credentials: [String: RegistryCredentials],
        _ file: Spool
    ) -> Response {
        let builds = door.engine.builds
        // A quiet build says the image's id and nothing else, but for what went wrong.
        let isQuiet = call.flag("q")
        return DockerReply.stream(call, DockerReply.json) { writer in
            let progress = ProgressMessages(.pull)
            let work = Task {
                do {
                    let lines = ClosingLines { if !isQuiet { progress.send(["stream": .string($0)]) } }
                    let outcome = try await builds.build(request, tags: tags, credentials: credentials) {
                        lines.send($0.hasSuffix("\n") ? $0 : $0 + "\n")
                    }
                    progress.send(["aux": ["ID": .string(outcome.image.digest)]])
                    lines.finish()
                    if isQuiet { progress.send(["stream": .string(outcome.image.digest + "\n")]) }
                } catch {
                    let text = DockerReply.describe(error).1
                    var detail: JSON = ["message": .string(text)]
                    if let code = Self.exitCode(text) { detail = detail.merging(["code": .integer(code)]) }
                    progress.send(["errorDetail": detail, "error": .string(text)])
                }
                await file.remove()
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

    /// The exit code of a command that failed, with which docker's client ends too.
    private static func exitCode(_ text: String) -> Int64? {
        guard text.hasPrefix("The command '"), let word = text.split(separator: " ").last else { return nil }
        return Int64(word)
    }

    /// A value of the query that is a JSON object of texts; null stands for an argument without a value.
    private static func texts(_ call: DockerCall, _ name: String) throws -> [String: String] {
        try Fields(["value": try json(call, name)]).texts("value")
    }

    private static func list(_ call: DockerCall, _ name: String) throws -> [String] {
        try Fields(["value": try json(call, name)]).strings("value")
    }

    private static func json(_ call: DockerCall, _ name: String) throws -> JSON {
        guard let text = call.value(name) else { return .null }
        do { return try JSONParser.parse(text.utf8) } catch {
            throw EngineError(.invalidArgument, "\(name): \(error)")
        }
    }

    private func prune() async throws -> Response {
        let freed = try await door.engine.builds.prune()
        return DockerReply.json(["CachesDeleted": nil, "SpaceReclaimed": .integer(freed)])
    }

    // MARK: images of containers

    private func commit(_ call: DockerCall) async throws -> Response {
        guard let container = call.value("container") else {
            throw EngineError(.invalidArgument, "the container is not named")
        }
        let changes = try call.values("changes").flatMap { $0.split(separator: "\n") }.map {
            try ImageInstruction(String($0))
        }
        let view = try await door.finder.find(container)
        var request = CommitRequest(
            author: call.value("author"), comment: call.value("comment"), pause: call.flag("pause", default: true))
        if !changes.isEmpty { request.adjust = { config in for change in changes { change.apply(to: &config) } } }
        if let repository = call.value("repo") {
            guard let full = ImageNames.full(repository + (call.value("tag").map { ":" + $0 } ?? "")) else {
                throw EngineError(.invalidArgument, "invalid reference format: \(repository)")
            }
            request.reference = full
        }
        let image = try await door.engine.instances.commit(view.record.name, request)
        await door.tell("commit", view, ["imageID": image.digest])
        return DockerReply.json(["Id": .string(image.digest)], status: .created)
    }

    private func changes(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let changes = try await door.engine.instances.changes(view.record.name)
        return DockerReply.json(
            .array(
                changes.map { change in
                    let kind: Int64 =
                        switch change.kind {
                        case .modified: 0
                        case .added: 1
                        case .deleted: 2
                        }
                    return ["Path": .string(change.path), "Kind": .integer(kind)]
                }))
    }
}
