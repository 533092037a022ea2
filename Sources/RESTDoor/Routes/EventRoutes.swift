import DoorKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/events`: a websocket with what happens.
struct EventRoutes: Sendable {
    let door: DoorParts

    func add(to table: RouteTable) {
        table.add("/1.0/events", [.get: { try listen($0) }])
    }

    private func listen(_ call: Call) throws -> Response {
        // The daemon's log tells of all projects.
        let isAdministrator = call.caller.isAdministrator
        let topics = try Self.topics(call.query("type")).filter { isAdministrator || $0 != .logging }
        let project = call.flag("all-projects") ? nil : call.query("project")
        let requestor = call.caller.requestor
        if let project, requestor?.mayUse(project) == false {
            throw EngineError(.permissionDenied, "this client may not use the project \(Names.quoted(project))")
        }
        let isVisible: @Sendable (EngineEvent) -> Bool = { event in
            topics.contains(event.topic) && (project == nil || event.project == project || event.topic == .logging)
                && requestor?.mayUse(event.project) ?? true
        }
        let operations = door.engine.operations
        // From now on and not from the 101 on: what the client does next is among them.
        let events = door.engine.events.subscribe()
        do throws(WebSocket.HandshakeError) {
            return try WebSocket.accept(call.request, call.context) { socket in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { while try await socket.receive() != nil {} }
                    group.addTask {
                        for await event in events where isVisible(event) {
                            // Gone when it was forgotten meanwhile; the event of its end came before.
                            let operation = event.topic == .operation ? try? await operations.get(event.action) : nil
                            // The secret of a token is for those who may issue one.
                            if operation?.class == .token, requestor?.projects != nil { continue }
                            let message = try Reply.encode(try API.Event(event, operation: operation))
                            try await socket.send(text: String(decoding: message, as: UTF8.self))
                        }
                    }
                    try await group.next()
                    group.cancelAll()
                }
            }
        } catch {
            throw EngineError(.invalidArgument, error.message)
        }
    }

    private static func topics(_ text: String?) throws -> Set<EngineEvent.Topic> {
        guard let text else { return Set(EngineEvent.Topic.allCases) }
        return Set(
            try text.split(separator: ",").map { word in
                guard let topic = EngineEvent.Topic(rawValue: String(word)) else {
                    throw EngineError(
                        .invalidArgument, "\(Names.quoted(String(word))) is not a type of event",
                        hint: "lifecycle, operation, logging")
                }
                return topic
            })
    }
}
