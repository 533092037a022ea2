import DriverKit
import Engine
import Model

/// Names and variables that a container gets of those that it is linked to.
///
/// Addresses are kept for the life of a container, so they can be written down when the link is made.
struct LinkTranslation {
    /// `name=address`, for `oci.hosts`.
    private(set) var hosts: [String] = []
    /// Of links on the standard network alone, as with Docker.
    private(set) var variables: [String: String] = [:]

    /// No links.
    init() {}

    /// - Parameter name: of the container that is made; nil if the engine chooses one.
    init(_ body: ContainerBody, name: String?, id: InstanceID, door: DockerParts) async throws {
        let names = await door.names()
        // The client says links of a container on the user's network in both places.
        if ["default", "bridge", "", names.standard].contains(body.host.networkMode) {
            for text in body.host.links { try await add(text, name ?? ContainerID.short(id), door) }
        }
        for (network, endpoint) in body.endpoints where !endpoint.links.isEmpty {
            let engineName = try names.engineName(network)
            for text in endpoint.links { try await add(text, on: engineName, door) }
        }
    }

    /// What the names of a link's variables begin with.
    static func prefix(_ alias: String) -> String {
        String(alias.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" })
    }

    private static func split(_ text: String) -> (container: String, alias: String) {
        let parts = text.split(separator: ":").map(String.init)
        let container = (parts.first ?? "").split(separator: "/").last.map(String.init) ?? ""
        return (container, parts.last.flatMap { $0.split(separator: "/").last.map(String.init) } ?? container)
    }

    /// `container:alias` on the standard network.
    private mutating func add(_ text: String, _ own: String, _ door: DockerParts) async throws {
        let (container, alias) = Self.split(text)
        let view = try await door.finder.find(container)
        guard let address = view.endpoints.first?.ipv4 else {
            throw EngineError(.invalidArgument, "Cannot link to a non running container: /\(view.record.name)")
        }
        hosts += Set([alias, view.record.name]).sorted().map { "\($0)=\(address)" }
        let facts = await door.facts(view, names: door.names())
        let prefix = Self.prefix(alias)
        variables["\(prefix)_NAME"] = "/\(own)/\(alias)"
        for entry in facts.environment where !entry.hasPrefix("PATH=") {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            variables["\(prefix)_ENV_\(parts[0])"] = parts.count > 1 ? String(parts[1]) : ""
        }
        let ports = facts.exposedPorts.compactMap { try? GuestPort($0) }.sorted {
            ($0.number, $0.transport) < ($1.number, $1.transport)
        }
        for port in ports {
            let key = "\(prefix)_PORT_\(port.number)_\(port.transport.uppercased())"
            variables[key] = "\(port.transport)://\(address):\(port.number)"
            variables[key + "_ADDR"] = address
            variables[key + "_PORT"] = "\(port.number)"
            variables[key + "_PROTO"] = port.transport
        }
        if let port = ports.first { variables["\(prefix)_PORT"] = "\(port.transport)://\(address):\(port.number)" }
    }

    /// `container:alias` on a network of the user's. As with Docker the other need not be there; then the name stays
    /// unknown, since it is not looked up again.
    private mutating func add(_ text: String, on network: String, _ door: DockerParts) async throws {
        let (container, alias) = Self.split(text)
        let view: InstanceView
        do { view = try await door.finder.find(container) } catch let error as EngineError
            where error.code == .notFound
        {
            return
        }
        guard alias != view.record.name,
            let address = view.endpoints.first(where: { $0.network == network })?.ipv4
        else { return }
        hosts.append("\(alias)=\(address)")
    }
}
