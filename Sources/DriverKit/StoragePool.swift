public import Model

/// The files of an instance, or of a snapshot of one. A snapshot has an id of its own.
public enum RootName: Sendable, Hashable {
    case instance(InstanceID)
    case snapshot(InstanceID)

    public var id: InstanceID {
        switch self {
        case .instance(let id), .snapshot(let id): id
        }
    }
}

/// The image layers that a root lies over.
public struct LayerStack: Sendable, Hashable {
    /// The folder that holds every layer, absolute.
    public var directory: String
    /// Paths below `directory`, topmost layer first; at least one.
    public var paths: [String]

    public init(directory: String, paths: [String]) {
        self.directory = directory
        self.paths = paths
    }
}

/// The parts of a root on disk; all paths absolute. Parts are named alike as long as they are the same.
public struct RootFiles: Sendable, Hashable {
    /// What was frozen, topmost first: folders of which each holds `fs`, a tree with overlayfs's marks, or `disk.qcow2`.
    public var frozen: [String]
    /// What was written since: such a tree or a disk; nil: nothing.
    public var written: String?
    /// What the lowest disk lies over: `base.raw` or `base.qcow2`.
    public var base: String?
    public var isDisk: Bool
    /// Files and folders beside a disk that go where it goes, those of `companionNames` that there are.
    public var companions: [String] = []
    /// Settings of a machine's firmware and the state of its TPM.
    public static let companionNames = ["uefi-vars.fd", "uefi-vars-secure.fd", tpm]
    /// The only one that is a folder.
    public static let tpm = "tpm"

    public init(frozen: [String], written: String?, base: String?, isDisk: Bool) {
        self.frozen = frozen
        self.written = written
        self.base = base
        self.isDisk = isDisk
    }
}

/// Keeps the roots of instances and their snapshots in one place.
///
/// A **root** is what one instance wrote over the layers of its image, or the disk of a machine. `clone` gives another
/// root the same content at this moment; a snapshot is a clone that nobody writes to, a copy of an instance is one that
/// somebody does. A clone of a root that nobody writes to meanwhile costs no copying of data. Each call does its work
/// whole or not at all, also when the daemon is killed in it: what was left half made is removed by `recover`.
///
///     let root = try await pool.prepare(web, over: layers)          // an instance is made
///     try await pool.clone(.instance(web), to: .snapshot(first), isBusy: false)
///     try await pool.restore(web, from: first)                      // the instance is as it was
///     try await pool.clone(.snapshot(first), to: .instance(other), isBusy: false)
///
/// The caller sees to it that calls for the same root do not overlap.
public protocol StoragePool: VolumeStore {
    /// Makes an empty writable folder over `layers`. `alreadyExists` if the instance has one.
    func prepare(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot
    /// The root of an instance that was prepared before. `notFound` if there is none.
    func root(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot
    /// The folder for the disk of a machine and what belongs to it, absolute; made if it is not there.
    func diskFolder(_ id: InstanceID) async throws -> String
    /// Makes `copy` with the content of `source`. `alreadyExists` if there is a root of that name.
    ///
    /// - Parameter isBusy: the source is mounted or open. Somebody holds its writers still for the time of this call;
    ///   what was written since the last clone is then copied, which takes time.
    func clone(_ source: RootName, to copy: RootName, isBusy: Bool) async throws
    /// Gives the instance, which does not run, the content of a snapshot; what it held is gone. May be called again
    /// after a crash in it.
    func restore(_ id: InstanceID, from snapshot: InstanceID) async throws
    /// Makes the copies with the content that the sources have in another pool, by copying. Nobody writes to the sources
    /// meanwhile. `unsupported` if `other` is of a kind that this pool cannot read.
    func adopt(_ roots: [(source: RootName, copy: RootName)], from other: any StoragePool) async throws
    /// What the root is made of, for another pool that copies it.
    func files(of root: RootName) async throws -> RootFiles
    /// Removes a root and all that no other needs. No error if it is not there.
    func discard(_ root: RootName) async throws
    /// Bytes that the root occupies on disk, those that it shares with others included; layers of images are not.
    func usage(_ root: RootName) async throws -> Int64
    /// Bounds the bytes that an instance may write; nil: no bound. `unsupported` where that cannot be enforced.
    func limit(_ id: InstanceID, bytes: Int64?) async throws
    func space() async throws -> PoolSpace
    /// Removes what interrupted work left; called once at start, before anything else.
    func recover() async throws
}

/// A pool that can write a root to a file in a form of its own, and read it there again, faster than file by file: for
/// backups. Files are of no use to pools of other drivers.
///
///     try await pool.send([.init(.snapshot(first), to: one), .init(.instance(web), to: two)])
///     try await pool.receive([.init(.snapshot(copy), from: one), .init(.instance(other), from: two)])
public protocol StreamingPool: StoragePool {
    /// Writes each root to a new file, from the second on only what differs from the one before. Nobody writes to them
    /// meanwhile.
    func send(_ roots: [RootStream]) async throws
    /// Makes roots of such files, in the order in which they were written. `invalidArgument` for what is damaged or holds
    /// what no root has; nothing is left on an error.
    func receive(_ roots: [RootStream]) async throws
}

/// A root and the file that it is written to or read from, absolute.
public struct RootStream: Sendable, Hashable {
    public var root: RootName
    public var path: String

    public init(_ root: RootName, _ path: String) {
        self.root = root
        self.path = path
    }
}
