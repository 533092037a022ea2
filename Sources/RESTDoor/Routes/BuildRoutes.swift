import DoorKit
import DriverKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore
import WireTypes

/// Building images (Isle's). The answer tells what happens while it happens; a client that goes ends its build.
struct BuildRoutes: Sendable {
    let door: DoorParts

    func add(to table: RouteTable) {
        table.add("/1.0/images/build", [.post: { try await build($0) }])
        table.add("/1.0/images/build/cache", [.get: { _ in try await usage() }, .delete: { _ in try await prune() }])
    }

    private func build(_ call: Call) async throws -> Response {
        let post = try Self.post(call)
        guard post.ssh.isEmpty || call.context.peer.credentials?.user == 0 else {
            throw EngineError(.permissionDenied, "only root may name agent sockets of the server")
        }
        guard ["", "default", "host", "none"].contains(post.network ?? "") else {
            throw EngineError(
                .invalidArgument, "network=\(Names.quoted(post.network ?? "")) is not known", hint: "default or none")
        }
        let file = try Spool(directory: door.engine.layout.temporary, name: "context.tar", format: nil)
        do { try await file.fill(call.request.body) } catch {
            await file.remove()
            throw error
        }
        let request = Self.request(post, context: file.path, architecture: Self.machine)
        let (builds, project) = (door.engine.builds, call.project)
        let body = ResponseBody { writer in
            var writer = writer
            let events = AsyncStream<API.BuildEvent> { stream in
                let task = Task {
                    stream.yield(
                        await Self.run(builds, request, tags: post.tags, project) {
                            stream.yield(API.BuildEvent(line: $0))
                        })
                    stream.finish()
                }
                let beat = Task {
                    while !Task.isCancelled {
                        // A blank line: writing it finds out whether the client is still there.
                        stream.yield(API.BuildEvent())
                        try? await Task.sleep(for: .seconds(1))
                    }
                }
                stream.onTermination = { _ in
                    task.cancel()
                    beat.cancel()
                }
            }
            do {
                for await event in events {
                    var bytes = ByteBuffer()
                    if event != API.BuildEvent() { bytes.writeBytes(try Reply.encode(event)) }
                    bytes.writeInteger(UInt8(ascii: "\n"))
                    try await writer.write(bytes)
                }
                try await writer.finish(nil)
            } catch {
                await file.remove()
                throw error
            }
            await file.remove()
        }
        return Response(status: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
    }

    /// Builds and gives the last event.
    private static func run(
        _ builds: BuildService, _ request: BuildRequest, tags: [String], _ project: String,
        _ line: @escaping @Sendable (String) -> Void
    ) async -> API.BuildEvent {
        var event = API.BuildEvent()
        do {
            let outcome = try await builds.build(request, tags: tags, project: project, output: line)
            event.fingerprint = outcome.image.fingerprint
            event.references = outcome.references
        } catch let error as EngineError {
            event.error = error.description
            event.errorCode = error.code.httpStatus.code
        } catch {
            event.error = error is CancellationError ? "the build was cancelled" : "\(error)"
            event.errorCode = 500
        }
        return event
    }

    private static func post(_ call: Call) throws -> API.BuildPost {
        guard let name = HTTPField.Name(API.BuildPost.header), let text = call.request.headers[name] else {
            return API.BuildPost()
        }
        guard let json = text.removingURLPercentEncoding() else {
            throw EngineError(.invalidArgument, "the header \(API.BuildPost.header) is wrongly encoded")
        }
        do { return try JSONDecoder().decode(API.BuildPost.self, from: Data(json.utf8)) } catch {
            throw EngineError(.invalidArgument, "the header \(API.BuildPost.header) is not understood", cause: error)
        }
    }

    private static func request(_ post: API.BuildPost, context: String, architecture: String) -> BuildRequest {
        BuildRequest(
            context: context, dockerfile: post.dockerfile.isEmpty ? "Dockerfile" : post.dockerfile,
            arguments: post.arguments, labels: post.labels, target: post.target.flatMap { $0.isEmpty ? nil : $0 },
            noCache: post.noCache, pull: post.pull, squash: post.squash, architecture: architecture,
            hasNetwork: post.network != "none", extraHosts: post.extraHosts, shmSize: post.shmSize,
            secrets: post.secrets.mapValues { Array($0.utf8) }, ssh: post.ssh, cacheFrom: post.cacheFrom)
    }

    private static var machine: String {
        #if arch(x86_64)
            "x86_64"
        #else
            "aarch64"
        #endif
    }

    private func usage() async throws -> Response {
        try Reply.sync(["size": try await door.engine.builds.usage()])
    }

    private func prune() async throws -> Response {
        let builds = door.engine.builds
        return try await door.operation("Removing what builds keep") { _ in
            ["freed": .integer(try await builds.prune())]
        }
    }
}
