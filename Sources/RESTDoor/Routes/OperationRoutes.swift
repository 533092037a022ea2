import DoorKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/operations`.
struct OperationRoutes: Sendable {
    let door: DoorParts
    private var operations: OperationService { door.engine.operations }

    func add(to table: RouteTable) {
        table.add("/1.0/operations", [.get: { try await list($0) }])
        table.add("/1.0/operations/:id", [.get: { try await get($0) }, .delete: { try await cancel($0) }])
        table.add("/1.0/operations/:id/wait", [.get: { try await wait($0) }])
        table.add("/1.0/operations/:id/websocket", [.get: { try connect($0) }])
    }

    /// By state, as LXD sorts them: `running`, `success`, `failure`, …
    private func list(_ call: Call) async throws -> Response {
        let records = await operations.list(project: call.projectOrAll)
        let byStatus = Dictionary(grouping: records) { $0.status.rawValue.lowercased() }
        if try call.recursion == 0 {
            return try Reply.sync(byStatus.mapValues { $0.map { "/1.0/operations/\($0.id)" } })
        }
        return try Reply.sync(byStatus.mapValues { $0.map { API.Operation($0) } })
    }

    private func get(_ call: Call) async throws -> Response {
        try Reply.sync(API.Operation(try await operations.get(try call.parameter("id"))))
    }

    /// Seconds in `timeout`; -1 and none wait without bound.
    private func wait(_ call: Call) async throws -> Response {
        let timeout = try call.number("timeout").flatMap { $0 < 0 ? nil : Duration.seconds($0) }
        return try Reply.sync(API.Operation(try await operations.wait(try call.parameter("id"), timeout: timeout)))
    }

    private func cancel(_ call: Call) async throws -> Response {
        let id = try call.parameter("id")
        try await operations.cancel(id)
        door.engine.events.lifecycle("operation-cancelled", "/1.0/operations/\(id)", project: call.project)
        return try Reply.done()
    }

    /// A stream of a session. Each secret opens one websocket, once.
    private func connect(_ call: Call) throws -> Response {
        let id = try call.parameter("id")
        guard let session = door.sessions.find(id) else {
            throw EngineError(.notFound, "operation \(Names.quoted(id)) has no streams, or it has ended")
        }
        guard let secret = call.query("secret") else {
            throw EngineError(.invalidArgument, "the secret of the stream is missing")
        }
        // Claimed before the handshake is looked at: a secret that was shown to a wrong client is worth nothing.
        guard let serve = session.opening(secret) else {
            throw EngineError(.permissionDenied, "the secret is wrong or was used before")
        }
        do throws(WebSocket.HandshakeError) {
            return try WebSocket.accept(call.request, call.context) { socket in
                await serve(socket)
            }
        } catch {
            throw EngineError(.invalidArgument, error.message)
        }
    }
}
