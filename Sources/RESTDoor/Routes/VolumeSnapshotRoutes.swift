import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// Snapshots of custom volumes.
struct VolumeSnapshotRoutes: Sendable {
    let door: DoorParts
    private var volumes: VolumeService { door.engine.volumes }

    func add(to table: RouteTable) {
        let volume = "/1.0/storage-pools/:pool/volumes/:type/:name"
        table.add("\(volume)/snapshots", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "\(volume)/snapshots/:snapshot",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .post: { try await rename($0) }, .delete: { try await delete($0) },
            ])
    }

    private func list(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        let snapshots = await volumes.snapshots(of: volume)
        if try call.recursion == 0 { return try Reply.sync(snapshots.map { Self.path(volume, $0.name) }) }
        return try Reply.sync(snapshots.map { API.VolumeSnapshot($0) })
    }

    private func get(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        let snapshot = API.VolumeSnapshot(try await volumes.snapshot(try call.parameter("snapshot"), of: volume))
        return try Reply.sync(snapshot, etag: try ETag.of(snapshot.changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        let post = try await call.decode(API.SnapshotsPost.self)
        let request = SnapshotRequest(
            name: post.name.isEmpty ? nil : post.name, expiry: try Expiry.asked(post.expiresAt))
        if let name = request.name { try Names.checkSnapshot(name) }
        let (volumes, description) = (volumes, post.description ?? "")
        return try await work("Snapshotting storage volume", call, volume, request.name) {
            let snapshot = try await volumes.createSnapshot(volume, request, description: description)
            return ["name": .string(snapshot.name)]
        }
    }

    private func change(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        let name = try call.parameter("snapshot")
        let put = try await call.decode(API.SnapshotPut.self)
        let old = try await volumes.snapshot(name, of: volume)
        try call.checkPrecondition(try ETag.of(API.VolumeSnapshot(old).changeable))
        let isWhole = call.request.method == .put
        let expiry = try put.expiresAt.flatMap { $0.isEmpty ? nil : $0 }.map { try Expiry.seconds($0) }
        try await volumes.updateSnapshot(
            name, of: volume, description: put.description ?? (isWhole ? "" : nil),
            expiresAt: expiry ?? (isWhole ? nil : old.expiresAt))
        return try Reply.done()
    }

    private func rename(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        let name = try call.parameter("snapshot")
        let post = try await call.decode(API.StorageVolumePost.self)
        try Names.checkSnapshot(post.name)
        _ = try await volumes.snapshot(name, of: volume)
        let volumes = volumes
        return try await work("Renaming storage volume snapshot", call, volume, name) {
            try await volumes.renameSnapshot(name, of: volume, to: post.name)
            return [:]
        }
    }

    private func delete(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        let name = try call.parameter("snapshot")
        _ = try await volumes.snapshot(name, of: volume)
        let volumes = volumes
        return try await work("Deleting storage volume snapshot", call, volume, name) {
            try await volumes.deleteSnapshot(name, of: volume)
            return [:]
        }
    }

    private func work(
        _ description: String, _ call: Call, _ volume: VolumeRecord, _ snapshot: String?,
        _ body: @Sendable @escaping () async throws -> [String: Metadata]
    ) async throws -> Response {
        var resources: [String: [String]] = [:]
        if let snapshot { resources["storage_volume_snapshots"] = [Self.path(volume, snapshot)] }
        return try await door.operation(description, project: call.project, resources: resources) { _ in
            try await body()
        }
    }

    private static func path(_ volume: VolumeRecord, _ snapshot: String) -> String {
        "/1.0/storage-pools/\(volume.pool)/volumes/custom/\(volume.name)/snapshots/\(snapshot)"
    }
}
