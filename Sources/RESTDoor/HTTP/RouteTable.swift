import DoorKit
import HTTPTypes
import Hummingbird
import Logging
import Model

/// The routes of the API. A path that is known answers 405 to a method it does not have; LXD's envelope is around
/// every failure.
final class RouteTable {
    typealias Handler = @Sendable (Call) async throws -> Response

    /// What there is, as `GET /1.0/instances/:name`; in the order of addition.
    private(set) var routes: [String] = []
    private let router = Router(context: DoorContext.self)
    private static let methods: [HTTPRequest.Method] = [.get, .put, .post, .patch, .delete, .head, .options]

    init() { router.middlewares.add(NotFound()) }

    /// Adds a path with its methods. `:name` in the path is a parameter.
    func add(_ path: String, _ handlers: [HTTPRequest.Method: Handler]) {
        routes += handlers.keys.map { "\($0.rawValue) \(path)" }
        let allowed = handlers.keys.map(\.rawValue).sorted().joined(separator: ", ")
        for method in Self.methods {
            let handler = handlers[method] ?? (method == .head ? handlers[.get] : nil)
            router.on(RouterPath(path), method: method) { request, context -> Response in
                guard let handler else {
                    var response = Reply.error(.methodNotAllowed, "\(method.rawValue) is not for \(request.uri.path)")
                    response.headers[.allow] = allowed
                    return response
                }
                do {
                    return try await handler(Call(request, context))
                } catch {
                    if !(error is EngineError || error is RequestError) {
                        context.logger.debug("a route failed", metadata: ["error": "\(error)"])
                    }
                    return Reply.failure(error)
                }
            }
        }
    }

    /// The routes as one function.
    func responder() -> HTTPService.Responder {
        let responder = router.buildResponder()
        return { request, context in
            do { return try await responder.respond(to: request, context: context) } catch {
                return Reply.failure(error)
            }
        }
    }

    /// The router answers itself when no path fits, in a shape of its own.
    private struct NotFound: RouterMiddleware {
        func handle(
            _ request: Request, context: DoorContext,
            next: @concurrent (Request, DoorContext) async throws -> Response
        ) async throws -> Response {
            do {
                return try await next(request, context)
            } catch let error as HTTPError where error.status == .notFound {
                return Reply.error(.notFound, "there is nothing at \(Names.quoted(request.uri.path))")
            }
        }
    }
}
