public import DoorKit
public import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
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
        /// Where remote clients reach it now, as `10.0.0.1:8443`.
        public var addresses: @Sendable () async -> [String]

        public init(
            version: String, name: String, driver: String, driverVersion: String, storage: String, firewall: String,
            kinds: [InstanceKind] = InstanceKind.allCases, addresses: @escaping @Sendable () async -> [String] = { [] }
        ) {
            self.version = version
            self.name = name
            self.driver = driver
            self.driverVersion = driverVersion
            self.storage = storage
            self.firewall = firewall
            self.kinds = kinds
            self.addresses = addresses
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
    private let engine: Engine
    private let origins = CrossOrigin()
    private let logger: Logger

    /// - Parameter kernels: nil where machines cannot be made from root filesystems.
    public init(engine: Engine, server: Server, kernels: Kernels? = nil, logger: Logger) {
        let door = DoorParts(engine: engine, server: server, kernels: kernels, sessions: SessionHub(), logger: logger)
        let trust = engine.trust
        let table = RouteTable { await Self.identify($0, trust) }
        ServerRoutes(door: door).add(to: table)
        HostRoutes(door: door).add(to: table)
        InstanceRoutes(door: door).add(to: table)
        InstanceStateRoutes(door: door).add(to: table)
        SnapshotRoutes(door: door).add(to: table)
        BackupRoutes(door: door).add(to: table)
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
        NetworkForwardRoutes(door: door).add(to: table)
        NetworkACLRoutes(door: door).add(to: table)
        ProfileRoutes(door: door).add(to: table)
        CertificateRoutes(door: door).add(to: table)
        ProjectRoutes(door: door).add(to: table)
        WarningRoutes(door: door).add(to: table)
        PoolRoutes(door: door).add(to: table)
        StorageRoutes(door: door).add(to: table)
        VolumeSnapshotRoutes(door: door).add(to: table)
        let described = table.routes + ["GET /1.0/openapi.json"]
        table.add(
            "/1.0/openapi.json",
            [
                .get: { _ in
                    let document = try OpenAPIDocument(routes: described, version: server.version).json()
                    return Response(
                        status: .ok, headers: [.contentType: Reply.json],
                        body: ResponseBody(byteBuffer: ByteBuffer(bytes: try Reply.encode(document))))
                }
            ])
        responder = table.responder()
        routes = table.routes
        self.logger = logger
        self.engine = engine
    }

    /// Who is at the other end of a connection. A certificate that has expired is a stranger's.
    private static func identify(_ peer: Peer, _ trust: TrustService) async -> Caller {
        if let credentials = peer.credentials { return .local(user: credentials.user) }
        let address = peer.address ?? ""
        guard let shown = peer.certificate, let record = await trust.find(shown.fingerprint) else {
            return .stranger(address: address)
        }
        let now = Date().timeIntervalSince1970
        guard shown.notBefore <= now, now <= shown.notAfter else { return .stranger(address: address) }
        return .trusted(record, address: address)
    }

    /// Follows changes of the settings that are the door's own; to be called once the engine has started.
    public func followSettings() async {
        let origins = origins
        origins.use(await engine.settings.all())
        await engine.settings.onChange { _, new in origins.use(new) }
    }

    /// A server of this API on a listening socket, to be run in the daemon's service group.
    /// - Parameters:
    ///   - tls: for remote clients; nil for the unix socket.
    ///   - onlyMetrics: answer nothing but `GET /1.0/metrics`.
    public func service(
        on listener: OwnedDescriptor, tls: TLSServer? = nil, onlyMetrics: Bool = false,
        _ configuration: HTTPService.Configuration = .init()
    ) -> HTTPService {
        let (inner, logger, origins) = (responder, logger, origins)
        let responder: HTTPService.Responder = { request, context in
            if onlyMetrics, request.uri.path != "/1.0/metrics" { return Reply.unauthorised() }
            if let refusal = origins.refusal(request, context.peer) { return refusal }
            var response = await inner(request, context)
            origins.mark(&response, context.peer)
            return response
        }
        return HTTPService(
            listener: listener, tls: tls, configuration: configuration, logger: logger,
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

    /// Tells of what a client did with the instance that the call names and what changes no record of it, as looking
    /// into it.
    func tell(_ action: String, _ call: Call, _ context: [String: Metadata] = [:]) throws {
        let name = try call.parameter("name")
        engine.events.lifecycle(action, "/1.0/instances/\(name)", project: call.project, context)
    }

    /// Starts work in the background and answers with its operation.
    func operation(
        _ description: String, project: String = "default", resources: [String: [String]] = [:],
        metadata: [String: Metadata] = [:], mayCancel: Bool = false,
        body: @Sendable @escaping (OperationContext) async throws -> [String: Metadata]
    ) async throws -> Response {
        let record = await engine.operations.start(
            description, project: project, resources: resources, metadata: metadata, mayCancel: mayCancel, body: body)
        return try Reply.operation(API.Operation(record))
    }

    /// The project whose images the call's project sees.
    func imageProject(_ call: Call) async -> String { await engine.projects.owner(of: .images, in: call.project) }

    /// `notFound` for a stranger to whom the image is not public, unless the request has a secret that was made for it.
    /// - Parameter use: the secret is good no more.
    func admit(_ call: Call, _ image: String, use: Bool = false) async throws {
        guard case .stranger = call.caller else { return }
        let secret = call.query("secret")
        let project = await imageProject(call)
        guard try await engine.images.admits(image, project: project, secret: secret, use: use) else {
            throw EngineError(.notFound, "image \(Names.quoted(image)) does not exist")
        }
    }

    /// Paths of the instances for which `test` holds, in all projects that the caller may use.
    func users(where test: @Sendable (InstanceView) -> Bool) async -> [String] {
        await engine.instances.views(where: test).map { Path.instance($0.record) }
    }
}

/// Paths of things, with their project unless that is the default one.
enum Path {
    static func instance(_ record: InstanceRecord) -> String {
        scoped("/1.0/instances/\(record.name)", record.project)
    }

    static func profile(_ record: ProfileRecord) -> String { scoped("/1.0/profiles/\(record.name)", record.project) }

    static func scoped(_ path: String, _ project: String) -> String {
        project == ProjectRecord.standard ? path : "\(path)?project=\(project)"
    }
}
