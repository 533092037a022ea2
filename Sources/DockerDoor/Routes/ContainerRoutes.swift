import DriverKit
import Engine
import Logging
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// Containers as things: list, create, inspect, change, remove.
struct ContainerRoutes: Sendable {
    let door: DockerParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: inout PathTable) {
        table.add(.get, "/containers/json") { try await list($0) }
        table.add(.post, "/containers/create") { try await create($0) }
        table.add(.post, "/containers/prune") { try await prune($0) }
        table.add(.get, "/containers/:id/json") { try await inspect($0) }
        table.add(.post, "/containers/:id/rename") { try await rename($0) }
        table.add(.post, "/containers/:id/update") { try await update($0) }
        table.add(.delete, "/containers/:id") { try await delete($0) }
    }

    // MARK: looking

    private func list(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        let limit = try call.number("limit") ?? 0
        let names = await door.names()
        let all = call.flag("all") || limit > 0 || filters.has("status") || filters.has("exited")
        var found: [ContainerFacts] = []
        for view in await instances.list() where all || view.pid != nil {
            found.append(await door.facts(view, names: names))
        }
        let filter = try ContainerFilter(filters, all: found)
        found = try found.filter { try filter.fits($0) }.sorted { $0.record.createdAt > $1.record.createdAt }
        if limit > 0 { found = Array(found.prefix(limit)) }
        let now = Clock.now
        let sized = call.flag("size")
        var rendered: [JSON] = []
        for facts in found {
            let sizes = sized ? try await door.sizes(facts) : nil
            rendered.append(ContainerSummary.render(facts, layout: door.engine.layout, now: now, sizes: sizes))
        }
        return DockerReply.json(.array(rendered))
    }

    private func inspect(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let facts = await door.facts(view, names: door.names())
        return DockerReply.json(
            ContainerInspect(
                facts: facts, layout: door.engine.layout, execs: door.execs.ids(of: view.record.id),
                sizes: call.flag("size") ? try await door.sizes(facts) : nil, failure: door.failures.of(view.record.id)
            ).render())
    }

    // MARK: making and changing

    private func create(_ call: DockerCall) async throws -> Response {
        let name = try call.value("name").map { try Self.checked($0) }
        try Self.checkPlatform(call.value("platform"))
        let body = try ContainerBody(await call.body())
        guard let asked = body.image else {
            throw EngineError(.invalidArgument, "Config cannot be empty: no image was named")
        }
        let (image, reference) = try await door.imageNames.reference(asked)
        var peers: [String: InstanceView] = [:]
        for name in OptionTranslation.peers(of: body) { peers[name] = try await door.finder.find(name) }
        let profile = try await door.engine.profiles.get("default")
        let id = InstanceID.random()
        let translation = try CreateTranslation(
            body: body, id: id, image: image.record, imageReference: reference, names: await door.names(),
            peers: peers, links: try await LinkTranslation(body, name: name, id: id, door: door),
            volumeOptions: try await volumeOptions(of: body), profileDevices: profile.devices)
        do {
            let view = try await instances.create(try translation.request(name: name))
            return DockerReply.json(
                ["Id": .string(ContainerID.full(view.record.id)), "Warnings": .strings(translation.warnings)],
                status: .created)
        } catch let error as EngineError where error.code == .alreadyExists && name != nil {
            let name = name ?? ""
            let holder = try await instances.get(name).record.id
            throw EngineError(
                .conflict,
                "Conflict. The container name \"/\(name)\" is already in use by container \"\(ContainerID.full(holder))\". You have to remove (or rename) that container to be able to reuse that name."
            )
        } catch let error as EngineError where error.message.contains("has no program to run") {
            throw EngineError(.invalidArgument, "no command specified")
        }
    }

    private func volumeOptions(of body: ContainerBody) async throws -> [String: VolumeDriverOptions] {
        let names = MountTranslation.volumes(of: body)
        guard !names.isEmpty else { return [:] }
        var options: [String: VolumeDriverOptions] = [:]
        for volume in await door.engine.volumes.list() where names.contains(volume.name) {
            options[volume.name] = try VolumeDriverOptions(of: volume)
        }
        return options
    }

    /// A name with or without the slash that Docker puts before it.
    static func checked(_ name: String) throws -> String {
        let bare = name.hasPrefix("/") ? String(name.dropFirst()) : name
        do { try Names.checkInstance(bare, .relaxed) } catch {
            throw EngineError(
                .invalidArgument,
                "Invalid container name (\(bare)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        }
        return bare
    }

    static func checkPlatform(_ platform: String?) throws {
        guard let platform else { return }
        let parts = platform.lowercased().split(separator: "/").map(String.init)
        let own = [HostFacts.architecture, ImageRendering.goArchitecture(HostFacts.architecture)]
        let fits = parts.allSatisfy { ["linux", "wasi", "wasm", "v8"].contains($0) || own.contains($0) }
        guard fits, !parts.isEmpty else {
            throw EngineError(
                .unsupported, "images for the platform \(platform) do not run here",
                hint: "this is linux/\(own[1])")
        }
    }

    private func rename(_ call: DockerCall) async throws -> Response {
        guard let wanted = call.value("name") else {
            throw EngineError(.invalidArgument, "Neither old nor new names may be empty")
        }
        let name = try Self.checked(wanted)
        let view = try await door.finder.find(try call.parameter("id"))
        guard view.record.name != name else {
            throw EngineError(
                .invalidArgument, "Renaming a container with the same name as its current name")
        }
        try await instances.rename(view.record.name, to: name, naming: .relaxed, whileRunning: true)
        return DockerReply.empty()
    }

    private func update(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let body = try await call.body()
        var warnings: [String] = []
        var config = view.record.config
        config.merge(try LimitTranslation.config(ResourcesBody(body), warnings: &warnings)) { $1 }
        if let policy = try RestartBody(body.object("RestartPolicy")).policy {
            guard !view.record.ephemeral || policy == "no" else {
                throw EngineError(
                    .invalidArgument, "Restart policy cannot be updated because AutoRemove is enabled for the container"
                )
            }
            config["restart.policy"] = policy
        }
        _ = try await instances.update(
            view.record.name, UpdateRequest(config: config.filter { !$0.key.hasPrefix("volatile.") }))
        return DockerReply.json(["Warnings": warnings.isEmpty ? nil : .strings(warnings)])
    }

    // MARK: removing

    private func delete(_ call: DockerCall) async throws -> Response {
        guard !call.flag("link") else {
            throw EngineError(
                .invalidArgument, "Conflict, cannot remove the default link name of the container",
                hint: "docker rm --link CONTAINER/ALIAS")
        }
        let reference = try call.parameter("id")
        let view = try await door.finder.find(reference)
        let force = call.flag("force")
        if !force, view.pid != nil {
            let state = view.status == .frozen ? "paused" : "running"
            throw EngineError(
                .conflict,
                "cannot remove container \"/\(view.record.name)\": container is \(state): stop the container before removing or force remove"
            )
        }
        try await instances.delete(view.record.name, force: force, volumes: call.flag("v"))
        return DockerReply.empty()
    }

    private func prune(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(["until", "label", "label!"])
        let until = try filters["until"].map { try Filters.time($0, now: Clock.now) }.min()
        let names = await door.names()
        var deleted: [String] = []
        var freed: Int64 = 0
        for view in await instances.list() where view.pid == nil && view.status == .stopped {
            let facts = await door.facts(view, names: names)
            guard facts.state != "restarting", filters.fits(labels: facts.labels),
                until.map({ view.record.createdAt < $0 }) ?? true
            else { continue }
            do {
                let size = try await instances.rootUsage(view.record.name)
                try await instances.delete(view.record.name)
                deleted.append(facts.id)
                freed += size
            } catch let error as EngineError where [.notFound, .conflict, .permissionDenied].contains(error.code) {
                // Somebody was faster, or it is protected.
                door.logger.debug("not pruned", metadata: ["instance": "\(view.record.name)", "error": "\(error)"])
            }
        }
        return DockerReply.json([
            "ContainersDeleted": deleted.isEmpty ? nil : .strings(deleted), "SpaceReclaimed": .integer(freed),
        ])
    }
}
