public import Model

/// What a remote place has under a name.
public struct RemoteImage: Sendable, Hashable {
    /// Hexadecimal SHA-256 of its files; nil where the place does not say before they are fetched.
    public var fingerprint: String?
    public var isMachine: Bool
    public var properties: [String: String]
    /// Seconds since 1970; nil: never.
    public var expiresAt: Double?
    /// The files in their order, each with its address and, if stated, digest (hexadecimal SHA-256) and size.
    public var files: [File]

    public struct File: Sendable, Hashable {
        public var address: String
        public var name: String
        public var sha256: String?
        public var size: Int64?
        public init(address: String, name: String, sha256: String? = nil, size: Int64? = nil) {
            self.address = address
            self.name = name
            self.sha256 = sha256
            self.size = size
        }
    }

    public init(
        fingerprint: String?, isMachine: Bool = false, properties: [String: String] = [:], expiresAt: Double? = nil,
        files: [File]
    ) {
        self.fingerprint = fingerprint
        self.isMachine = isMachine
        self.properties = properties
        self.expiresAt = expiresAt
        self.files = files
    }
}

/// Fetches images from places that are no registries.
public protocol ImageRemotes: Sendable {
    /// What the place has now. `notFound` if there is none of that name for `architecture`.
    func find(_ origin: ImageOrigin, architecture: String, secret: String?) async throws -> RemoteImage
    /// Fetches the files into `folder`, checked against what was stated, and names them.
    func fetch(
        _ image: RemoteImage, from origin: ImageOrigin, secret: String?, into folder: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> BundleFiles
}
