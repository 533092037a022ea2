import DriverKit
import Engine
import Hummingbird
import Model

/// `docker search`: repositories of Docker Hub, or of the registry that the term begins with.
struct SearchRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) {
        table.add(.get, "/images/search") { try await search($0) }
    }

    private func search(_ call: DockerCall) async throws -> Response {
        guard let text = call.value("term"), !text.isEmpty else {
            throw EngineError(.invalidArgument, "the search has no term", hint: "term=NAME")
        }
        var limit = 25
        if let stated = call.value("limit"), stated != "0" {
            guard let number = Int(stated), (1...100).contains(number) else {
                throw EngineError(.invalidArgument, "limit \(stated) is outside the range of [1, 100]")
            }
            limit = number
        }
        let filters = try call.filters
        try filters.allow(["is-official", "is-automated", "stars"])
        let official = try filters.bool("is-official")
        let automated = try filters.bool("is-automated")
        let stars = try filters["stars"].map { text in
            guard let number = Int(text), number >= 0 else {
                throw EngineError(.invalidArgument, "invalid filter 'stars=\(text)'")
            }
            return number
        }.max()
        let (registry, term) = Self.split(text)
        let found = try await door.engine.images.search(
            registry, term: term, limit: limit,
            credentials: try RegistryAuth.credentials(call.header("X-Registry-Auth")))
        // No registry builds images by itself any more: nothing is automated.
        let fitting =
            automated == true
            ? []
            : found.filter { match in
                (official.map { $0 == match.isOfficial } ?? true) && (stars.map { match.stars >= $0 } ?? true)
            }
        return DockerReply.json(
            .array(
                fitting.map { match in
                    [
                        "name": .string(registry == "docker.io" ? match.name : "\(registry)/\(match.name)"),
                        "description": .string(match.description), "is_official": .bool(match.isOfficial),
                        "is_automated": false, "star_count": .integer(Int64(match.stars)),
                    ]
                }))
    }

    /// The registry and the rest: the first part is a registry if it looks like a host (distribution's reference rules).
    static func split(_ term: String) -> (registry: String, term: String) {
        guard let slash = term.firstIndex(of: "/") else { return ("docker.io", term) }
        let first = term[..<slash]
        guard first.contains(".") || first.contains(":") || first == "localhost" else { return ("docker.io", term) }
        let registry = first == "index.docker.io" ? "docker.io" : String(first)
        return (registry, String(term[term.index(after: slash)...]))
    }
}
