/// A backup of an instance or a volume: an archive in the daemon's folder of backups, whose file has the id's name.
public struct BackupRecord: Sendable, Codable, Identifiable {
    /// Whom it is of. The text form is what is stored.
    public enum Owner: Sendable, Hashable, CustomStringConvertible {
        case instance(InstanceID)
        case volume(project: String, pool: String, name: String)

        public var description: String {
            switch self {
            case .instance(let id): "instance/\(id.raw)"
            case .volume(let project, let pool, let name): "volume/\(project)/\(pool)/\(name)"
            }
        }
    }

    public let id: InstanceID
    /// `Owner`'s text.
    public var owner: String
    public var name: String
    /// Seconds since 1970.
    public var createdAt: Double
    /// Seconds since 1970 at which it is removed by itself; nil: never.
    public var expiresAt: Double?
    /// Without the snapshots.
    public var onlyPresent: Bool
    /// Bytes of the file.
    public var size: Int64
    /// In the storage driver's own form; nil: no.
    public var isOptimized: Bool?

    public init(
        id: InstanceID, owner: Owner, name: String, createdAt: Double, expiresAt: Double? = nil,
        onlyPresent: Bool = false, size: Int64 = 0
    ) {
        self.id = id
        self.owner = owner.description
        self.name = name
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.onlyPresent = onlyPresent
        self.size = size
    }
}
