import Glibc
public import LinuxHost
public import Model
import Synchronization

/// How an archive is made out of a tree.
public struct PackOptions: Sendable {
    public var compression: Compression
    /// Translate overlayfs's marks of removed names into OCI whiteouts: for the upper folder of an overlay.
    public var translatesWhiteouts: Bool
    /// Later modification times become this one, for archives that are to come out the same; nil keeps them all.
    public var latestTime: FileTime?
    /// Keep the owners; else all belongs to root.
    public var keepOwners: Bool
    /// A folder of the archive that the tree is put into, with a member for the tree's own root; nil: the archive is
    /// the tree.
    public var prefix: HostPath?
    /// Members before the tree, in their order.
    public var leading: [Leading]
    /// Only these paths, in this order, instead of the whole tree; nil: all of it. Folders are not descended into.
    public var only: [Selected]?

    /// A path of the tree that is packed, or marked as removed from lower layers.
    public struct Selected: Sendable, Hashable {
        public var path: HostPath
        public var isRemoved: Bool

        public init(path: HostPath, isRemoved: Bool) {
            self.path = path
            self.isRemoved = isRemoved
        }
    }

    /// A small file or, without content, a folder, owned by root.
    public struct Leading: Sendable {
        public var path: HostPath
        public var content: [UInt8]?
        public var modified: FileTime

        public init(path: HostPath, content: [UInt8]?, modified: FileTime) {
            self.path = path
            self.content = content
            self.modified = modified
        }
    }

    public init(
        compression: Compression = .gzip, translatesWhiteouts: Bool = true, latestTime: FileTime? = nil,
        keepOwners: Bool = true, prefix: HostPath? = nil, leading: [Leading] = [], only: [Selected]? = nil
    ) {
        self.compression = compression
        self.translatesWhiteouts = translatesWhiteouts
        self.latestTime = latestTime
        self.keepOwners = keepOwners
        self.prefix = prefix
        self.leading = leading
        self.only = only
    }
}

/// What came out of a tree.
public struct PackReport: Sendable, Hashable {
    /// Of the tar before compression: an OCI `diff_id`.
    public var plainDigest = ""
    public var plainSize: Int64 = 0
    /// Of the file that was written.
    public var digest = ""
    public var size: Int64 = 0
    /// Paths of the members, in their order.
    public var members: [HostPath] = []
    /// Sockets, which tar has no form for.
    public var skipped: [HostPath] = []
}

/// Makes a tar archive out of a folder tree: the upper folder of an overlay as an OCI layer, or a whole root
/// filesystem. Members are in the order of their names, so that the same tree gives the same archive.
///
/// What is kept is what `TreeUnpacker` keeps. The tree must be at rest; a file that becomes shorter meanwhile is an
/// error, one that becomes longer is cut.
public enum TreePacker {
    /// Writes the archive to `file` from where it stands. `name` is for messages.
    public static func pack(
        _ root: RootDirectory, to file: OwnedDescriptor, named name: String, options: PackOptions = PackOptions()
    ) async throws -> PackReport {
        let cancelled = CancelFlag()
        return try await withTaskCancellationHandler {
            try await runBlocking {
                let sink = try CompressingSink(file, name: name, compression: options.compression)
                let walk = TreeWalk(
                    root: root, tar: TarWriter { try sink.write($0) }, options: options, cancelled: cancelled)
                var report = try walk.run()
                report.plainSize = sink.count
                (report.plainDigest, report.digest, report.size) = try sink.finish()
                return report
            }
        } onCancel: {
            cancelled.set()
        }
    }
}

/// Set when the task that waits was cancelled.
public final class CancelFlag: Sendable {
    private let value = Atomic(false)
    public init() {}
    /// From now on `check` throws.
    public func set() { value.store(true, ordering: .relaxed) }
    /// `cancelled` once it was set.
    public func check() throws {
        if value.load(ordering: .relaxed) { throw EngineError(.cancelled, "packing the archive was cancelled") }
    }
}
