import Model

/// Archives of root filesystems: what an instance or a snapshot changed as a layer, and the whole tree. Files that
/// change meanwhile are written as they were at some moment of the work.
public protocol RootArchiver: Sendable {
    /// Writes what `root` changed over `layers` to a new file at `path`: an OCI layer tar (image-spec, layer.md),
    /// uncompressed, the same bytes for the same changes. Empty files and folders at `placeholders` (absolute inside),
    /// which only carry mounts, are left out.
    func packChanges(_ root: RootFiles, over layers: LayerStack, placeholders: [String], to path: String) async throws
        -> PackedArchive
    /// What `root` added, changed and deleted, in the order of the paths.
    func changes(_ root: RootFiles, over layers: LayerStack, placeholders: [String]) async throws -> [PathChange]
    /// Writes the whole tree, of the layers alone without `root`, to a new file at `path` as an uncompressed tar; nil
    /// writes nothing and only works digest and size out. The same tree gives the same bytes.
    func packRoot(_ root: RootFiles?, over layers: LayerStack, form: RootArchiveForm, to path: String?) async throws
        -> PackedArchive
}

/// How a whole tree is put into an archive.
public struct RootArchiveForm: Sendable, Hashable {
    /// Folder of the archive that holds the tree; nil: the archive is the tree.
    public var folder: String?
    /// Files that come first, by path; folders among them are made.
    public var leading: [(path: String, content: [UInt8])]
    /// Seconds since 1970 that the leading files carry.
    public var leadingTime: Int64

    public init(folder: String? = nil, leading: [(path: String, content: [UInt8])] = [], leadingTime: Int64 = 0) {
        self.folder = folder
        self.leading = leading
        self.leadingTime = leadingTime
    }

    public static func == (left: RootArchiveForm, right: RootArchiveForm) -> Bool {
        left.folder == right.folder && left.leadingTime == right.leadingTime
            && left.leading.elementsEqual(right.leading) { $0.path == $1.path && $0.content == $1.content }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(folder)
        hasher.combine(leading.map(\.path))
    }
}

/// An archive that was written, or would be.
public struct PackedArchive: Sendable, Hashable {
    /// `sha256:…` of the uncompressed bytes: an OCI `diff_id`.
    public var plainDigest: String
    /// Of the file as it is.
    public var digest: String
    /// Bytes of the file.
    public var size: Int64

    public init(plainDigest: String, digest: String, size: Int64) {
        self.plainDigest = plainDigest
        self.digest = digest
        self.size = size
    }
}

/// One path that differs between an instance and its image.
public struct PathChange: Sendable, Hashable {
    public enum Kind: String, Sendable, Codable { case modified, added, deleted }
    /// Absolute inside the instance.
    public var path: String
    public var kind: Kind

    public init(path: String, kind: Kind) {
        self.path = path
        self.kind = kind
    }
}

/// Copies of machines' disks.
public protocol DiskArchiver: Sendable {
    /// Writes all that the disk shows, whatever it lies over, to a new qcow2 file at `path` that stands alone. The
    /// machine must not run.
    func flatten(_ disk: RootFiles, to path: String) async throws
}
