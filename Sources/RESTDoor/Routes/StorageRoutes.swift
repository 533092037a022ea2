import Engine
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import LinuxHost
import Model
import WireTypes

/// `/1.0/storage-pools`: the one pool and its custom volumes.
struct StorageRoutes: Sendable {
    let door: DoorParts
    private var volumes: VolumeService { door.engine.volumes }

    func add(to table: RouteTable) {
        let pool = "/1.0/storage-pools/:pool"
        table.add("/1.0/storage-pools", [.get: { try await pools($0) }])
        table.add(pool, [.get: { try await getPool($0) }])
        table.add("\(pool)/resources", [.get: { try await resources($0) }])
        table.add("\(pool)/volumes", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add("\(pool)/volumes/:type", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "\(pool)/volumes/:type/:name",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .delete: { try await delete($0) },
            ])
        table.add("\(pool)/volumes/:type/:name/state", [.get: { try await state($0) }])
    }

    private func checkPool(_ call: Call) throws {
        let pool = try call.parameter("pool")
        guard pool == "default" else {
            throw EngineError(
                .notFound, "storage pool \(Names.quoted(pool)) does not exist", hint: "there is 'default'")
        }
        guard let type = call.context.parameters.get("type") else { return }
        guard type == "custom" else {
            throw EngineError(.notFound, "there are no volumes of the type \(Names.quoted(type))", hint: "use 'custom'")
        }
    }

    private func pools(_ call: Call) async throws -> Response {
        if try call.recursion == 0 { return try Reply.sync(["/1.0/storage-pools/default"]) }
        return try Reply.sync([await renderPool(call.project)])
    }

    private func getPool(_ call: Call) async throws -> Response {
        try checkPool(call)
        return try Reply.sync(await renderPool(call.project))
    }

    private func renderPool(_ project: String) async -> API.StoragePool {
        var pool = API.StoragePool()
        pool.name = "default"
        pool.driver = door.server.storage
        pool.config = ["source": door.engine.layout.state]
        pool.locations = ["none"]
        pool.usedBy = await door.users { _ in true }
        pool.usedBy += await volumes.list(project: project).map {
            "/1.0/storage-pools/default/volumes/custom/\($0.name)"
        }
        return pool
    }

    private func resources(_ call: Call) async throws -> Response {
        try checkPool(call)
        let path = door.engine.layout.state
        let resources = try await runBlocking { () throws -> API.StoragePoolResources in
            var info = statvfs()
            guard statvfs(path, &info) == 0 else {
                throw EngineError(.internal, "the size of \(path) cannot be read: \(String(errno: errno))")
            }
            var resources = API.StoragePoolResources()
            let block = Int64(info.f_frsize)
            resources.space.total = Int64(info.f_blocks) * block
            resources.space.used = Int64(info.f_blocks - info.f_bfree) * block
            resources.inodes.total = Int64(info.f_files)
            resources.inodes.used = Int64(info.f_files - info.f_ffree)
            return resources
        }
        return try Reply.sync(resources)
    }

    // MARK: volumes

    private func users(of volume: String) async -> [String] {
        await door.users { view in
            view.expanded.devices.values.contains {
                $0["type"] == "disk" && $0["pool"] != nil && $0["source"] == volume
            }
        }
    }

    private func render(_ volume: VolumeRecord) async -> API.StorageVolume {
        API.StorageVolume(
            volume, path: door.engine.layout.volume(volume.name, project: volume.project),
            usedBy: await users(of: volume.name))
    }

    private func list(_ call: Call) async throws -> Response {
        try checkPool(call)
        let records = await volumes.list(project: call.project)
        if try call.recursion == 0 {
            return try Reply.sync(records.map { "/1.0/storage-pools/default/volumes/custom/\($0.name)" })
        }
        var rendered: [API.StorageVolume] = []
        for record in records { rendered.append(await render(record)) }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        try checkPool(call)
        let volume = await render(try await volumes.get(try call.parameter("name"), project: call.project))
        return try Reply.sync(volume, etag: try ETag.of(volume.config))
    }

    private func create(_ call: Call) async throws -> Response {
        try checkPool(call)
        let post = try await call.decode(API.StorageVolumesPost.self)
        guard post.type == "custom" || post.type.isEmpty, post.contentType == "filesystem" || post.contentType.isEmpty
        else { throw EngineError(.unsupported, "only custom volumes that hold files can be made") }
        try await volumes.create(
            VolumeRecord(
                project: call.project, name: post.name, description: post.description, config: post.config,
                createdAt: Date().timeIntervalSince1970))
        return try Reply.created("/1.0/storage-pools/default/volumes/custom/\(post.name)")
    }

    private func change(_ call: Call) async throws -> Response {
        try checkPool(call)
        let name = try call.parameter("name")
        let put = try await call.decode(API.StorageVolumePut.self)
        let volume = try await volumes.get(name, project: call.project)
        guard put.config ?? volume.config == volume.config, put.description ?? volume.description == volume.description
        else {
            throw EngineError(.unsupported, "the settings of volume \(Names.quoted(name)) cannot change")
        }
        return try Reply.done()
    }

    private func delete(_ call: Call) async throws -> Response {
        try checkPool(call)
        let name = try call.parameter("name")
        try await volumes.delete(name, project: call.project, usedBy: await users(of: name))
        return try Reply.done()
    }

    private func state(_ call: Call) async throws -> Response {
        try checkPool(call)
        var state = API.StorageVolumeState()
        var usage = API.StoragePoolResources.Amount()
        usage.used = try await volumes.usage(try call.parameter("name"), project: call.project)
        state.usage = usage
        return try Reply.sync(state)
    }
}
