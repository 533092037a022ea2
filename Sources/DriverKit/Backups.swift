/// One part of a backup: a tree or a file, below `backup/` in the archive.
public struct BackupPart: Sendable {
    /// Where its content comes from or goes to.
    public enum Content: Sendable {
        /// The root of a container, merged with the layers of its image.
        case root(RootFiles, LayerStack)
        /// A folder of files, absolute.
        case folder(String)
        /// One file, absolute.
        case file(String)
    }

    /// As `backup/container/rootfs`.
    public var path: String
    public var content: Content

    public init(path: String, content: Content) {
        self.path = path
        self.content = content
    }
}

/// Writes and reads the archives of backups: tar, compressed, in the form that LXD gives them.
///
/// What an archive holds is never trusted: no member leaves the folder that it is unpacked to, and its index is data
/// that the engine checks anew.
public protocol BackupArchiver: Sendable {
    /// Names of the compressions that it can write; the first is the usual one.
    var compressions: [String] { get }
    /// Writes `files` (path and content) and `parts` into the new file at `path`; nothing is left on an error.
    func write(_ files: [(path: String, content: [UInt8])], _ parts: [BackupPart], compression: String, to path: String)
        async throws
    /// The content of the member `backup/index.yaml` as JSON. `invalidArgument` if there is none.
    func index(of path: String) async throws -> [UInt8]
    /// Unpacks what lies below the path of each part into its folder or file, which is there and empty. Gives the paths
    /// of parts of which the archive holds nothing.
    func unpack(_ path: String, _ parts: [BackupPart]) async throws -> [String]
}
