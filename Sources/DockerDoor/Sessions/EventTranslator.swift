import Engine
import Model

/// Turns the engine's events into Docker's. Attributes of containers are remembered, because the events of their end
/// come when there is nobody to ask any more.
actor EventTranslator {
    private let door: DockerParts
    private var known: [String: [String: String]] = [:]

    init(door: DockerParts) { self.door = door }

    /// Follows the engine until cancelled.
    func run(_ events: AsyncStream<EngineEvent>) async {
        for await event in events where event.topic == .lifecycle { await translate(event) }
    }

    private func translate(_ event: EngineEvent) async {
        let name = event.source.split(separator: "/").last.map(String.init) ?? ""
        switch event.action {
        case _ where event.action.hasPrefix("instance-"): await instance(event, name)
        case "image-created":
            guard case .array(let references)? = event.context["references"] else { return }
            for reference in references.compactMap(\.string) {
                publish(event, "image", "pull", "sha256:" + name, ["name": ImageNames.familiar(reference, among: [])])
            }
        case "image-tagged":
            let reference = ImageNames.familiar(event.context["reference"]?.string ?? "", among: [])
            publish(event, "image", "tag", "sha256:" + name, ["name": reference])
        case "image-pushed":
            let reference = ImageNames.familiar(event.context["reference"]?.string ?? "", among: [])
            publish(event, "image", "push", "sha256:" + name, ["name": reference])
        case "image-deleted": publish(event, "image", "delete", "sha256:" + name, ["name": "sha256:" + name])
        case "storage-volume-created": publish(event, "volume", "create", name, ["driver": "local"])
        case "storage-volume-deleted": publish(event, "volume", "destroy", name, ["driver": "local"])
        case "network-created":
            publish(event, "network", "create", ContainerID.of(name: name), ["name": name, "type": "bridge"])
        case "network-deleted":
            publish(event, "network", "destroy", ContainerID.of(name: name), ["name": name, "type": "bridge"])
        default: return
        }
    }

    private func instance(_ event: EngineEvent, _ name: String) async {
        guard let id = event.context["id"]?.string.flatMap({ InstanceID($0) }) else { return }
        let full = ContainerID.full(id)
        var attributes = await attributes(of: id, name: name)
        switch event.action {
        case "instance-created": publish(event, "container", "create", full, attributes)
        case "instance-started": publish(event, "container", "start", full, attributes)
        case "instance-stopped":
            if event.context["oom"] == .bool(true) { publish(event, "container", "oom", full, attributes) }
            if case .integer(let code)? = event.context["exit_code"] { attributes["exitCode"] = "\(code)" }
            publish(event, "container", "die", full, attributes)
        case "instance-paused": publish(event, "container", "pause", full, attributes)
        case "instance-resumed": publish(event, "container", "unpause", full, attributes)
        case "instance-updated": publish(event, "container", "update", full, attributes)
        case "instance-health-status":
            let status = event.context["status"]?.string ?? ""
            publish(event, "container", "health_status: \(status)", full, attributes)
        case "instance-renamed":
            attributes["name"] = name
            attributes["oldName"] = "/" + (event.context["old_name"]?.string ?? "")
            known[id.raw]?["name"] = name
            publish(event, "container", "rename", full, attributes)
        case "instance-deleted":
            publish(event, "container", "destroy", full, attributes)
            known[id.raw] = nil
            door.execs.forget(id)
        default: return
        }
    }

    /// Name, image and labels, as events carry them.
    private func attributes(of id: InstanceID, name: String) async -> [String: String] {
        if let attributes = known[id.raw] { return attributes }
        guard let view = await door.engine.instances.find(id: id) else { return ["name": name] }
        let attributes = await door.facts(view, names: door.names()).eventAttributes
        known[id.raw] = attributes
        return attributes
    }

    private func publish(
        _ event: EngineEvent, _ type: String, _ action: String, _ id: String, _ attributes: [String: String]
    ) {
        door.events.publish(
            EventLog.Event(type: type, action: action, id: id, attributes: attributes, time: event.timestamp))
    }
}

extension ContainerFacts {
    /// What events say of a container.
    var eventAttributes: [String: String] {
        labels.merging(["name": record.name, "image": imageName]) { $1 }
    }
}
