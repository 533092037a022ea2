public import DoorKit
import DriverKit
public import Engine
import Hummingbird
public import Logging
public import Model
public import ServiceLifecycle

/// The front end for Docker clients: the Docker Engine API over HTTP on a unix socket.
///
/// It translates and holds no logic: requests become calls of the engine, the engine's values become Docker's JSON. What
/// Docker says and the engine has no word for is kept with the instance as an annotation.
public struct DockerDoor: Sendable {
    /// What the daemon tells about itself.
    public struct Server: Sendable {
        public var version: String
        public var name: String
        /// The network that Docker clients know as `bridge`.
        public var standardNetwork: String
        /// Where the daemon keeps things.
        public var stateDirectory: String

        public init(version: String, name: String, standardNetwork: String, stateDirectory: String) {
            self.version = version
            self.name = name
            self.standardNetwork = standardNetwork
            self.stateDirectory = stateDirectory
        }
    }

    private let parts: DockerParts
    private let responder: HTTPService.Responder
    private let logger: Logger

    public init(engine: Engine, server: Server, logger: Logger) {
        parts = DockerParts(
            engine: engine, server: server, execs: ExecRegistry(), terminals: TerminalRegistry(),
            failures: StartFailures(),
            events: EventLog(), imageCache: ImageCache(engine.images), logger: logger)
        responder = Self.table(parts).responder()
        self.logger = logger
    }

    static func table(_ parts: DockerParts) -> PathTable {
        var table = PathTable()
        SystemRoutes(door: parts).add(to: &table)
        EventRoutes(door: parts).add(to: &table)
        ContainerRoutes(door: parts).add(to: &table)
        ContainerStateRoutes(door: parts).add(to: &table)
        ContainerStatsRoutes(door: parts).add(to: &table)
        StreamRoutes(door: parts).add(to: &table)
        ArchiveRoutes(door: parts).add(to: &table)
        LogRoutes(door: parts).add(to: &table)
        ExecRoutes(door: parts).add(to: &table)
        ImageRoutes(door: parts).add(to: &table)
        SearchRoutes(door: parts).add(to: &table)
        LinkRoutes(door: parts).add(to: &table)
        ImageTransferRoutes(door: parts).add(to: &table)
        BuildRoutes(door: parts).add(to: &table)
        NetworkRoutes(door: parts).add(to: &table)
        VolumeRoutes(door: parts).add(to: &table)
        SwarmRoutes().add(to: &table)
        return table
    }

    /// A server of this API on a listening socket, to be run in the daemon's service group.
    public func service(on listener: OwnedDescriptor, _ configuration: HTTPService.Configuration = .init())
        -> some Service
    {
        let (responder, logger) = (responder, logger)
        let http = HTTPService(
            listener: listener, configuration: configuration, logger: logger,
            badRequest: { DockerReply.error(.badRequest, $0) },
            responder: { request, context in
                let start = ContinuousClock.now
                let response = await responder(request, context)
                logger.debug(
                    "docker request",
                    metadata: [
                        "method": "\(request.method.rawValue)", "path": "\(request.uri.path)",
                        "status": "\(response.status.code)", "took": "\(ContinuousClock.now - start)",
                        "user": "\(context.peer.credentials.map { String($0.user) } ?? "-")",
                    ])
                return response
            })
        return DockerService(http: http, translator: EventTranslator(door: parts), events: parts.engine.events)
    }
}

/// The server together with what listens to the engine for it.
private struct DockerService: Service, CustomStringConvertible {
    let http: HTTPService
    let translator: EventTranslator
    let events: EventBus

    func run() async throws {
        let stream = events.subscribe()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await translator.run(stream) }
            try await http.run()
            group.cancelAll()
        }
    }

    var description: String { "Docker API server" }
}

/// What every group of routes works with.
struct DockerParts: Sendable {
    let engine: Engine
    let server: DockerDoor.Server
    let execs: ExecRegistry
    let terminals: TerminalRegistry
    let failures: StartFailures
    let events: EventLog
    let imageCache: ImageCache
    let logger: Logger

    var finder: ContainerFinder { ContainerFinder(instances: engine.instances) }
    var imageNames: ImageNames { ImageNames(images: engine.images) }

    func names() async -> NetworkNames {
        NetworkNames(
            standard: server.standardNetwork, existing: Set(await engine.networks.list().map(\.name)))
    }

    func facts(_ view: InstanceView, names: NetworkNames) async -> ContainerFacts {
        ContainerFacts(view: view, image: await imageCache.record(view.record.image), names: names)
    }

    /// Bytes on disk of the writable layer, which is walked for that, and of it with the image.
    func sizes(_ facts: ContainerFacts) async throws -> (own: Int64, all: Int64) {
        var own: Int64 = 0
        do { own = try await engine.instances.rootUsage(facts.record.name) } catch let error as EngineError
            where [.notFound, .unavailable].contains(error.code)
        {
            // It was removed meanwhile, or its pool is not there: the sizes of the others are known all the same.
            logger.debug("no size", metadata: ["container": "\(facts.record.name)", "error": "\(error)"])
        }
        return (own, own + (facts.image?.size ?? 0))
    }

    /// Tells listeners something that the engine has no event for.
    func tell(_ action: String, _ view: InstanceView, _ more: [String: String] = [:]) async {
        let facts = await facts(view, names: names())
        events.publish(
            EventLog.Event(
                type: "container", action: action, id: facts.id,
                attributes: facts.eventAttributes.merging(more) { $1 }, time: Clock.now))
    }
}
