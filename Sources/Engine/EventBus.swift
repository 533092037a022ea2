public import Model
import Synchronization

/// Something that happened, for `isle monitor` and the doors' event streams.
public struct EngineEvent: Sendable {
    public enum Topic: String, Sendable, CaseIterable { case lifecycle, operation, logging }
    public var topic: Topic
    /// Seconds since 1970.
    public var timestamp: Double
    public var project: String
    /// For lifecycle `instance-started` and the like; for operations the operation's id.
    public var action: String
    /// What it is about, as a path of the native API: `/1.0/instances/web`.
    public var source: String
    public var context: [String: Metadata]
    /// Who asked for it; nil for what the daemon does by itself.
    public var requestor: Requestor?

    public init(
        topic: Topic, timestamp: Double, project: String = "default", action: String, source: String,
        context: [String: Metadata] = [:], requestor: Requestor? = Requestor.current
    ) {
        self.topic = topic
        self.timestamp = timestamp
        self.project = project
        self.action = action
        self.source = source
        self.context = context
        self.requestor = requestor
    }
}

/// Hands events to whoever listens. A listener that does not keep up loses the oldest events, never stalls the rest.
public final class EventBus: Sendable {
    private struct State {
        var next = 0
        var listeners: [Int: AsyncStream<EngineEvent>.Continuation] = [:]
    }
    private let state = Mutex(State())
    /// Events kept for a slow listener.
    private static let backlog = 4096

    public init() {}

    public func publish(_ event: EngineEvent) {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.yield(event) }
    }

    /// Publishes a lifecycle event of an instance, an image or another resource.
    public func lifecycle(
        _ action: String, _ source: String, project: String = "default", _ context: [String: Metadata] = [:]
    ) {
        publish(
            EngineEvent(
                topic: .lifecycle, timestamp: Clock.now, project: project, action: action, source: source,
                context: context))
    }

    /// Events from now on; the listener is forgotten when the stream is no longer read.
    public func subscribe() -> AsyncStream<EngineEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: EngineEvent.self, bufferingPolicy: .bufferingNewest(Self.backlog))
        let number = state.withLock { state in
            state.next += 1
            state.listeners[state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
        }
        return stream
    }
}
