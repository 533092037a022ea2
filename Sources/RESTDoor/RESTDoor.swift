public import DoorKit
public import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
public import Logging
public import Model
public import WireTypes

/// The native front end: LXD's REST API with Isle's additions, over HTTP on a unix socket.
///
/// It translates and holds no logic: requests become calls of the engine, the engine's values become JSON.
public struct RESTDoor: Sendable {
    /// What the daemon tells about itself.
    public struct Server: Sendable {
        public var version: String
        public var name: String
        /// Technologies that run instances, and their versions, as `crun | qemu | wasmtime`.
        public var driver: String
        public var driverVersion: String
        public var storage: String
        public var firewall: String
        public var kinds: [InstanceKind]

        public init(
            version: String, name: String, driver: String, driverVersion: String, storage: String, firewall: String,
            kinds: [InstanceKind] = InstanceKind.allCases
        ) {
            self.version = version
            self.name = name
            self.driver = driver
            self.driverVersion = driverVersion
            self.storage = storage
            self.firewall = firewall
            self.kinds = kinds
        }
    }

    /// Kernels for machines that are made from root filesystems.
    public struct Kernels: Sendable {
        public var list: @Sendable () async throws -> [API.Kernel]
        /// Fetches one by package or version, nil the newest, and gives its version.
        public var fetch: @Sendable (String?) async throws -> String
        public var remove: @Sendable (String) async throws -> Void

        public init(
            list: @escaping @Sendable () async throws -> [API.Kernel],
            fetch: @escaping @Sendable (String?) async throws -> String,
            remove: @escaping @Sendable (String) async throws -> Void
        ) {
            self.list = list
            self.fetch = fetch
            self.remove = remove
        }
    }

    /// Methods with their paths, as `GET /1.0/instances/:name`.
    let routes: [String]
    private let responder: HTTPService.Responder
    private let logger: Logger

    /// - Parameter kernels: nil where machines cannot be made from root filesystems.
    public init(engine: Engine, server: Server, kernels: Kernels? = nil, logger: Logger) {
        let door = DoorParts(engine: engine, server: server, kernels: kernels, sessions: SessionHub(), logger: logger)
        let table = RouteTable()
        ServerRoutes(door: door).add(to: table)
        HostRoutes(door: door).add(to: table)
        InstanceRoutes(door: door).add(to: table)
        InstanceStateRoutes(door: door).add(to: table)
        SnapshotRoutes(door: door).add(to: table)
        SessionRoutes(door: door).add(to: table)
        LogRoutes(door: door).add(to: table)
        FileRoutes(door: door).add(to: table)
        MetadataRoutes(door: door).add(to: table)
        OperationRoutes(door: door).add(to: table)
        EventRoutes(door: door).add(to: table)
        ImageRoutes(door: door).add(to: table)
        ImageAliasRoutes(door: door).add(to: table)
        ImageFileRoutes(door: door).add(to: table)
        ImageExportRoutes(door: door).add(to: table)
        ImagePublishing(door: door).add(to: table)
        BuildRoutes(door: door).add(to: table)
        NetworkRoutes(door: door).add(to: table)
        ProfileRoutes(door: door).add(to: table)
        StorageRoutes(door: door).add(to: table)
        responder = table.responder()
        routes = table.routes
        self.logger = logger
    }

    /// A server of this API on a listening socket, to be run in the daemon's service group.
    public func service(on listener: OwnedDescriptor, _ configuration: HTTPService.Configuration = .init())
        -> HTTPService
    {
        let (responder, logger) = (responder, logger)
        return HTTPService(
            listener: listener, configuration: configuration, logger: logger,
            badRequest: { Reply.error(.badRequest, $0) },
            responder: { request, context in
                guard logger.logLevel <= .debug else { return await responder(request, context) }
                let start = ContinuousClock.now
                let response = await responder(request, context)
                // The path without its query: that may hold the secret of a websocket.
                logger.debug(
                    "request",
                    metadata: [
                        "method": "\(request.method.rawValue)", "path": "\(request.uri.path)",
                        "status": "\(response.status.code)", "took": "\(ContinuousClock.now - start)",
                        "user": "\(context.peer.credentials.map { String($0.user) } ?? "-")",
                    ])
                return response
            })
    }
}

/// What every group of routes works with.
struct DoorParts: Sendable {
    let engine: Engine
    let server: RESTDoor.Server
    let kernels: RESTDoor.Kernels?
    let sessions: SessionHub
    let logger: Logger

    /// Starts work in the background and answers with its operation.
    func operation(
        _ description: String, project: String = "default", resources: [String: [String]] = [:],
        mayCancel: Bool = false, body: @Sendable @escaping (OperationContext) async throws -> [String: Metadata]
    ) async throws -> Response {
        let record = await engine.operations.start(
            description, project: project, resources: resources, mayCancel: mayCancel, body: body)
        return try Reply.operation(API.Operation(record))
    }

    /// Paths of the instances for which `test` holds.
    func users(where test: @Sendable (InstanceView) -> Bool) async -> [String] {
        await engine.instances.names(where: test).map { "/1.0/instances/\($0)" }
    }
}
