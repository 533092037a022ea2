import CHost
public import DriverKit
import Glibc
import LinuxHost
public import Model
import PoolTrees

/// A pool on btrfs: each root and each volume is a subvolume, each clone a snapshot of one.
///
///     instances/<id>/        subvolume: `upper` and `work` of an instance, or the disk of a machine
///     instances/<id>/frozen/ parts below `upper` that came with a root from a pool of another kind, topmost is 0
///     snapshots/<id>/        subvolume, as it was
///     volumes/, volume-snapshots/   see `VolumeTrees`
public final class BtrfsPool: StoragePool {
    let root: String
    let trees: VolumeTrees<Subvolumes>
    var maker: Subvolumes { trees.maker }

    /// - Parameter path: a folder on btrfs, absolute.
    public init(path: String) throws {
        let type = isle_filesystem_type(path)
        guard type >= 0 else { throw EngineError.system(Int32(-type), "open the pool \(path)") }
        guard type == 0x9123_683E else {
            throw EngineError(.invalidArgument, "\(path) is not on a btrfs filesystem")
        }
        root = path
        let folder = try RootDirectory(path: path)
        for name in ["instances", "snapshots"] { try folder.makeDirectories(name, mode: 0o711) }
        trees = try VolumeTrees(root: path, maker: Subvolumes(pool: path))
    }

    func path(_ root: RootName) -> String {
        switch root {
        case .instance(let id): "\(self.root)/instances/\(id.raw)"
        case .snapshot(let id): "\(self.root)/snapshots/\(id.raw)"
        }
    }

    private func exists(_ root: RootName) -> Bool { access(path(root), F_OK) == 0 }

    func check(_ root: RootName) throws {
        guard exists(root) else { throw EngineError(.notFound, "there are no files at \(path(root))") }
    }

    func refuseTaken(_ root: RootName) throws {
        guard !exists(root) else { throw EngineError(.alreadyExists, "\(path(root)) is there already") }
    }

    // MARK: roots

    public func prepare(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot {
        try refuseTaken(.instance(id))
        let staging = "\(root)/instances/.new-\(id.raw)"
        try await maker.remove(staging)
        try await maker.make(staging)
        do {
            try await runBlocking {
                let folder = try RootDirectory(path: staging)
                let model = try RootDirectory(path: layers.directory).subdirectory(layers.paths[0])
                try folder.makeDirectory("work", mode: 0o700)
                try folder.makeDirectory("upper", mode: 0o755)
                if let status = try model.status() {
                    try folder.setOwner("upper", user: status.user, group: status.group)
                    try folder.setPermissions("upper", status.permissions)
                }
                try folder.setPermissions(".", 0o711)
            }
            try publish(staging, .instance(id))
        } catch {
            try await maker.remove(staging)
            throw error
        }
        return try await root(id, over: layers)
    }

    public func root(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot {
        try check(.instance(id))
        let own = path(.instance(id))
        let parts = try frozen(of: own)
        return OverlayRoot(
            layersDirectory: layers.directory, lower: layers.paths,
            frozenDirectory: parts.isEmpty ? nil : "\(own)/frozen", frozen: parts.map { "\($0)/fs" },
            instanceDirectory: own)
    }

    public func diskFolder(_ id: InstanceID) async throws -> String {
        let own = path(.instance(id))
        if !exists(.instance(id)) {
            try await maker.make(own)
            guard chmod(own, 0o711) == 0 else { throw EngineError.system(errno, "set the mode of \(own)") }
        }
        return own
    }

    public func clone(_ source: RootName, to copy: RootName, isBusy: Bool) async throws {
        try check(source)
        try refuseTaken(copy)
        let staging = staging(copy)
        try await maker.remove(staging)
        do {
            try await maker.clone(path(source), to: staging)
            try await cleanWork(staging)
            try publish(staging, copy)
        } catch {
            try await maker.remove(staging)
            throw error
        }
    }

    public func restore(_ id: InstanceID, from snapshot: InstanceID) async throws {
        try check(.snapshot(snapshot))
        let (own, old) = (path(.instance(id)), "\(root)/instances/.old-\(id.raw)")
        let staging = staging(.instance(id))
        try await maker.remove(staging)
        do {
            try await maker.clone(path(.snapshot(snapshot)), to: staging)
            try await maker.remove(old)
            if exists(.instance(id)) { try Self.move(own, old) }
            do { try Self.move(staging, own) } catch {
                if access(old, F_OK) == 0 { try Self.move(old, own) }
                throw error
            }
        } catch {
            try await maker.remove(staging)
            throw error
        }
        try await maker.remove(old)
    }

    public func discard(_ root: RootName) async throws { try await maker.remove(path(root)) }

    public func usage(_ root: RootName) async throws -> Int64 {
        try check(root)
        let path = path(root)
        return try await runBlocking { try RootDirectory(path: path).diskUsage(".") }
    }

    public func limit(_ id: InstanceID, bytes: Int64?) async throws {
        try check(.instance(id))
        try await maker.limit(path(.instance(id)), bytes: bytes)
    }

    public func recover() async throws {
        for kind in ["instances", "snapshots"] {
            let folder = "\(root)/\(kind)"
            for entry in try RootDirectory(path: folder).list() {
                let name = entry.name.text
                guard name.hasPrefix(".old-") else { continue }
                let target = "\(folder)/\(name.dropFirst(5))"
                if access(target, F_OK) != 0 { try Self.move("\(folder)/\(name)", target) }
            }
            for entry in try RootDirectory(path: folder).list() where entry.name.text.hasPrefix(".") {
                if entry.name.text.hasPrefix(".stream-") {
                    try await removeStaging("\(folder)/\(entry.name.text)")
                    continue
                }
                try await maker.remove("\(folder)/\(entry.name.text)")
            }
        }
        try await trees.recover()
    }

    public func space() async throws -> PoolSpace { try PoolSpace.of(root) }

    // MARK: from other pools

    public func files(of root: RootName) async throws -> RootFiles {
        try check(root)
        let own = path(root)
        let isDisk = access("\(own)/upper", F_OK) != 0
        let written = isDisk ? "\(own)/disk.qcow2" : "\(own)/upper"
        var files = RootFiles(
            frozen: try frozen(of: own).map { "\(own)/frozen/\($0)" },
            written: access(written, F_OK) == 0 ? written : nil,
            base: ["raw", "qcow2"].map { "\(own)/base.\($0)" }.first { access($0, F_OK) == 0 }, isDisk: isDisk)
        if isDisk {
            files.companions = RootFiles.companionNames.map { "\(own)/\($0)" }.filter { access($0, F_OK) == 0 }
        }
        return files
    }

    public func adopt(_ roots: [(source: RootName, copy: RootName)], from other: any StoragePool) async throws {
        // A part that several of them lie over is copied once; further copies share its blocks.
        var copies: [String: String] = [:]
        var done: [RootName] = []
        do {
            for (source, copy) in roots {
                try refuseTaken(copy)
                let files = try await other.files(of: source)
                let staging = staging(copy)
                try await maker.remove(staging)
                try await maker.make(staging)
                do {
                    try await take(files, staging, copies)
                    try publish(staging, copy)
                } catch {
                    try await maker.remove(staging)
                    throw error
                }
                for (index, part) in files.frozen.enumerated() where copies[part] == nil {
                    copies[part] = "\(path(copy))/frozen/\(index)"
                }
                done.append(copy)
            }
        } catch {
            for root in done { try await discard(root) }
            throw error
        }
    }

    private func take(_ files: RootFiles, _ target: String, _ copies: [String: String]) async throws {
        guard chmod(target, 0o711) == 0 else { throw EngineError.system(errno, "set the mode of \(target)") }
        if !files.frozen.isEmpty { try RootDirectory(path: target).makeDirectory("frozen", mode: 0o711) }
        for (index, part) in files.frozen.enumerated() {
            try await TreeCopy.copy(copies[part] ?? part, to: "\(target)/frozen/\(index)")
        }
        if let base = files.base { try await TreeCopy.copy(base, to: "\(target)/\(TreeCopy.name(of: base))") }
        for beside in files.companions {
            try await TreeCopy.copy(beside, to: "\(target)/\(TreeCopy.name(of: beside))")
        }
        if let written = files.written {
            try await TreeCopy.copy(written, to: "\(target)/\(files.isDisk ? "disk.qcow2" : "upper")")
        }
        if !files.isDisk { try RootDirectory(path: target).makeDirectory("work", mode: 0o700) }
    }

    // MARK: -

    /// Names of the frozen parts in `folder`, topmost first.
    private func frozen(of folder: String) throws -> [String] {
        guard access("\(folder)/frozen", F_OK) == 0 else { return [] }
        let names = try RootDirectory(path: "\(folder)/frozen").list().map(\.name.text)
        return names.compactMap(Int.init).sorted().map(String.init)
    }

    private func staging(_ root: RootName) -> String {
        switch root {
        case .instance(let id): "\(self.root)/instances/.new-\(id.raw)"
        case .snapshot(let id): "\(self.root)/snapshots/.new-\(id.raw)"
        }
    }

    /// What overlayfs had under way in the source is nothing to the copy.
    private func cleanWork(_ folder: String) async throws {
        guard access("\(folder)/work", F_OK) == 0 else { return }
        try await runBlocking {
            let own = try RootDirectory(path: folder)
            try own.removeTree("work")
            try own.makeDirectory("work", mode: 0o700)
        }
    }

    func publish(_ staging: String, _ root: RootName) throws {
        try refuseTaken(root)
        try Self.move(staging, path(root))
    }

    private static func move(_ old: String, _ new: String) throws {
        guard rename(old, new) == 0 else { throw EngineError.system(errno, "rename \(old) to \(new)") }
    }
}

// MARK: volumes

extension BtrfsPool {
    public func makeVolume(_ volume: VolumeName, _ content: VolumeContent, size: Int64?) async throws {
        try await trees.make(volume, content, size: size)
    }
    public func folder(of volume: VolumeName) -> String { trees.folder(volume) }
    public func cloneVolume(_ source: String, to copy: VolumeName) async throws {
        try await trees.clone(source, to: copy)
    }
    public func restoreVolume(_ volume: VolumeName, from snapshot: VolumeName) async throws {
        try await trees.restore(volume, from: snapshot)
    }
    public func renameVolume(_ volume: VolumeName, to new: VolumeName) async throws {
        try await trees.rename(volume, to: new)
    }
    public func removeVolume(_ volume: VolumeName) async throws { try await trees.remove(volume) }
    public func volumeUsage(_ volume: VolumeName) async throws -> Int64 { try await trees.usage(volume) }
    public func limitVolume(_ volume: VolumeName, _ content: VolumeContent, bytes: Int64?) async throws {
        try await trees.limit(volume, content, bytes: bytes)
    }
}
