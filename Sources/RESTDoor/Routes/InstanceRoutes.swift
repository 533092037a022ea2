import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/instances` and one instance.
struct InstanceRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: RouteTable) {
        // The old names of LXD's API lead to the same things.
        for root in ["instances", "containers", "virtual-machines"] {
            let state = InstanceStateRoutes(door: door)
            table.add(
                "/1.0/\(root)",
                [
                    .get: { try await list($0, root) }, .post: { try await create($0) },
                    .put: { try await state.putAll($0) },
                ])
            table.add(
                "/1.0/\(root)/:name",
                [
                    .get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) },
                    .post: { try await rename($0) }, .delete: { try await delete($0) },
                ])
        }
        table.add("/1.0/instances/:name/rebuild", [.post: { try await rebuild($0) }])
    }

    private func list(_ call: Call, _ root: String) async throws -> Response {
        let recursion = try call.recursion
        let filter = try Filter(call.query("filter"))
        let type: String? =
            switch root {
            case "containers": "container"
            case "virtual-machines": "virtual-machine"
            default: call.query("instance-type")
            }
        let views = await instances.list(project: call.projectOrAll, withUsage: recursion == 2)
        let rendered = views.map { API.Instance($0, full: recursion == 2) }
            .filter { (type == nil || $0.type == type) && filter.matches($0) }
        if recursion == 0 { return try Reply.sync(rendered.map { Path.scoped("/1.0/\(root)/\($0.name)", $0.project) }) }
        if recursion == 1, call.flag("summary") { return try Reply.sync(rendered.map { API.InstanceSummary($0) }) }
        return try Reply.sync(rendered)
    }

    private func get(_ call: Call) async throws -> Response {
        let full = try call.recursion > 0
        let view = try await instances.get(try call.parameter("name"), project: call.project, withUsage: full)
        let instance = API.Instance(view, full: full)
        return try Reply.sync(instance, etag: try ETag.of(API.Instance(view).changeable))
    }

    private func create(_ call: Call) async throws -> Response {
        if let target = call.query("target") {
            throw EngineError(
                .invalidArgument,
                "target=\(Names.quoted(target)): instances have a target in a cluster only, and this server is alone")
        }
        if BackupImport.isAsked(call) { return try await BackupImport(door: door).instance(call) }
        let post = try await call.decode(API.InstancesPost.self)
        if post.source.type == "copy" { return try await InstanceCopyRoutes(door: door).create(call, post) }
        var request = try Self.request(post, project: call.project)
        // Again when it is made, for the kind that the image turns out to be: what is wrong anyway is said at once.
        try OptionCatalog.check(request.config, kind: request.kind)
        let given = request.name
        // Chosen now, so that the answer can already say which instance it will be.
        let name: String
        if let given { name = given } else { name = await instances.freeName(call.project) }
        request.name = name
        if given != nil {
            try Names.checkInstance(name)
            if (try? await instances.get(name, project: call.project)) != nil {
                throw EngineError(
                    .alreadyExists, "an instance named \(Names.quoted(name)) exists already",
                    hint: "choose another name or delete it first")
            }
        }
        let resources = ["instances": ["/1.0/instances/\(name)"]]
        let remote = try ImageWish.remote(post.source, type: post.type, project: await door.imageProject(call))
        let (instances, images, project, wanted) = (instances, door.engine.images, call.project, request)
        return try await door.operation(
            "Creating instance", project: project, resources: resources, mayCancel: true
        ) { context in
            let progress = ProgressRelay(context)
            var wanted = wanted
            if let remote {
                let image = try await images.fetch(
                    remote.origin, secret: remote.secret, remote.addition, progress: { progress.report($0) })
                wanted.image = image.digest
            }
            let view = try await instances.create(wanted) { progress.report($0) }
            await progress.finish()
            let name = view.record.name
            let path = "/1.0/instances/\(name)"
            await context.update(["name": .string(name), "instance": .string(path)])
            let notices = post.start ? try await instances.start(name, project: project) : []
            return [
                "name": .string(name), "instance": .string(path), "kind": .string(view.record.kind.rawValue),
            ].merging(OperationContext.warnings(notices)) { $1 }
        }
    }

    /// What the engine is asked for.
    private static func request(_ post: API.InstancesPost, project: String) throws -> CreateRequest {
        var kind: InstanceKind?
        if let text = post.kind, !text.isEmpty {
            guard let value = InstanceKind(rawValue: text) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(text)) is not a kind",
                    hint: "kinds: \(InstanceKind.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            kind = value
        } else if post.type == "virtual-machine" {
            kind = .machine
        } else if !["", "container"].contains(post.type) {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(post.type)) is not a type", hint: "container or virtual-machine")
        }
        var config = post.config.filter { !API.Instance.isShownOnly($0.key) && !$0.value.isEmpty }
        if let type = post.instanceType, !type.isEmpty {
            config.merge(try InstanceTypeName.limits(type)) { own, _ in own }
        }
        if post.source.type == "none" {
            var request = CreateRequest(
                project: project, name: post.name.isEmpty ? nil : post.name, kind: kind, image: nil,
                description: post.description, config: config, devices: post.devices.withoutEmptyKeys,
                profiles: post.profiles ?? ["default"], ephemeral: post.ephemeral)
            request.isEmpty = true
            return request
        }
        guard post.source.type == "image" || post.source.type.isEmpty else {
            throw EngineError(
                .unsupported, "an instance cannot be made from a source of type \(Names.quoted(post.source.type))",
                hint: "image or copy")
        }
        var pull = CreateRequest.PullPolicy.missing
        if let text = post.source.pull, !text.isEmpty {
            guard let value = CreateRequest.PullPolicy(rawValue: text) else {
                throw EngineError(
                    .invalidArgument, "pull=\(Names.quoted(text)) is not a policy", hint: "missing, always or never")
            }
            pull = value
        }
        let image = [post.source.reference, post.source.alias, post.source.fingerprint].lazy
            .compactMap { $0 }.first { !$0.isEmpty }
        guard let image else {
            throw EngineError(
                .invalidArgument, "the source names no image", hint: "set source.reference, alias or fingerprint")
        }
        return CreateRequest(
            project: project, name: post.name.isEmpty ? nil : post.name, kind: kind, image: image, pull: pull,
            description: post.description,
            config: config, devices: post.devices.withoutEmptyKeys, profiles: post.profiles ?? ["default"],
            ephemeral: post.ephemeral)
    }

    private func put(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let put = try await call.decode(API.InstancePut.self)
        if let snapshot = put.restore, !snapshot.isEmpty {
            return try await SnapshotRoutes(door: door).restore(call, snapshot, stateful: put.stateful ?? false)
        }
        try await checkPrecondition(call, name)
        let request = UpdateRequest(
            description: put.description ?? "",
            config: (put.config ?? [:]).filter { !API.Instance.isShownOnly($0.key) && !$0.value.isEmpty },
            devices: (put.devices ?? [:]).withoutEmptyKeys,
            profiles: put.profiles ?? [], ephemeral: put.ephemeral ?? false)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Updating instance", project: project, resources: ["instances": ["/1.0/instances/\(name)"]]
        ) { _ in
            _ = try await instances.update(name, project: project, request)
            return [:]
        }
    }

    private func patch(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let patch = try await call.decode(API.InstancePut.self)
        try await checkPrecondition(call, name)
        var request = UpdateRequest(
            description: patch.description, profiles: patch.profiles, ephemeral: patch.ephemeral)
        request.configChanges = patch.config?.filter { !API.Instance.isShownOnly($0.key) }
        request.deviceChanges = patch.devices.map { $0.withoutEmptyKeys }
        _ = try await instances.update(name, project: call.project, request)
        return try Reply.done()
    }

    @discardableResult
    private func checkPrecondition(_ call: Call, _ name: String) async throws -> InstanceView {
        let view = try await instances.get(name, project: call.project)
        try call.checkPrecondition(try ETag.of(API.Instance(view).changeable))
        return view
    }

    private func rename(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let post = try await call.decode(API.InstancePost.self)
        let newName = post.name.isEmpty ? name : post.name
        try Names.checkInstance(newName)
        _ = try await instances.get(name, project: call.project)
        let (newProject, pool) = (
            post.project.flatMap { $0.isEmpty ? nil : $0 }, post.pool.flatMap { $0.isEmpty ? nil : $0 }
        )
        guard newName != name || (newProject ?? call.project) != call.project || pool != nil || post.migration == true
        else {
            throw EngineError(
                .alreadyExists, "the instance is named \(Names.quoted(name)) already", hint: "choose another name")
        }
        if let pool { _ = try await door.engine.pools.get(pool) }
        guard post.migration != true || pool != nil || newProject != nil else {
            throw EngineError(
                .unsupported, "instances cannot be migrated to another server", hint: "isle export, and import there")
        }
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            pool == nil && newProject == nil ? "Renaming instance" : "Moving instance", project: project,
            resources: ["instances": ["/1.0/instances/\(name)"]]
        ) { _ in
            if pool == nil, newProject == nil {
                try await instances.rename(name, project: project, to: newName)
            } else {
                try await instances.move(name, project: project, to: newName, project: newProject, pool: pool)
            }
            return [:]
        }
    }

    private func delete(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let force = call.flag("force")
        let volumes = call.flag("volumes")
        _ = try await instances.get(name, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Deleting instance", project: project, resources: ["instances": ["/1.0/instances/\(name)"]]
        ) { _ in
            try await instances.delete(name, project: project, force: force, volumes: volumes)
            return [:]
        }
    }

    /// Without an image in the source the container is empty afterwards.
    private func rebuild(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let source = try await call.decode(API.InstanceRebuildPost.self).source
        let image = [source.reference, source.alias, source.fingerprint].lazy.compactMap { $0 }.first { !$0.isEmpty }
        guard image != nil || source.type == "none" else {
            throw EngineError(
                .invalidArgument, "the source names no image", hint: "set source.alias or fingerprint, or type to none")
        }
        _ = try await instances.get(name, project: call.project)
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Rebuilding instance", project: project, resources: ["instances": ["/1.0/instances/\(name)"]]
        ) { context in
            let progress = ProgressRelay(context)
            try await instances.rebuild(name, project: project, image: image) { progress.report($0) }
            await progress.finish()
            return [:]
        }
    }
}
