public import DriverKit
import Glibc
import LinuxHost
public import Model
import PoolTrees
import Synchronization

/// A pool of plain folders, on any filesystem.
///
///     instances/<id>/upper   what the instance wrote since it was last cloned; `work` beside it is overlayfs's own
///     instances/<id>/stack   link that names the frozen parts below it (`FrozenStack`)
///     snapshots/<id>/        the same, with an upper folder in which nothing is
///     frozen/<part>/fs       what an instance had written when it was cloned; never changes
///     volumes/, volume-snapshots/   see `VolumeTrees`
///     trash/                 what is being removed
///
/// A clone costs no copying: the upper folder becomes a frozen part by one rename(2), which both roots then lie over.
/// Parts that only the same roots need are put together again when there are many (`condense`).
/// Under a mounted overlay that may not be done (kernel, overlayfs.rst), so a busy root's upper folder is copied;
/// blocks are shared where the filesystem can (xfs, btrfs). The disk of a machine (`disk.qcow2`) is always copied.
public final class FolderPool: StoragePool {
    let folder: RootDirectory
    let instances: RootDirectory
    let snapshots: RootDirectory
    let frozen: RootDirectory
    let trash: Trash
    let trees: VolumeTrees<FolderTrees>
    /// The stack of every root.
    let stacks = Mutex<[RootName: FrozenStack]>([:])
    /// Frozen parts that were put together with others lately.
    let retired = Mutex<[RetiredPart]>([])
    /// Held while stacks change: a part that nobody needs must not get a user while it is removed.
    let changing = KeyedLock<String>()

    /// - Parameters:
    ///   - path: the pool's folder, absolute; what is missing below it is made.
    ///   - layers: gives its trash, if the pool is in the same folder.
    public init(path: String, layers: OverlayStorage? = nil) throws {
        folder = try RootDirectory(path: path, create: true)
        for name in ["instances", "snapshots", "frozen", "trash"] { try folder.makeDirectories(name, mode: 0o700) }
        instances = try folder.subdirectory("instances")
        snapshots = try folder.subdirectory("snapshots")
        frozen = try folder.subdirectory("frozen")
        if let layers, layers.path == path {
            trash = layers.trash
        } else {
            trash = Trash(try folder.subdirectory("trash"))
        }
        trees = try VolumeTrees(root: path, maker: FolderTrees())
        try loadStacks()
    }

    // MARK: instances

    public func prepare(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot {
        try await runBlocking { [instances] in
            let model = try RootDirectory(path: layers.directory).subdirectory(layers.paths[0])
            try WritableFolder(name: id.raw, roots: instances).create(like: model)
        }
        stacks.withLock { $0[.instance(id)] = FrozenStack() }
        return overlay(id, layers)
    }

    public func root(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot {
        guard try instances.exists("\(id.raw)/upper") else { throw missing(.instance(id)) }
        return overlay(id, layers)
    }

    public func diskFolder(_ id: InstanceID) async throws -> String {
        try instances.makeDirectories(id.raw, mode: 0o711)
        return "\(instances.path)/\(id.raw)"
    }

    public func discard(_ root: RootName) async throws {
        try await changing.withLock("") {
            try sweepRetired()
            try await runBlocking { [self] in
                let parent = parent(of: root)
                switch root {
                case .snapshot(let id): try trash.take(id.raw, from: parent)
                case .instance(let id):
                    // Logs and the like of the instance may be in the same folder, and are not the pool's.
                    for name in Self.ownNames { try trash.take("\(id.raw)/\(name)", from: parent) }
                    if try parent.exists(id.raw), try parent.list(id.raw).isEmpty { try parent.removeDirectory(id.raw) }
                }
                let old = stacks.withLock { $0.removeValue(forKey: root) }
                try sweep(old?.parts ?? [])
            }
        }
        await trash.empty()
    }

    public func usage(_ root: RootName) async throws -> Int64 {
        let stack = stacks.withLock { $0[root] } ?? FrozenStack()
        return try await runBlocking { [self] in
            guard try parent(of: root).exists(root.id.raw) else { throw missing(root) }
            let own = try parent(of: root).subdirectory(root.id.raw)
            var bytes: Int64 = 0
            var found = false
            for name in ["upper", "disk.qcow2"] where try own.exists(name) {
                bytes += try own.diskUsage(name)
                found = true
            }
            guard found else { throw missing(root) }
            for part in stack.parts { bytes += try frozen.diskUsage(part) }
            return bytes
        }
    }

    /// Returns when all that was removed is gone from the disk too.
    public func drain() async { await trash.drain() }

    // MARK: -

    /// What the pool keeps in the folder of an instance.
    static let ownNames =
        [
            "upper", "work", FrozenStack.name, FrozenStack.next, "disk.qcow2", "base.raw", "base.qcow2",
        ] + RootFiles.companionNames

    func parent(of root: RootName) -> RootDirectory {
        switch root {
        case .instance: instances
        case .snapshot: snapshots
        }
    }

    func missing(_ root: RootName) -> EngineError {
        EngineError(.notFound, "\(root) has no files in \(parent(of: root).path)")
    }

    private func overlay(_ id: InstanceID, _ layers: LayerStack) -> OverlayRoot {
        let parts = stacks.withLock { $0[.instance(id)]?.parts } ?? []
        return OverlayRoot(
            layersDirectory: layers.directory, lower: layers.paths,
            frozenDirectory: parts.isEmpty ? nil : frozen.path, frozen: parts.map { "\($0)/fs" },
            instanceDirectory: "\(instances.path)/\(id.raw)")
    }

    /// Puts those of `parts` that no root needs into the trash. To be called under the lock.
    func sweep(_ parts: [String]) throws {
        let needed = stacks.withLock { stacks in Set(stacks.values.flatMap(\.parts)) }
        for part in parts where !needed.contains(part) { try trash.take(part, from: frozen) }
    }
}

extension RootName: CustomStringConvertible {
    public var description: String {
        switch self {
        case .instance(let id): "instance \(id)"
        case .snapshot(let id): "snapshot \(id)"
        }
    }
}
