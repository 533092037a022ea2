/// Why a call of the client failed.
public struct ClientError: Error, Sendable, Hashable {
    /// What went wrong, as far as a caller can act on it.
    public enum Kind: Sendable, Hashable {
        /// No daemon answers on the socket.
        case daemonUnavailable
        /// The daemon refused; `status` is the HTTP status or, of an operation, its `status_code`.
        case refused(status: Int)
        /// A background operation ended with an error.
        case operationFailed
        /// A background operation was cancelled.
        case cancelled
        /// The daemon did not answer in time.
        case timeout
        /// The connection broke in the middle of an answer or a stream.
        case connectionLost
        /// What came is not HTTP, not a websocket, or not an answer of LXD's shape.
        case malformedAnswer
        /// A file or descriptor of this machine could not be used.
        case local
    }

    public var kind: Kind
    /// One sentence that names the thing; of a refusal, the daemon's own.
    public var message: String
    /// What the user can do about it.
    public var hint: String?

    public init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
    }

    /// Whether the daemon said that the thing does not exist.
    public var isNotFound: Bool { kind == .refused(status: 404) }
}

extension ClientError: CustomStringConvertible {
    /// Message and hint in one line.
    public var description: String { hint.map { "\(message) (\($0))" } ?? message }
}
