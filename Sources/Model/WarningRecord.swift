/// Something that is not as it should be and that somebody should look at. The same one is kept once and counted.
public struct WarningRecord: Sendable, Codable, Hashable {
    public enum Severity: String, Sendable, Codable { case low, moderate, high }
    public enum Status: String, Sendable, Codable { case new, acknowledged, resolved }

    public var id: String
    /// What kind of trouble it is, in words: the same words for the same kind.
    public var kind: String
    public var severity: Severity
    public var status: Status
    public var project: String
    /// Path of the native API of what it is about; empty for the daemon or the host.
    public var entity: String
    public var message: String
    public var count: Int
    /// Seconds since 1970.
    public var firstSeenAt: Double
    public var lastSeenAt: Double
    public var updatedAt: Double

    public init(
        id: String, kind: String, severity: Severity, status: Status = .new, project: String = "", entity: String = "",
        message: String, count: Int = 1, firstSeenAt: Double, lastSeenAt: Double, updatedAt: Double
    ) {
        self.id = id
        self.kind = kind
        self.severity = severity
        self.status = status
        self.project = project
        self.entity = entity
        self.message = message
        self.count = count
        self.firstSeenAt = firstSeenAt
        self.lastSeenAt = lastSeenAt
        self.updatedAt = updatedAt
    }
}
