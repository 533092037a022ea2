import Engine
import Hummingbird
import Model

/// `docker rm --link CONTAINER/ALIAS`: the container's other name for another one goes, the other one stays.
struct LinkRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) {
        table.add(.delete, "/containers/:id/:alias") { try await remove($0) }
    }

    private func remove(_ call: DockerCall) async throws -> Response {
        let (name, alias) = (try call.parameter("id"), try call.parameter("alias"))
        guard call.flag("link") else {
            throw EngineError(.notFound, "page not found", hint: "link=1 removes a link")
        }
        let view = try await door.finder.find(name)
        guard let changes = Self.changes(view.record.config, alias: alias) else {
            throw EngineError(.notFound, "Could not find link /\(view.record.name)/\(alias)")
        }
        var request = UpdateRequest()
        request.configChanges = changes
        _ = try await door.engine.instances.update(view.record.name, request)
        return DockerReply.empty()
    }

    /// The keys to change; nil if there is no such link. The name of the other container leads to the same address and
    /// goes with the alias, as do the link's variables.
    static func changes(_ config: [String: String], alias: String) -> [String: String]? {
        let hosts = (config["oci.hosts"] ?? "").split(separator: ",")
        guard let entry = hosts.first(where: { $0.hasPrefix(alias + "=") }) else { return nil }
        let address = entry.dropFirst(alias.utf8.count)
        let variables = "environment." + LinkTranslation.prefix(alias) + "_"
        var changes = ["oci.hosts": hosts.filter { !$0.hasSuffix(address) }.joined(separator: ",")]
        for key in config.keys where key.hasPrefix(variables) {
            let rest = key.dropFirst(variables.count)
            if rest == "NAME" || rest.hasPrefix("PORT") || rest.hasPrefix("ENV_") { changes[key] = "" }
        }
        return changes
    }
}
