import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/warnings`.
struct WarningRoutes: Sendable {
    let door: DoorParts
    private var warnings: WarningService { door.engine.warnings }

    func add(to table: RouteTable) {
        table.add("/1.0/warnings", [.get: { try await list($0) }])
        table.add(
            "/1.0/warnings/:uuid",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .delete: { try await delete($0) },
            ])
    }

    private func list(_ call: Call) async throws -> Response {
        let project = call.query("project")
        let records = await warnings.list().filter { project == nil || $0.project.isEmpty || $0.project == project }
        if try call.recursion == 0 { return try Reply.sync(records.map { "/1.0/warnings/\($0.id)" }) }
        return try Reply.sync(records.map { API.Warning($0) })
    }

    private func get(_ call: Call) async throws -> Response {
        let warning = API.Warning(try await warnings.get(try call.parameter("uuid")))
        return try Reply.sync(warning, etag: try ETag.of(warning.status))
    }

    private func change(_ call: Call) async throws -> Response {
        let id = try call.parameter("uuid")
        try call.checkPrecondition(try ETag.of(API.Warning(try await warnings.get(id)).status))
        let put = try await call.decode(API.WarningPut.self)
        guard let status = WarningRecord.Status(rawValue: put.status) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(put.status)) is not a status of a warning",
                hint: "new or acknowledged")
        }
        try await warnings.set(id, status)
        door.engine.events.lifecycle(
            status == .acknowledged ? "warning-acknowledged" : "warning-reset", "/1.0/warnings/\(id)")
        return try Reply.done()
    }

    private func delete(_ call: Call) async throws -> Response {
        try await warnings.delete(try call.parameter("uuid"))
        return try Reply.done()
    }
}
