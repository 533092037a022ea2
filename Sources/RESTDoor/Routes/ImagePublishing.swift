import DoorKit
import DriverKit
import Engine
import Hummingbird
import Model
import WireTypes

/// Images of instances: LXD's publish, and Isle's commit.
struct ImagePublishing: Sendable {
    let door: DoorParts

    func add(to table: RouteTable) {
        table.add("/1.0/instances/:name/commit", [.post: { try await commit($0) }])
        table.add("/1.0/instances/:name/changes", [.get: { try await changes($0) }])
        table.add("/1.0/instances/:name/rootfs", [.get: { try await export($0) }])
    }

    /// `POST /1.0/images` with an instance as its source.
    func publish(_ call: Call, _ post: API.ImagesPost, _ source: API.ImagesPostSource) async throws -> Response {
        guard let name = source.name, !name.isEmpty else {
            throw EngineError(.invalidArgument, "source.name is missing: the instance to publish")
        }
        guard ["", "none", "gzip", "zstd", "bzip2", "xz", "lzma", "squashfs"].contains(post.compressionAlgorithm ?? "")
        else {
            throw EngineError(
                .invalidArgument, "compression_algorithm=\(Names.quoted(post.compressionAlgorithm ?? "")) is not known")
        }
        let request = CommitRequest(
            comment: "published", mayRun: false, isBundle: true,
            addition: ImageWish(post, project: await door.imageProject(call)).addition)
        let (instances, project) = (
            door.engine.instances, source.project.flatMap { $0.isEmpty ? nil : $0 } ?? call.project
        )
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        let snapshot = source.type == "snapshot" && parts.count == 2 ? parts[1] : nil
        guard source.type != "snapshot" || snapshot != nil else {
            throw EngineError(.invalidArgument, "source.name=\(Names.quoted(name)) is not INSTANCE/SNAPSHOT")
        }
        _ = try await instances.get(parts[0], project: project)
        return try await door.operation(
            "Creating image", project: call.project, resources: ["instances": ["/1.0/instances/\(parts[0])"]],
            mayCancel: true
        ) { context in
            let progress = ProgressRelay(context)
            let record: ImageRecord
            if let snapshot {
                record = try await instances.commit(parts[0], snapshot: snapshot, project: project, request) {
                    progress.report($0)
                }
            } else {
                record = try await instances.commit(name, project: project, request) { progress.report($0) }
            }
            await progress.finish()
            return ["fingerprint": .string(record.fingerprint), "size": .integer(record.bundle?.size ?? record.size)]
        }
    }

    private func commit(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.InstanceCommitPost.self)
        let (instances, project) = (door.engine.instances, call.project)
        _ = try await instances.get(name, project: project)
        let request = CommitRequest(
            reference: post.reference.isEmpty ? nil : post.reference, author: post.author, comment: post.comment,
            pause: post.pause ?? true, addition: ImageAddition(project: await door.imageProject(call)))
        return try await door.operation(
            "Creating image", project: project, resources: ["instances": ["/1.0/instances/\(name)"]], mayCancel: true
        ) { context in
            let progress = ProgressRelay(context)
            let record = try await instances.commit(name, project: project, request) { progress.report($0) }
            await progress.finish()
            return ["fingerprint": .string(record.fingerprint), "size": .integer(record.size)]
        }
    }

    private func changes(_ call: Call) async throws -> Response {
        let changes = try await door.engine.instances.changes(try call.parameter("name"), project: call.project)
        return try Reply.sync(
            changes.map { change in
                var entry = API.PathChange()
                entry.path = change.path
                entry.kind = change.kind.rawValue
                return entry
            })
    }

    /// The whole tree of an instance as a tar.
    private func export(_ call: Call) async throws -> Response {
        let file = try Spool(directory: door.engine.layout.temporary, name: "rootfs.tar", format: nil)
        do {
            try await door.engine.instances.export(
                try call.parameter("name"), project: call.project, to: file.path)
            return Response(status: .ok, headers: [.contentType: "application/x-tar"], body: try file.body())
        } catch {
            await file.remove()
            throw error
        }
    }
}
