public import Hummingbird
public import Logging
public import Model
import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization

/// An HTTP/1.1 server on one listening socket, whose routes may take a connection over (101).
public struct HTTPService: Service {
    /// Gives the answer to a request; failures have become answers already.
    public typealias Responder = @Sendable (Request, DoorContext) async -> Response
    /// Gives the answer to what is not a request, in the door's own shape.
    public typealias BadRequest = @Sendable (String) -> Response

    /// Bounds of what a client can make the server hold.
    public struct Configuration: Sendable {
        /// Bytes of one header field and of all.
        public var headerFieldSize = 16 * 1024
        public var headerSize = 64 * 1024
        public var headerCount = 100
        /// How long a connection may be without a whole request.
        public var idleTimeout: Duration = .seconds(60)
        /// Connections at a time; more wait to be accepted.
        public var connections = 2048
        /// How long requests in progress may take to end when the server stops.
        public var grace: Duration = .seconds(2)
        public init() {}
    }

    private let listener: OwnedDescriptor
    private let tls: TLSServer?
    private let configuration: Configuration
    private let logger: Logger
    private let responder: Responder
    private let badRequest: BadRequest

    /// - Parameters:
    ///   - listener: a listening stream socket; the service closes it.
    ///   - tls: speaks TLS as this server; nil is plain HTTP.
    public init(
        listener: OwnedDescriptor, tls: TLSServer? = nil, configuration: Configuration = Configuration(),
        logger: Logger, badRequest: @escaping BadRequest, responder: @escaping Responder
    ) {
        self.listener = listener
        self.tls = tls
        self.configuration = configuration
        self.logger = logger
        self.badRequest = badRequest
        self.responder = responder
    }

    /// Serves until cancelled or asked to shut down gracefully: then no new connection is accepted, idle and upgraded
    /// ones are closed, and requests in progress have `grace` to end.
    public func run() async throws {
        let connections = OpenConnections()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .bind(
                listener.take(), serverBackPressureStrategy: .init(lowWatermark: 1, highWatermark: 16)
            ) { channel in
                connections.add(channel)
                return HTTPConnection.setUp(channel, configuration, tls, logger)
            }
        // A task of its own, which cancellation does not reach: an accepted connection must be served to its end, if
        // only to be closed, and a cancelled loop would drop those it has not come to.
        let serving = Task {
            await withDiscardingTaskGroup { group in
                do {
                    try await server.executeThenClose { accepted in
                        for try await connection in accepted {
                            await connections.enter(limit: configuration.connections)
                            group.addTask {
                                await connection.serve(responder, badRequest, logger)
                                connections.leave()
                            }
                        }
                    }
                } catch {
                    logger.error("accepting connections failed", metadata: ["error": "\(error)"])
                }
            }
        }
        await withTaskCancellationOrGracefulShutdownHandler {
            await serving.value
        } onCancelOrGracefulShutdown: {
            server.channel.close(promise: nil)
            connections.drain(grace: configuration.grace)
        }
    }
}

extension HTTPService: CustomStringConvertible {
    /// As logs of the service group name it.
    public var description: String { tls == nil ? "HTTP server" : "HTTPS server" }
}

/// The channels that are open, so that a stopping server can close them.
private final class OpenConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        /// Connections that are served; an accepted one that waits for its turn is not.
        var served = 0
        var waiter: CheckedContinuation<Void, Never>?
        var draining = false
    }

    private let state = Mutex(State())

    func add(_ channel: any Channel) {
        let draining = state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = channel
            return state.draining
        }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
        }
        if draining { channel.close(promise: nil) }
    }

    /// Suspends while `limit` are served. One task enters at a time: the one that accepts.
    func enter(limit: Int) async {
        await withCheckedContinuation { continuation in
            let hasRoom = state.withLock { state in
                state.served += 1
                if state.served <= limit || state.draining { return true }
                state.waiter = continuation
                return false
            }
            if hasRoom { continuation.resume() }
        }
    }

    func leave() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            state.served -= 1
            return state.waiter
        }
        waiter?.resume()
    }

    func drain(grace: Duration) {
        let (open, waiter) = state.withLock { state in
            defer { (state.draining, state.waiter) = (true, nil) }
            return (Array(state.channels.values), state.waiter)
        }
        waiter?.resume()
        for channel in open {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            let deadline = channel.eventLoop.scheduleTask(in: TimeAmount(grace)) { channel.close(promise: nil) }
            channel.closeFuture.whenComplete { _ in deadline.cancel() }
        }
    }
}
