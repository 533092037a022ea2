import HTTPTypes
import Model

/// What a caller must be for a route.
enum RouteAccess: String, Sendable {
    /// Anybody; the route itself says what strangers see, or asks for a secret.
    case anyone
    /// A trusted client, also one confined to projects: the route, or the engine, shows it what is its own.
    case client
    /// A trusted client that may use the request's project.
    case project
    /// As `project`; a stranger too, whom the route shows what is public.
    case published
    /// As `project`, and it may ask for all projects, which are then those it may use.
    case projects
    /// A trusted client that is not confined to projects.
    case administrator
}

/// Who may use which route. One table, so that it can be looked over; what it does not name is for administrators.
enum AccessRules {
    /// - Parameter path: with parameters, as `/1.0/instances/:name`.
    static func access(_ method: HTTPRequest.Method, _ path: String) -> RouteAccess {
        let isReading = method == .get || method == .head
        let parts = path.split(separator: "/").map(String.init)
        guard parts.first == "1.0", parts.count > 1 else { return isReading ? .anyone : .administrator }
        let rest = Array(parts.dropFirst(2))
        switch parts[1] {
        case "instances", "containers", "virtual-machines":
            return rest.isEmpty ? .projects : .project
        case "profiles": return rest.isEmpty ? .projects : .project
        case "operations":
            // The secret of the stream is what opens it.
            if rest.last == "websocket" { return .anyone }
            return .client
        case "events", "cluster", "resources", "openapi.json": return isReading ? .client : .administrator
        case "certificates": return rest.isEmpty && method == .post ? .anyone : .client
        case "projects", "networks", "network-acls": return isReading ? .client : .administrator
        case "images":
            // The store is one for all projects: who is confined to some may add to it, not change what is there.
            if isReading { return Self.published.contains(path) ? .published : .project }
            return rest.isEmpty && method == .post ? .project : .administrator
        case "storage-pools":
            if rest.count >= 2, rest[1] == "volumes" { return .project }
            return isReading ? .client : .administrator
        // Who may read them is also a setting: the route asks for it.
        case "metrics": return .anyone
        default: return .administrator
        }
    }

    private static let published: Set<String> = [
        "/1.0/images", "/1.0/images/:image", "/1.0/images/:image/export", "/1.0/images/aliases",
        "/1.0/images/aliases/:alias",
    ]

    /// Throws unless the caller may use the route with this request.
    static func check(_ call: Call, _ access: RouteAccess) throws {
        switch access {
        case .anyone: return
        case .administrator: try checkAdministrator(call)
        case .client: try checkClient(call)
        case .project, .published:
            if access == .published, case .stranger = call.caller { return }
            try checkClient(call)
            guard !call.caller.isAdministrator else { return }
            guard !call.flag("all-projects") else {
                throw EngineError(.permissionDenied, "this client may not look at all projects here")
            }
            try checkProject(call)
        case .projects:
            try checkClient(call)
            if call.caller.isAdministrator || call.flag("all-projects") { return }
            try checkProject(call)
        }
    }

    /// Metrics tell of all projects: they are for administrators and holders of certificates for them.
    static func checkMetrics(_ call: Call, isOpen: Bool) throws {
        if isOpen { return }
        if case .trusted(let record, _) = call.caller, record.purpose == .metrics { return }
        try checkAdministrator(call)
    }

    private static func checkClient(_ call: Call) throws {
        guard call.caller.isClient else {
            throw EngineError(
                .permissionDenied, "not authorized",
                hint: "ask for a token (isle config trust add, lxc config trust add) and join with it")
        }
    }

    private static func checkAdministrator(_ call: Call) throws {
        try checkClient(call)
        guard call.caller.isAdministrator else {
            throw EngineError(.permissionDenied, "this client is confined to projects and may not do that")
        }
    }

    private static func checkProject(_ call: Call) throws {
        guard call.caller.requestor?.mayUse(call.project) ?? false else {
            throw EngineError(
                .permissionDenied, "this client may not use the project \(Names.quoted(call.project))")
        }
    }
}
