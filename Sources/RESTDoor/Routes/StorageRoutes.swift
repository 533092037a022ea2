import DriverKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/storage-pools/{pool}/volumes`.
struct StorageRoutes: Sendable {
    let door: DoorParts
    private var volumes: VolumeService { door.engine.volumes }

    func add(to table: RouteTable) {
        let pool = "/1.0/storage-pools/:pool"
        table.add("\(pool)/volumes", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add("\(pool)/volumes/:type", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "\(pool)/volumes/:type/:name",
            [
                .get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) },
                .post: { try await move($0) }, .delete: { try await delete($0) },
            ])
        table.add("\(pool)/volumes/:type/:name/state", [.get: { try await state($0) }])
    }

    // MARK: looking

    private func list(_ call: Call) async throws -> Response {
        let pool = try call.parameter("pool")
        _ = try await door.engine.pools.get(pool)
        let type = call.context.parameters.get("type").map { String($0) }
        if let type, !["custom", "container", "virtual-machine", "image"].contains(type) {
            throw EngineError(
                .notFound, "there are no volumes of the type \(Names.quoted(type))",
                hint: "custom, container, virtual-machine or image")
        }
        var rendered: [API.StorageVolume] = []
        if type == nil || type == "custom" {
            for volume in await volumes.list(project: call.project, pool: pool) {
                rendered.append(await render(volume))
                rendered += await volumes.snapshots(of: volume).map { API.StorageVolume($0, of: volume) }
            }
        }
        for view in await door.engine.instances.list(project: call.project)
        where view.record.pool ?? PoolRecord.standard == pool {
            let volumes = API.StorageVolume.all(of: view)
            rendered += volumes.filter { type == nil || $0.type == type }
        }
        if try call.recursion == 0 {
            return try Reply.sync(
                rendered.map { volume in
                    let name = volume.name.split(separator: "/", maxSplits: 1).joined(separator: "/snapshots/")
                    return "/1.0/storage-pools/\(pool)/volumes/\(volume.type)/\(name)"
                })
        }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        let type = try call.parameter("type")
        if type == "container" || type == "virtual-machine" {
            let view = try await door.engine.instances.get(try call.parameter("name"), project: call.project)
            guard let volume = API.StorageVolume.all(of: view).first, volume.type == type,
                view.record.pool ?? PoolRecord.standard == (try call.parameter("pool"))
            else { throw EngineError(.notFound, "there is no such \(type) volume") }
            return try Reply.sync(volume, etag: try ETag.of(volume.config))
        }
        let volume = await render(try await VolumeCall(door: door).volume(call))
        return try Reply.sync(volume, etag: try ETag.of(volume.changeable))
    }

    private func render(_ volume: VolumeRecord) async -> API.StorageVolume {
        API.StorageVolume(
            volume, path: try? await volumes.folder(volume), usedBy: await VolumeCall(door: door).users(of: volume))
    }

    private func state(_ call: Call) async throws -> Response {
        var state = API.StorageVolumeState()
        var usage = API.StoragePoolResources.Amount()
        let (pool, name) = (try call.parameter("pool"), try call.parameter("name"))
        if try call.parameter("type") == "custom" {
            usage.used = try await volumes.usage(name, project: call.project, pool: pool)
        } else {
            usage.used = try await door.engine.instances.rootUsage(name, project: call.project)
        }
        state.usage = usage
        return try Reply.sync(state)
    }

    // MARK: changing

    private func create(_ call: Call) async throws -> Response {
        let pool = try call.parameter("pool")
        _ = try await door.engine.pools.get(pool)
        try checkType(call)
        if call.request.headers[.contentType]?.hasPrefix("application/octet-stream") == true,
            let response = try await DiscUpload(door: door).receive(call, pool: pool)
        {
            return response
        }
        if BackupImport.isAsked(call) { return try await BackupImport(door: door).volume(call, pool: pool) }
        let post = try await call.decode(API.StorageVolumesPost.self)
        guard post.type == "custom" || post.type.isEmpty else {
            throw EngineError(.unsupported, "only custom volumes can be made, not \(Names.quoted(post.type))")
        }
        guard let content = VolumeContent(rawValue: post.contentType.isEmpty ? "filesystem" : post.contentType) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(post.contentType)) is not a content type", hint: "filesystem or block"
            )
        }
        guard content != .iso else {
            throw EngineError(.unsupported, "a disc image is uploaded, not made", hint: "lxc storage volume import")
        }
        let record = VolumeRecord(
            project: call.project, pool: pool, name: post.name, description: post.description,
            config: post.config.withoutEmpty,
            createdAt: Date().timeIntervalSince1970, content: content == .filesystem ? nil : content)
        let path = "/1.0/storage-pools/\(pool)/volumes/custom/\(post.name)"
        switch post.source?.type ?? "" {
        case "", "none":
            try await volumes.create(record)
            return try Reply.created(path)
        case "copy": return try await copy(call, post, record, path)
        case let type:
            throw EngineError(
                .unsupported, "a volume cannot be made from a source of type \(Names.quoted(type))",
                hint: "copy, or none")
        }
    }

    private func copy(_ call: Call, _ post: API.StorageVolumesPost, _ record: VolumeRecord, _ path: String) async throws
        -> Response
    {
        let words = (post.source?.name ?? "").split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(words.count), !words.contains("") else {
            throw EngineError(.invalidArgument, "source.name names no volume", hint: "as 'data' or 'data/snap0'")
        }
        let source = try await volumes.get(
            words[0], project: post.source?.project.flatMap { $0.isEmpty ? nil : $0 } ?? call.project,
            pool: post.source?.pool.flatMap { $0.isEmpty ? nil : $0 } ?? record.pool)
        guard post.source?.refresh != true else {
            throw EngineError(.unsupported, "a copy of a volume cannot be refreshed", hint: "delete it and copy again")
        }
        let (volumes, only) = (volumes, post.source?.volumeOnly ?? false)
        return try await door.operation(
            "Copying storage volume", project: call.project, resources: ["storage_volumes": [path]]
        ) { _ in
            try await volumes.copy(source, snapshot: words.count == 2 ? words[1] : nil, to: record, volumeOnly: only)
            return [:]
        }
    }

    private func put(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.StorageVolumePut.self)
        var volume = try await checked(call)
        if let snapshot = put.restore, !snapshot.isEmpty {
            let users = await VolumeCall(door: door).users(of: volume, running: true)
            try await volumes.restore(volume, from: snapshot, usedBy: users)
            return try Reply.done()
        }
        volume.description = put.description ?? ""
        volume.config = (put.config ?? [:]).withoutEmpty
        try await volumes.update(volume)
        return try Reply.done()
    }

    private func patch(_ call: Call) async throws -> Response {
        let patch = try await call.decode(API.StorageVolumePut.self)
        var volume = try await checked(call)
        if let description = patch.description { volume.description = description }
        volume.config = volume.config.merging(patch.config ?? [:]) { $1 }.withoutEmpty
        try await volumes.update(volume)
        return try Reply.done()
    }

    private func checked(_ call: Call) async throws -> VolumeRecord {
        let volume = try await VolumeCall(door: door).volume(call)
        try call.checkPrecondition(try ETag.of(API.StorageVolume(volume, path: nil, usedBy: []).changeable))
        return volume
    }

    private func move(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.StorageVolumePost.self)
        let volume = try await VolumeCall(door: door).volume(call)
        guard post.migration != true else { throw EngineError(.unsupported, "volumes cannot be migrated") }
        var target = volume
        if !post.name.isEmpty { target.name = post.name }
        if let pool = post.pool, !pool.isEmpty { target.pool = pool }
        if let project = post.project, !project.isEmpty { target.project = project }
        _ = try await door.engine.pools.get(target.pool)
        let users = await VolumeCall(door: door).users(of: volume)
        let wanted = target
        if wanted.pool == volume.pool {
            try await volumes.move(volume, to: wanted, usedBy: users)
            return try Reply.created("/1.0/storage-pools/\(wanted.pool)/volumes/custom/\(wanted.name)")
        }
        let volumes = volumes
        return try await door.operation("Moving storage volume", project: call.project) { _ in
            try await volumes.move(volume, to: wanted, usedBy: users)
            return [:]
        }
    }

    private func delete(_ call: Call) async throws -> Response {
        let volume = try await VolumeCall(door: door).volume(call)
        try await volumes.delete(
            volume.name, project: volume.project, pool: volume.pool,
            usedBy: await VolumeCall(door: door).users(of: volume))
        return try Reply.done()
    }

    private func checkType(_ call: Call) throws {
        guard let type = call.context.parameters.get("type"), type != "custom" else { return }
        throw EngineError(
            .notFound, "there are no volumes of the type \(Names.quoted(type)) to make", hint: "use 'custom'")
    }
}

/// The volume that a path names, and who uses it.
struct VolumeCall: Sendable {
    let door: DoorParts

    func volume(_ call: Call) async throws -> VolumeRecord {
        let (pool, type) = (try call.parameter("pool"), try call.parameter("type"))
        _ = try await door.engine.pools.get(pool)
        guard type == "custom" else {
            throw EngineError(.notFound, "there are no volumes of the type \(Names.quoted(type))", hint: "use 'custom'")
        }
        return try await door.engine.volumes.get(try call.parameter("name"), project: call.project, pool: pool)
    }

    /// Paths of the instances that have the volume as a device.
    func users(of volume: VolumeRecord, running: Bool = false) async -> [String] {
        await door.users { view in
            (!running || view.status != .stopped)
                && view.expanded.devices.values.contains {
                    $0["type"] == "disk" && $0["pool"] == volume.pool && $0["source"] == volume.name
                }
        }
    }
}
