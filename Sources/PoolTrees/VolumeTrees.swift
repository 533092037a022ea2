import Glibc
import LinuxHost
public import Model

/// How one kind of pool makes and clones folders that stand on their own.
public protocol TreeMaker: Sendable {
    /// Makes an empty tree at `path`, whose parent is there.
    func make(_ path: String) async throws
    /// Makes a tree at `copy` with the content of the one at `source`; nothing is left on an error.
    func clone(_ source: String, to copy: String) async throws
    /// Removes the tree at `path`; no error if it is not there.
    func remove(_ path: String) async throws
    /// Bounds the bytes that the tree may occupy; nil: no bound. `unsupported` where that cannot be done.
    func limit(_ path: String, bytes: Int64?) async throws
}

/// The volumes of one pool and their snapshots, as trees by name.
///
///     volumes/<project>_<name>/                     the files of a volume, or `root.img` of a block volume
///     volume-snapshots/<project>_<name>/<snapshot>/ the same as they were
///
/// What is being made has a name that begins with `.new-` until it is whole.
public struct VolumeTrees<Maker: TreeMaker>: Sendable {
    /// The file in a block volume.
    public static var disk: String { "root.img" }

    public let maker: Maker
    private let root: String

    /// - Parameter root: the pool's folder, absolute.
    public init(root: String, maker: Maker) throws {
        self.root = root
        self.maker = maker
        let folder = try RootDirectory(path: root)
        for name in ["volumes", "volume-snapshots"] { try folder.makeDirectories(name, mode: 0o711) }
    }

    /// The folder of a volume or snapshot, absolute.
    public func folder(_ volume: VolumeName) -> String {
        let own = "\(volume.project)_\(volume.name)"
        return volume.snapshot.map { "\(root)/volume-snapshots/\(own)/\($0)" } ?? "\(root)/volumes/\(own)"
    }

    public func make(_ volume: VolumeName, _ content: VolumeContent, size: Int64?) async throws {
        try refuseTaken(volume)
        let staging = staging(volume)
        try await maker.remove(staging)
        try await maker.make(staging)
        do {
            if content == .filesystem {
                guard chmod(staging, 0o755) == 0 else { throw EngineError.system(errno, "set the mode of \(staging)") }
            } else {
                try Self.resize("\(staging)/\(Self.disk)", size ?? 0)
            }
            if content == .filesystem, let size { try await maker.limit(staging, bytes: size) }
            try publish(staging, volume)
        } catch {
            try await maker.remove(staging)
            throw error
        }
    }

    /// - Parameter source: a folder of this pool or another that holds what `folder(_:)` would.
    public func clone(_ source: String, to copy: VolumeName) async throws {
        guard access(source, F_OK) == 0 else { throw Self.missing(copy, source) }
        try refuseTaken(copy)
        try makeParent(of: copy)
        let staging = staging(copy)
        try await maker.remove(staging)
        do {
            try await maker.clone(source, to: staging)
            try publish(staging, copy)
        } catch {
            try await maker.remove(staging)
            throw error
        }
    }

    /// Gives a volume the content of a snapshot of it. May be repeated after a crash in it.
    public func restore(_ volume: VolumeName, from snapshot: VolumeName) async throws {
        let (source, target, staging) = (folder(snapshot), folder(volume), staging(volume))
        guard access(source, F_OK) == 0 else { throw Self.missing(snapshot, source) }
        try await maker.remove(staging)
        let old = "\(root)/volumes/.old-\(volume.project)_\(volume.name)"
        do {
            try await maker.clone(source, to: staging)
            try await maker.remove(old)
            if access(target, F_OK) == 0 { try Self.move(target, old) }
            do { try Self.move(staging, target) } catch {
                if access(old, F_OK) == 0 { try Self.move(old, target) }
                throw error
            }
        } catch {
            try await maker.remove(staging)
            throw error
        }
        try await maker.remove(old)
    }

    /// Gives a volume and its snapshots another name, or a snapshot.
    public func rename(_ volume: VolumeName, to new: VolumeName) async throws {
        try refuseTaken(new)
        try Self.move(folder(volume), folder(new))
        guard volume.snapshot == nil else { return }
        let (old, target) = (snapshotsFolder(volume), snapshotsFolder(new))
        guard access(old, F_OK) == 0 else { return }
        do { try Self.move(old, target) } catch {
            try Self.move(folder(new), folder(volume))
            throw error
        }
    }

    /// Removes a volume with its snapshots, or one snapshot. No error if it is not there.
    public func remove(_ volume: VolumeName) async throws {
        if volume.snapshot == nil {
            let snapshots = snapshotsFolder(volume)
            if access(snapshots, F_OK) == 0 {
                for entry in try RootDirectory(path: snapshots).list() {
                    try await maker.remove("\(snapshots)/\(entry.name.text)")
                }
                rmdir(snapshots)
            }
        }
        try await maker.remove(folder(volume))
    }

    public func usage(_ volume: VolumeName) async throws -> Int64 {
        let path = folder(volume)
        guard access(path, F_OK) == 0 else { throw Self.missing(volume, path) }
        return try await runBlocking { try RootDirectory(path: path).diskUsage(".") }
    }

    public func limit(_ volume: VolumeName, _ content: VolumeContent, bytes: Int64?) async throws {
        guard content == .filesystem else {
            if let bytes { try Self.resize("\(folder(volume))/\(Self.disk)", bytes) }
            return
        }
        try await maker.limit(folder(volume), bytes: bytes)
    }

    /// Removes what interrupted work left, and ends a restore that had moved the old content away.
    public func recover() async throws {
        let volumes = "\(root)/volumes"
        for entry in try RootDirectory(path: volumes).list() {
            let name = entry.name.text
            if name.hasPrefix(".old-") {
                let target = "\(volumes)/\(name.dropFirst(5))"
                if access(target, F_OK) != 0 { try Self.move("\(volumes)/\(name)", target) }
            }
        }
        for entry in try RootDirectory(path: volumes).list() where entry.name.text.hasPrefix(".") {
            try await maker.remove("\(volumes)/\(entry.name.text)")
        }
        for volume in try RootDirectory(path: "\(root)/volume-snapshots").list() where volume.kind == .directory {
            let folder = "\(root)/volume-snapshots/\(volume.name.text)"
            for entry in try RootDirectory(path: folder).list() where entry.name.text.hasPrefix(".new-") {
                try await maker.remove("\(folder)/\(entry.name.text)")
            }
        }
    }

    // MARK: -

    private func snapshotsFolder(_ volume: VolumeName) -> String {
        "\(root)/volume-snapshots/\(volume.project)_\(volume.name)"
    }

    private func staging(_ volume: VolumeName) -> String {
        let path = folder(volume)
        guard let slash = path.lastIndex(of: "/") else { return path }
        return path[..<slash] + "/.new-" + path[path.index(after: slash)...]
    }

    private func makeParent(of volume: VolumeName) throws {
        guard volume.snapshot != nil else { return }
        try RootDirectory(path: root).makeDirectories("volume-snapshots/\(volume.project)_\(volume.name)", mode: 0o700)
    }

    private func refuseTaken(_ volume: VolumeName) throws {
        guard access(folder(volume), F_OK) != 0 else {
            throw EngineError(.alreadyExists, "\(folder(volume)) is there already")
        }
    }

    private func publish(_ staging: String, _ volume: VolumeName) throws {
        try refuseTaken(volume)
        try Self.move(staging, folder(volume))
    }

    private static func move(_ old: String, _ new: String) throws {
        guard Glibc.rename(old, new) == 0 else { throw EngineError.system(errno, "rename \(old) to \(new)") }
    }

    /// A sparse file of `bytes`; never made smaller, for what would be lost.
    private static func resize(_ path: String, _ bytes: Int64) throws {
        let file = OwnedDescriptor(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600))
        guard file.raw >= 0 else { throw EngineError.system(errno, "open \(path)") }
        let old = lseek(file.raw, 0, SEEK_END)
        guard bytes >= Int64(old) else {
            throw EngineError(.invalidArgument, "a block volume of \(old) bytes cannot become smaller: \(bytes)")
        }
        guard ftruncate(file.raw, off_t(bytes)) == 0 else {
            throw EngineError.system(errno, "make \(path) \(bytes) bytes long")
        }
    }

    private static func missing(_ volume: VolumeName, _ path: String) -> EngineError {
        EngineError(.notFound, "volume \(Names.quoted(volume.name)) has no files at \(path)")
    }
}
