public import Model

/// Archives of whole instances and volumes in LXD's form: a tarball with `backup/index.yaml` first.
///
///     let content = BackupContent(index: index, trees: [.init(folder: "backup/container/rootfs", .root(files, layers))])
///     try await archiver.writeBackup(content, compression: "zstd", to: file)
///     let index = try await archiver.backupIndex(file)
///     try await archiver.unpackBackup(file, into: ["backup/container/rootfs": .folder(upper)])
public protocol BackupArchiver: Sendable {
    /// Writes a new file at `path`; nothing is left on an error.
    ///
    /// - Parameter compression: `none`, `gzip`, `bzip2`, `xz` or `zstd`, with a level as `zstd -9` if wanted;
    ///   `invalidArgument` for any other.
    func writeBackup(_ content: BackupContent, compression: String, to path: String) async throws
    /// `invalidArgument` unless `compression` is one that `writeBackup` knows.
    func checkCompression(_ compression: String) throws
    /// What the archive says of itself. `invalidArgument` for what is no such archive, or a damaged one.
    func backupIndex(_ path: String) async throws -> Metadata
    /// Unpacks what is below folders of the archive, or a file of it, by path in the archive. `invalidArgument` for
    /// what is damaged, climbs, or lacks one of them; what was unpacked until then stays.
    func unpackBackup(_ path: String, into targets: [String: BackupTarget]) async throws
}

/// What an archive of a backup holds.
public struct BackupContent: Sendable {
    /// One tree or file and its place in the archive.
    public struct Part: Sendable {
        public enum Source: Sendable {
            /// The tree that a root shows over its layers.
            case root(RootFiles, LayerStack)
            /// A folder of the host.
            case folder(String)
            /// A file of the host.
            case file(String)
        }
        public var path: String
        public var source: Source

        public init(_ path: String, _ source: Source) {
            self.path = path
            self.source = source
        }
    }

    public var index: Metadata
    /// Small files after the index, by path in the archive, in order.
    public var files: [(path: String, content: Text)]
    public var parts: [Part]

    /// A small file.
    public enum Text: Sendable {
        case bytes([UInt8])
        case yaml(Metadata)
    }

    public init(index: Metadata, files: [(path: String, content: Text)] = [], parts: [Part]) {
        self.index = index
        self.files = files
        self.parts = parts
    }
}

/// Where a part of a backup goes: a folder that is there, or a new file. Both absolute.
public enum BackupTarget: Sendable, Hashable {
    case folder(String)
    case file(String)
}
