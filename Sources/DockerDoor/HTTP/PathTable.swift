import DoorKit
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// The routes of the API: paths of the Engine API without their version.
///
/// A part that begins with `:` is a parameter; one that begins with `*` takes several parts, for names of images, which
/// have slashes in them.
struct PathTable {
    typealias Handler = @Sendable (DockerCall) async throws -> Response

    struct Route: Sendable {
        var method: HTTPRequest.Method
        var parts: [String]
        var handler: Handler
    }

    private(set) var routes: [Route] = []

    mutating func add(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Handler) {
        routes.append(Route(method: method, parts: path.split(separator: "/").map(String.init), handler: handler))
    }

    /// The routes as one function, around which nothing fails.
    func responder() -> HTTPService.Responder {
        let routes = routes
        return { request, context in
            var response: Response
            do {
                response = try await Self.answer(request, context, routes)
            } catch {
                response = DockerReply.failure(error)
            }
            for (name, value) in Self.headers { response.headers[name] = value }
            return response
        }
    }

    /// What every answer of a dockerd carries; clients choose their version by it.
    private static let headers: [(HTTPField.Name, String)] = [
        ("Api-Version", APIVersion.newest.description), ("Docker-Experimental", "false"), ("Ostype", "linux"),
        ("Server", "Isle (linux)"),
    ].compactMap { name, value in HTTPField.Name(name).map { ($0, value) } }

    private static func answer(_ request: Request, _ context: DoorContext, _ routes: [Route]) async throws -> Response {
        var parts = request.uri.path.split(separator: "/").map(String.init)
        var version = APIVersion.newest
        if let first = parts.first, let asked = APIVersion(segment: first) {
            guard asked <= .newest else {
                throw Refusal(
                    .badRequest,
                    "client version \(asked) is too new. Maximum supported API version is \(APIVersion.newest)")
            }
            guard asked >= .oldest else {
                throw Refusal(
                    .badRequest,
                    "client version \(asked) is too old. Minimum supported API version is \(APIVersion.oldest), please upgrade your client to a newer version"
                )
            }
            version = asked
            parts.removeFirst()
        }
        var otherMethod = false
        for route in routes {
            guard let parameters = match(route.parts[...], parts[...]) else { continue }
            guard route.method == request.method else {
                otherMethod = true
                continue
            }
            return try await route.handler(
                DockerCall(request, context, version: version, parameters: parameters))
        }
        if otherMethod {
            throw Refusal(.methodNotAllowed, "\(request.method.rawValue) is not for \(request.uri.path)")
        }
        throw Refusal(.notFound, "page not found")
    }

    /// The parameters of a path that fits, else nil.
    static func match(_ pattern: ArraySlice<String>, _ path: ArraySlice<String>) -> [String: String]? {
        guard let head = pattern.first else { return path.isEmpty ? [:] : nil }
        let rest = pattern.dropFirst()
        if head.hasPrefix("*") {
            guard !path.isEmpty else { return nil }
            for count in stride(from: path.count - rest.count, through: 1, by: -1) {
                guard var found = match(rest, path.dropFirst(count)) else { continue }
                found[String(head.dropFirst())] = path.prefix(count).joined(separator: "/")
                return found
            }
            return nil
        }
        guard let first = path.first, head.hasPrefix(":") || head == first else { return nil }
        guard var found = match(rest, path.dropFirst()) else { return nil }
        if head.hasPrefix(":") { found[String(head.dropFirst())] = first }
        return found
    }
}
