/// What may be set about an image beside its content and properties; LXD's fields of the same meaning.
public struct ImageDetails: Sendable, Codable, Hashable {
    /// Strangers may fetch it from a daemon that listens on the network.
    public var isPublic: Bool
    /// Newer versions are fetched from its origin in the background.
    public var autoUpdate: Bool
    /// It was fetched for an instance, and goes when nothing has used it for a while.
    public var isCached: Bool
    /// Seconds since 1970 after which it is removed; nil: never.
    public var expiresAt: Double?
    /// Profiles of instances made from it that name none.
    public var profiles: [String]
    /// The file that it was imported from.
    public var filename: String

    public init(
        isPublic: Bool = false, autoUpdate: Bool = false, isCached: Bool = false, expiresAt: Double? = nil,
        profiles: [String] = ["default"], filename: String = ""
    ) {
        self.isPublic = isPublic
        self.autoUpdate = autoUpdate
        self.isCached = isCached
        self.expiresAt = expiresAt
        self.profiles = profiles
        self.filename = filename
    }
}

/// A place from which an image was fetched and may be fetched again.
public struct ImageOrigin: Sendable, Codable, Hashable {
    public enum Access: String, Sendable, Codable, CaseIterable {
        /// Products of a simple streams server.
        case simplestreams
        /// The images of another daemon with LXD's API.
        case lxd
        /// A web address that names an image (LXD's `url` source).
        case url
    }

    /// Address without a slash at its end; for `url` the address itself.
    public var server: String
    public var access: Access
    /// Alias or fingerprint there; empty for `url`.
    public var alias: String
    /// PEM certificate that the server must show; empty: one that the host trusts.
    public var certificate: String
    /// Disk image rather than root filesystem, where the place has both; nil: either.
    public var isMachine: Bool?

    public init(
        server: String, access: Access, alias: String, certificate: String = "", isMachine: Bool? = nil
    ) {
        self.server = server
        self.access = access
        self.alias = alias
        self.certificate = certificate
        self.isMachine = isMachine
    }
}

/// What an image is to LXD and Incus: a tarball, or a tarball of metadata and a file with the root filesystem or disk.
public struct ImageBundle: Sendable, Codable, Hashable {
    /// One of the files.
    public struct File: Sendable, Codable, Hashable {
        public var name: String
        /// `sha256:…` of the blob in the store.
        public var digest: String
        public var size: Int64
        public init(name: String, digest: String, size: Int64) {
            self.name = name
            self.digest = digest
            self.size = size
        }
    }

    /// Hexadecimal SHA-256 of the files one after the other: the name by which LXD knows the image.
    public var fingerprint: String
    /// What `metadata.yaml` says.
    public var metadata: Metadata
    /// Names of the files in `templates/`.
    public var templates: [String]
    /// Digest of the manifest that keeps metadata, templates and files in the store.
    public var manifest: String
    /// The files as they came, one or two; empty: the tarball is packed anew, always to the same bytes.
    public var files: [File]
    /// Bytes of the files.
    public var size: Int64

    public init(
        fingerprint: String, metadata: Metadata, templates: [String], manifest: String, files: [File], size: Int64
    ) {
        self.fingerprint = fingerprint
        self.metadata = metadata
        self.templates = templates
        self.manifest = manifest
        self.files = files
        self.size = size
    }
}

/// A name for an image in a project, as LXD has them beside references.
public struct ImageAlias: Sendable, Codable, Hashable {
    public var project: String
    public var name: String
    public var description: String
    /// Manifest digest of the image.
    public var digest: String

    public init(project: String = "default", name: String, description: String = "", digest: String) {
        self.project = project
        self.name = name
        self.description = description
        self.digest = digest
    }
}
