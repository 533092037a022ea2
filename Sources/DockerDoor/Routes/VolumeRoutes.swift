import Engine
import Logging
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// Named folders that outlive containers.
struct VolumeRoutes: Sendable {
    let door: DockerParts
    private var volumes: VolumeService { door.engine.volumes }

    func add(to table: inout PathTable) {
        table.add(.get, "/volumes") { try await list($0) }
        table.add(.post, "/volumes/create") { try await create($0) }
        table.add(.post, "/volumes/prune") { try await prune($0) }
        table.add(.get, "/volumes/:name") { try await inspect($0) }
        table.add(.put, "/volumes/:name") { _ in throw SwarmRoutes.noSwarm }
        table.add(.delete, "/volumes/:name") { try await delete($0) }
    }

    /// dockerd's mark of volumes that nobody named.
    private static let anonymous = "com.docker.volume.anonymous"

    private func list(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(["dangling", "driver", "label", "label!", "name"])
        let dangling = try filters.bool("dangling")
        let views = await door.engine.instances.list()
        let found = await volumes.list().filter { volume in
            filters.fits(labels: VolumeRendering.labels(volume)) && filters.fits("driver") { $0 == "local" }
                && filters.fits("name") { volume.name.contains($0) }
                && (dangling.map { $0 == VolumeRendering.users(of: volume.name, in: views).isEmpty } ?? true)
        }
        return DockerReply.json([
            "Volumes": .array(found.map { VolumeRendering.render($0, layout: door.engine.layout) }), "Warnings": nil,
        ])
    }

    private func get(_ name: String) async throws -> VolumeRecord {
        do { return try await volumes.get(name) } catch let error as EngineError where error.code == .notFound {
            throw EngineError(.notFound, "get \(name): no such volume")
        }
    }

    private func inspect(_ call: DockerCall) async throws -> Response {
        DockerReply.json(
            VolumeRendering.render(try await get(try call.parameter("name")), layout: door.engine.layout))
    }

    /// A volume that is there already is given back as it is, as with dockerd.
    private func create(_ call: DockerCall) async throws -> Response {
        let body = try await call.body()
        let driver = try body.text("Driver") ?? "local"
        guard driver == "local" || driver == "default" else {
            throw EngineError(.notFound, "error looking up volume plugin \(driver): plugin \"\(driver)\" not found")
        }
        let options = try body.texts("DriverOpts")
        guard try body.object("ClusterVolumeSpec").json.members.isEmpty else { throw SwarmRoutes.noSwarm }
        var config = options.isEmpty ? [:] : try VolumeDriverOptions(options).config
        for (label, value) in try body.texts("Labels") { config["user.\(label)"] = value }
        let given = try body.text("Name")
        if given == nil { config["user.\(Self.anonymous)"] = "" }
        let name = given ?? ContainerID.random()
        if let existing = try? await volumes.get(name) {
            return DockerReply.json(
                VolumeRendering.render(existing, layout: door.engine.layout), status: .created)
        }
        let volume = try await volumes.create(VolumeRecord(name: name, config: config, createdAt: Clock.now))
        return DockerReply.json(VolumeRendering.render(volume, layout: door.engine.layout), status: .created)
    }

    private func delete(_ call: DockerCall) async throws -> Response {
        let name = try call.parameter("name")
        let volume: VolumeRecord
        do { volume = try await get(name) } catch let error as EngineError
            where error.code == .notFound && call.flag("force")
        {
            return DockerReply.empty()
        }
        let views = await door.engine.instances.list()
        let users = VolumeRendering.users(of: volume.name, in: views)
        guard users.isEmpty else {
            let ids = views.filter { users.contains($0.record.name) }.map { ContainerID.full($0.record.id) }
            throw EngineError(
                .conflict, "remove \(name): volume is in use - [\(ids.joined(separator: ", "))]")
        }
        try await volumes.delete(name, usedBy: [])
        return DockerReply.empty()
    }

    private func prune(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(["all", "label", "label!"])
        // Since API 1.42 only those that nobody named, unless all are asked for.
        let all = try filters.bool("all") ?? (call.version.minor < 42)
        let views = await door.engine.instances.list()
        var deleted: [String] = []
        var freed: Int64 = 0
        for volume in await volumes.list() {
            let labels = VolumeRendering.labels(volume)
            guard all || volume.isAnonymous || labels[Self.anonymous] != nil, filters.fits(labels: labels),
                VolumeRendering.users(of: volume.name, in: views).isEmpty
            else { continue }
            do {
                let size = try await volumes.usage(volume.name)
                try await volumes.delete(volume.name, usedBy: [])
                deleted.append(volume.name)
                freed += size
            } catch let error as EngineError where [.notFound, .conflict].contains(error.code) {
                door.logger.debug("not pruned", metadata: ["volume": "\(volume.name)", "error": "\(error)"])
            }
        }
        return DockerReply.json(["VolumesDeleted": .strings(deleted), "SpaceReclaimed": .integer(freed)])
    }
}
