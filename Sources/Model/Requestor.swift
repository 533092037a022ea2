/// Who asks the engine for something, as far as a door knows. What is done on the daemon's own account has none.
///
/// A door binds it around each request (`Requestor.$current.withValue`); tasks that the request starts inherit it, so
/// that the engine can say who did something and refuse what is not the caller's, however deep in the work.
public struct Requestor: Sendable, Hashable {
    @TaskLocal public static var current: Requestor?

    /// A user's name, or a certificate's fingerprint.
    public var username: String
    /// `unix` or `tls`.
    public var `protocol`: String
    /// Where it comes from; empty for the unix socket.
    public var address: String
    /// The projects it may see and change; nil is all of them.
    public var projects: Set<String>?

    public init(username: String, protocol: String, address: String = "", projects: Set<String>? = nil) {
        self.username = username
        self.protocol = `protocol`
        self.address = address
        self.projects = projects
    }

    /// Whether it may see and change what is in the project.
    public func mayUse(_ project: String) -> Bool { projects?.contains(project) ?? true }

    /// `permissionDenied` unless the current requestor, if there is one, may use the project.
    public static func check(_ project: String) throws {
        guard let current, !current.mayUse(project) else { return }
        throw EngineError(.permissionDenied, "this client may not use the project \(Names.quoted(project))")
    }

    /// Whether the current requestor, if there is one, may use the project.
    public static func mayUse(_ project: String) -> Bool { current?.mayUse(project) ?? true }
}
