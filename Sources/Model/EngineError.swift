/// The one error of the engine. Every front door maps `code` with a `switch` that has no `default`, so that a new
/// code breaks the build in each door until it is mapped.
public struct EngineError: Error, Sendable {
    /// What went wrong, as far as a caller can act on it.
    public enum Code: String, Sendable, CaseIterable, Codable {
        /// The caller's input is wrong; nothing was changed.
        case invalidArgument
        /// The named thing does not exist.
        case notFound
        /// The name is taken.
        case alreadyExists
        /// The thing is not in a state that allows the request.
        case conflict
        /// Somebody else works on the thing right now; the same call may succeed later.
        case busy
        /// This host, driver or kind of instance cannot do it.
        case unsupported
        /// The caller may not do it.
        case permissionDenied
        /// A limit, the disk, memory or an address range is used up.
        case resourceExhausted
        /// The caller, or the daemon's end, cancelled the work.
        case cancelled
        /// The work took longer than its bound.
        case timeout
        /// A peer (registry, mirror, guest) could not be reached or answered wrongly.
        case unavailable
        /// A fault of Isle or of the host.
        case `internal`
    }

    public var code: Code
    /// One sentence that names the thing and its value. Does not repeat the cause.
    public var message: String
    /// What the user can do about it, where that is known.
    public var hint: String?
    /// The thing it is about, as `instance web`, `image docker.io/library/alpine:latest`.
    public var resource: String?
    public var cause: (any Error)?

    public init(
        _ code: Code, _ message: String, hint: String? = nil, resource: String? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.resource = resource
        self.cause = cause
    }
}

extension EngineError: CustomStringConvertible {
    /// Message, cause and hint in one line, as it is shown to a person.
    public var description: String {
        var text = message
        if let cause { text += ": \(cause)" }
        if let hint { text += " (\(hint))" }
        return text
    }
}
