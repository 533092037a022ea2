import DriverKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/storage-pools`.
struct PoolRoutes: Sendable {
    let door: DoorParts
    private var pools: PoolService { door.engine.pools }

    func add(to table: RouteTable) {
        table.add("/1.0/storage-pools", [.get: { try await list($0) }, .post: { try await create($0) }])
        table.add(
            "/1.0/storage-pools/:pool",
            [
                .get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) },
                .delete: { try await delete($0) },
            ])
        table.add("/1.0/storage-pools/:pool/resources", [.get: { try await resources($0) }])
    }

    private func list(_ call: Call) async throws -> Response {
        let records = await pools.list()
        if try call.recursion == 0 { return try Reply.sync(records.map { "/1.0/storage-pools/\($0.name)" }) }
        var rendered: [API.StoragePool] = []
        for record in records { rendered.append(await render(record)) }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        let pool = await render(try await pools.get(try call.parameter("pool")))
        return try Reply.sync(pool, etag: try ETag.of(pool.changeable))
    }

    private func render(_ record: PoolRecord) async -> API.StoragePool {
        var pool = API.StoragePool(record)
        pool.usedBy = await users(of: record.name)
        return pool
    }

    /// Paths of instances, profiles and volumes that are in the pool or name it.
    private func users(of pool: String) async -> [String] {
        let instances = await door.users { $0.record.pool ?? PoolRecord.standard == pool }
        let profiles = await door.engine.profiles.list().filter { profile in
            profile.devices.values.contains { $0["type"] == "disk" && $0["pool"] == pool }
        }
        let volumes = await door.engine.volumes.all(pool: pool)
        return instances + profiles.map { "/1.0/profiles/\($0.name)" }
            + volumes.map { "/1.0/storage-pools/\(pool)/volumes/custom/\($0.name)" }.sorted()
    }

    private func create(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.StoragePoolsPost.self)
        guard !post.driver.isEmpty else {
            throw EngineError(.invalidArgument, "the pool has no driver", hint: "dir or btrfs")
        }
        try await pools.create(
            PoolRecord(
                name: post.name, description: post.description, driver: post.driver, config: post.config.withoutEmpty,
                createdAt: Date().timeIntervalSince1970))
        return try Reply.created("/1.0/storage-pools/\(post.name)")
    }

    private func put(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.StoragePoolPut.self)
        let record = try await checked(call)
        try await pools.update(
            record.name, description: put.description ?? "", config: (put.config ?? [:]).withoutEmpty)
        return try Reply.done()
    }

    private func patch(_ call: Call) async throws -> Response {
        let patch = try await call.decode(API.StoragePoolPut.self)
        let record = try await checked(call)
        try await pools.update(
            record.name, description: patch.description ?? record.description,
            config: record.config.merging(patch.config ?? [:]) { $1 }.withoutEmpty)
        return try Reply.done()
    }

    private func checked(_ call: Call) async throws -> PoolRecord {
        let record = try await pools.get(try call.parameter("pool"))
        try call.checkPrecondition(try ETag.of(API.StoragePool(record).changeable))
        return record
    }

    private func delete(_ call: Call) async throws -> Response {
        let name = try call.parameter("pool")
        _ = try await pools.get(name)
        try await pools.delete(name, usedBy: await users(of: name))
        return try Reply.done()
    }

    private func resources(_ call: Call) async throws -> Response {
        let space = try await pools.space(try call.parameter("pool"))
        var resources = API.StoragePoolResources()
        (resources.space.total, resources.space.used) = (space.total, space.used)
        (resources.inodes.total, resources.inodes.used) = (space.inodesTotal, space.inodesUsed)
        return try Reply.sync(resources)
    }
}

extension API.StoragePool {
    init(_ record: PoolRecord) {
        self.init()
        name = record.name
        description = record.description
        driver = record.driver
        config = record.config
        locations = ["none"]
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.StoragePoolPut {
        var put = API.StoragePoolPut()
        put.description = description
        put.config = config
        return put
    }
}
