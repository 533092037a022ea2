import Engine
import Model
import Synchronization

/// What happened, in Docker's terms: the last of it, and what comes, for whoever listens.
final class EventLog: Sendable {
    struct Event: Sendable {
        var type: String
        var action: String
        var id: String
        var attributes: [String: String]
        /// Seconds since 1970.
        var time: Double

        var json: JSON {
            let actor: JSON = ["ID": .string(id), "Attributes": .map(attributes)]
            var event: JSON = [
                "Type": .string(type), "Action": .string(action), "Actor": actor, "scope": "local",
                "time": .integer(Int64(time)), "timeNano": .integer(Int64(time * 1e9)),
            ]
            // The fields of old clients.
            if type == "container" || type == "image" {
                event = event.merging(["status": .string(action), "id": .string(id)])
                if type == "container", let image = attributes["image"] {
                    event = event.merging(["from": .string(image)])
                }
            }
            return event
        }
    }

    private struct State {
        var past: [Event] = []
        var next = 0
        var listeners: [Int: AsyncStream<Event>.Continuation] = [:]
    }

    private let state = Mutex(State())
    /// Events kept for `since`, as many as dockerd keeps.
    private static let kept = 256

    func publish(_ event: Event) {
        let listeners = state.withLock { state in
            state.past.append(event)
            if state.past.count > Self.kept { state.past.removeFirst(state.past.count - Self.kept) }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.yield(event) }
    }

    /// What was so far, and what comes from now on, nothing lost or twice in between.
    func subscribe() -> (past: [Event], future: AsyncStream<Event>) {
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(4096))
        let (past, number) = state.withLock { state in
            state.next += 1
            state.listeners[state.next] = continuation
            return (state.past, state.next)
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
        }
        return (past, stream)
    }
}
