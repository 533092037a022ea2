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
    private let identify: @Sendable (Peer) async -> Caller
    private let router = Router(context: DoorContext.self)
    private static let methods: [HTTPRequest.Method] = [.get, .put, .post, .patch, .delete, .head, .options]

    /// - Parameter identify: who is at the other end.
    init(identify: @escaping @Sendable (Peer) async -> Caller) {
        self.identify = identify
        router.middlewares.add(NotFound(identify: identify))
    }

    /// Adds a path with its methods. `:name` in the path is a parameter.
    func add(_ path: String, _ handlers: [HTTPRequest.Method: Handler]) {
        routes += handlers.keys.map { "\($0.rawValue) \(path)" }
        let allowed = handlers.keys.map(\.rawValue).sorted().joined(separator: ", ")
        for method in Self.methods {
            let handler = handlers[method] ?? (method == .head ? handlers[.get] : nil)
            let access = AccessRules.access(method, path)
            let identify = identify
            router.on(RouterPath(path), method: method) { request, context -> Response in
                let caller = await identify(context.peer)
                guard let handler else {
                    guard caller.isClient || access == .anyone else { return Reply.unauthorised() }
                    var response = Reply.error(.methodNotAllowed, "\(method.rawValue) is not for \(request.uri.path)")
                    response.headers[.allow] = allowed
                    return response
                }
                do {
                    let call = try Call(request, context, caller)
                    try AccessRules.check(call, access)
                    guard let requestor = caller.requestor else { return try await handler(call) }
                    return try await Requestor.$current.withValue(requestor) { try await handler(call) }
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
        let identify: @Sendable (Peer) async -> Caller

        func handle(
            _ request: Request, context: DoorContext,
            next: @concurrent (Request, DoorContext) async throws -> Response
        ) async throws -> Response {
            do {
                return try await next(request, context)
            } catch let error as HTTPError where error.status == .notFound {
                // Strangers are not told which paths there are.
                guard await identify(context.peer).isClient else { return Reply.unauthorised() }
                return Reply.error(.notFound, "there is nothing at \(Names.quoted(request.uri.path))")
            }
        }
    }
}
