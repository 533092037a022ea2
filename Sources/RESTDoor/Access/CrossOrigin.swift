import DoorKit
import HTTPTypes
import Hummingbird
import Model
import Synchronization
import WireTypes

/// What pages of other origins may do with a browser that holds a client's certificate (Fetch standard, CORS).
///
/// A browser says the origin of the page with every request that changes something and with every websocket. One that
/// is neither ours nor the one in `core.https_allowed_origin` is refused, before the route is looked for.
final class CrossOrigin: Sendable {
    private let config = Mutex<[String: String]>([:])

    func use(_ settings: [String: String]) { config.withLock { $0 = settings } }

    /// The refusal; nil where the request may go on.
    func refusal(_ request: Request, _ peer: Peer) -> Response? {
        guard peer.address != nil, let field = HTTPField.Name("Origin"), let origin = request.headers[field]
        else { return nil }
        let changes = request.method != .get && request.method != .head && request.method != .options
        guard changes || request.headers.contains(.upgrade) else { return nil }
        let allowed = config.withLock { $0["core.https_allowed_origin"] ?? "" }
        if allowed == "*" || origin == allowed || origin == "https://\(request.head.authority ?? "")" { return nil }
        return Reply.error(
            .forbidden, "pages of the origin \(Names.quoted(origin)) may not use this server")
    }

    /// Tells a browser what is allowed.
    func mark(_ response: inout Response, _ peer: Peer) {
        guard peer.address != nil else { return }
        let config = config.withLock { $0 }
        guard let origin = config["core.https_allowed_origin"], !origin.isEmpty else { return }
        func set(_ name: String, _ value: String?) {
            guard let value, !value.isEmpty, let field = HTTPField.Name(name) else { return }
            response.headers[field] = value
        }
        set("Access-Control-Allow-Origin", origin)
        set("Access-Control-Allow-Methods", config["core.https_allowed_methods"])
        set("Access-Control-Allow-Headers", config["core.https_allowed_headers"])
        let credentials = config["core.https_allowed_credentials"].map { ["true", "1", "yes", "on"].contains($0) }
        set("Access-Control-Allow-Credentials", credentials == true ? "true" : nil)
    }
}
