/// The command line is wrong; nothing was done.
public struct UsageError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One sentence that names the option and its value.
    public var message: String
    /// What would be right.
    public var hint: String?

    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }

    /// Message and hint in one line.
    public var description: String { hint.map { "\(message) (\($0))" } ?? message }
}
