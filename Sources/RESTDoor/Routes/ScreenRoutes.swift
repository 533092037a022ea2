import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore
import WireTypes

/// The screen of a machine: the console of the type `vga`.
struct ScreenRoutes: Sendable {
    let door: DoorParts

    /// A session in the SPICE protocol.
    func open(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let session = ScreenSession(try await door.engine.instances.screen(name, project: call.project))
        try door.tell("instance-console", call, ["type": "vga"])
        let registered = Latch<Void>()
        let hub = door.sessions
        let record = await door.engine.operations.start(
            "Showing console", project: call.project, class: .websocket,
            resources: ["instances": ["/1.0/instances/\(name)"]], mayCancel: true
        ) { context in
            do { try await session.run() } catch {
                _ = await registered.wait()
                hub.remove(context.id)
                throw error
            }
            _ = await registered.wait()
            hub.remove(context.id)
            return [:]
        }
        hub.add(session, record.id)
        registered.set(())
        var operation = API.Operation(record)
        var shown = operation.metadata ?? [:]
        shown["fds"] = .object(session.secrets.mapValues { .string($0) })
        operation.metadata = shown
        return try Reply.operation(operation)
    }

    /// What it shows now.
    func picture(_ call: Call) async throws -> Response {
        let bytes = try await door.engine.instances.screen(try call.parameter("name"), project: call.project).picture()
        return Response(
            status: .ok, headers: [.contentType: "image/png"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
