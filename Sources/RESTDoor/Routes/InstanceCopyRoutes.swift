import Engine
import Hummingbird
import Model
import WireTypes

/// Instances made of others: `POST /1.0/instances` with a source of the type `copy`.
struct InstanceCopyRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func create(_ call: Call, _ post: API.InstancesPost) async throws -> Response {
        let words = (post.source.source ?? "").split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(words.count), !words.contains("") else {
            throw EngineError(
                .invalidArgument, "source.source \(Names.quoted(post.source.source ?? "")) names no instance",
                hint: "as 'web' or 'web/snap0'")
        }
        let name: String
        if post.name.isEmpty { name = await instances.freeName(call.project) } else { name = post.name }
        try Names.checkInstance(name)
        let refresh = post.source.refresh ?? false
        let request = CopyRequest(
            source: words[0], sourceProject: post.source.project.flatMap { $0.isEmpty ? nil : $0 } ?? call.project,
            snapshot: words.count == 2 ? words[1] : nil, name: name, project: call.project,
            description: post.description.isEmpty ? nil : post.description,
            config: post.config.filter { !API.Instance.isShownOnly($0.key) }, devices: post.devices,
            profiles: post.profiles, ephemeral: post.ephemeral, instanceOnly: post.source.instanceOnly ?? false,
            refresh: refresh)
        _ = try await instances.get(request.source, project: request.sourceProject)
        if let snapshot = request.snapshot {
            _ = try await instances.snapshot(request.source, snapshot, project: request.sourceProject)
        }
        if !refresh { try await refuseTaken(name, call.project) }
        let (instances, project) = (instances, call.project)
        return try await door.operation(
            "Creating instance", project: project,
            resources: [
                "instances": ["/1.0/instances/\(name)", "/1.0/instances/\(request.source)"]
            ]
        ) { _ in
            let view = try await instances.copy(request)
            if post.start { try await instances.start(name, project: project) }
            return ["name": .string(name), "instance": .string("/1.0/instances/\(view.record.name)")]
        }
    }

    private func refuseTaken(_ name: String, _ project: String) async throws {
        guard await instances.names(in: project).contains(name) else { return }
        throw EngineError(
            .alreadyExists, "an instance named \(Names.quoted(name)) exists already",
            hint: "choose another name or delete it first")
    }
}
