import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// Snapshots of instances.
struct SnapshotRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: RouteTable) {
        for root in ["instances", "containers", "virtual-machines"] {
            table.add(
                "/1.0/\(root)/:name/snapshots", [.get: { try await list($0, root) }, .post: { try await create($0) }])
            table.add(
                "/1.0/\(root)/:name/snapshots/:snapshot",
                [
                    .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                    .post: { try await rename($0) }, .delete: { try await delete($0) },
                ])
        }
    }

    private func list(_ call: Call, _ root: String) async throws -> Response {
        let name = try call.parameter("name")
        let records = try await instances.snapshots(name, project: call.project)
        if try call.recursion == 0 {
            return try Reply.sync(records.map { "/1.0/\(root)/\(name)/snapshots/\($0.name)" })
        }
        var rendered: [API.InstanceSnapshot] = []
        for record in records {
            rendered.append(API.InstanceSnapshot(record, expanded: await instances.expanded(record)))
        }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        let snapshot = try await rendered(call)
        return try Reply.sync(snapshot, etag: try ETag.of(snapshot.changeable))
    }

    private func rendered(_ call: Call) async throws -> API.InstanceSnapshot {
        let (name, snapshot) = (try call.parameter("name"), try call.parameter("snapshot"))
        let (record, expanded) = try await instances.snapshot(name, snapshot, project: call.project)
        let size = try await instances.snapshotUsage(name, snapshot, project: call.project)
        return API.InstanceSnapshot(record, expanded: expanded, size: size)
    }

    private func create(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.SnapshotsPost.self)
        let request = SnapshotRequest(
            name: post.name.isEmpty ? nil : post.name, expiry: try Expiry.asked(post.expiresAt),
            isStateful: post.stateful)
        if let snapshot = request.name { try Names.checkSnapshot(snapshot) }
        _ = try await instances.get(name, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Snapshotting instance", project: project, resources: Self.resources(name, request.name)
        ) { _ in
            let record = try await instances.createSnapshot(name, project: project, request)
            return ["name": .string(record.name)]
        }
    }

    /// Brings the instance back: what `PUT /1.0/instances/{name}` with `restore` asks for.
    func restore(_ call: Call, _ snapshot: String, stateful: Bool) async throws -> Response {
        let name = try call.parameter("name")
        // LXD's clients may write INSTANCE/SNAPSHOT.
        let bare = snapshot.split(separator: "/").last.map(String.init) ?? snapshot
        _ = try await instances.snapshot(name, bare, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Restoring snapshot", project: project, resources: Self.resources(name, bare)
        ) { _ in
            try await instances.restore(name, project: project, from: bare, isStateful: stateful)
            return [:]
        }
    }

    private func change(_ call: Call) async throws -> Response {
        let (name, snapshot) = (try call.parameter("name"), try call.parameter("snapshot"))
        let put = try await call.decode(API.SnapshotPut.self)
        try call.checkPrecondition(try ETag.of(try await rendered(call).changeable))
        let isWhole = call.request.method == .put
        let (instances, project) = (instances, call.project)
        let expiry = try put.expiresAt.flatMap { $0.isEmpty ? nil : $0 }.map { try Expiry.seconds($0) }
        guard let expiresAt = expiry ?? (isWhole ? .some(nil) : nil) else { return try Reply.done() }
        return try await door.operation(
            "Updating snapshot", project: project, resources: Self.resources(name, snapshot)
        ) { _ in
            try await instances.setSnapshotExpiry(name, snapshot, project: project, expiresAt)
            return [:]
        }
    }

    private func rename(_ call: Call) async throws -> Response {
        let (name, snapshot) = (try call.parameter("name"), try call.parameter("snapshot"))
        let post = try await call.decode(API.InstancePost.self)
        if post.migration == true { throw EngineError(.unsupported, "snapshots cannot be migrated") }
        try Names.checkSnapshot(post.name)
        _ = try await instances.snapshot(name, snapshot, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Renaming snapshot", project: project, resources: Self.resources(name, snapshot)
        ) { _ in
            try await instances.renameSnapshot(name, snapshot, project: project, to: post.name)
            return [:]
        }
    }

    private func delete(_ call: Call) async throws -> Response {
        let (name, snapshot) = (try call.parameter("name"), try call.parameter("snapshot"))
        _ = try await instances.snapshot(name, snapshot, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Deleting snapshot", project: project, resources: Self.resources(name, snapshot)
        ) { _ in
            try await instances.deleteSnapshot(name, snapshot, project: project)
            return [:]
        }
    }

    private static func resources(_ name: String, _ snapshot: String?) -> [String: [String]] {
        var resources = ["instances": ["/1.0/instances/\(name)"]]
        if let snapshot { resources["instances_snapshots"] = ["/1.0/instances/\(name)/snapshots/\(snapshot)"] }
        return resources
    }
}
