public import Model

/// Files of an image as LXD and Incus hand them around.
public struct BundleFiles: Sendable, Hashable {
    /// The tarball; the one with the metadata where there are two files.
    public var metadata: String
    /// The file with the root filesystem or the disk; nil: it is in the tarball.
    public var root: String?
    /// `root` is said to be a disk. What it is, is told by its content all the same.
    public var rootIsDisk: Bool
    /// What the files are called where they come from.
    public var names: [String]

    public init(metadata: String, root: String? = nil, rootIsDisk: Bool = false, names: [String] = []) {
        self.metadata = metadata
        self.root = root
        self.rootIsDisk = rootIsDisk
        self.names = names
    }
}

/// Brings images in LXD's form into the content store, and keeps what they have beyond a root filesystem.
public protocol BundleStore: Sendable {
    /// Whether the tarball at `path` is, or begins, an image in LXD's form.
    func isBundle(_ path: String) async throws -> Bool
    /// Stores the image; its `bundle` is set. `invalidArgument` for what is damaged or not allowed: names that lead
    /// outside, links in place of metadata or templates, template targets that climb.
    func importBundle(
        _ files: BundleFiles, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage
    /// Stores metadata and templates for an image that is packed anew on export (`files` of the result is empty), or
    /// for a disk image, whose blob is `disk` and becomes the second of two files.
    func makeBundle(metadata: Metadata, templates: [String: [UInt8]], disk: ImageRecord.Layer?) async throws
        -> ImageBundle
    /// Content of the tarball's metadata.yaml and templates, by path in the tarball, in order.
    func members(of bundle: ImageBundle) async throws -> [(path: String, content: [UInt8])]
}
