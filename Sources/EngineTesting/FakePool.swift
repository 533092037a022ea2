public import DriverKit
import FoundationEssentials
public import Model

/// A pool that copies everything: for tests of what stands above it, and the plainest one that keeps the promises.
public actor FakePool: StoragePool {
    private let folder: String
    private var files: FileManager { FileManager.default }

    /// - Parameter folder: absolute, its parent is there.
    public init(folder: String) { self.folder = folder }

    public func prepare(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot {
        let own = path(.instance(id))
        guard !files.fileExists(atPath: own) else { throw EngineError(.alreadyExists, "\(own) is there already") }
        for name in ["upper", "work"] {
            try files.createDirectory(atPath: "\(own)/\(name)", withIntermediateDirectories: true)
        }
        return try await root(id, over: layers)
    }

    public func root(_ id: InstanceID, over layers: LayerStack) async throws -> OverlayRoot {
        try check(.instance(id))
        return OverlayRoot(
            layersDirectory: layers.directory, lower: layers.paths, instanceDirectory: path(.instance(id)))
    }

    public func diskFolder(_ id: InstanceID) async throws -> String {
        try files.createDirectory(atPath: path(.instance(id)), withIntermediateDirectories: true)
        return path(.instance(id))
    }

    public func clone(_ source: RootName, to copy: RootName, isBusy: Bool) async throws {
        try check(source)
        guard !files.fileExists(atPath: path(copy)) else {
            throw EngineError(.alreadyExists, "\(path(copy)) is there already")
        }
        try files.createDirectory(atPath: parent(copy), withIntermediateDirectories: true)
        try files.copyItem(atPath: path(source), toPath: path(copy))
    }

    public func restore(_ id: InstanceID, from snapshot: InstanceID) async throws {
        try check(.snapshot(snapshot))
        try remove(path(.instance(id)))
        try files.copyItem(atPath: path(.snapshot(snapshot)), toPath: path(.instance(id)))
    }

    public func adopt(_ roots: [(source: RootName, copy: RootName)], from other: any StoragePool) async throws {
        for (source, copy) in roots {
            guard let other = other as? FakePool else { throw EngineError(.unsupported, "another kind of pool") }
            try files.createDirectory(atPath: parent(copy), withIntermediateDirectories: true)
            try await files.copyItem(atPath: other.path(source), toPath: path(copy))
        }
    }

    public func files(of root: RootName) async throws -> RootFiles {
        try check(root)
        return RootFiles(frozen: [], written: "\(path(root))/upper", base: nil, isDisk: false)
    }

    public func discard(_ root: RootName) async throws { try remove(path(root)) }

    public func usage(_ root: RootName) async throws -> Int64 {
        try check(root)
        return 4096
    }

    public func recover() async throws {}

    public func limit(_ id: InstanceID, bytes: Int64?) async throws {
        guard bytes != nil else { return }
        throw EngineError(.unsupported, "a fake pool bounds nothing")
    }

    public func space() async throws -> PoolSpace { PoolSpace(total: 1 << 40, used: 1 << 30, free: 1 << 39) }

    private func parent(_ root: RootName) -> String {
        switch root {
        case .instance: "\(folder)/roots"
        case .snapshot: "\(folder)/snapshots"
        }
    }

    func path(_ root: RootName) -> String { "\(parent(root))/\(root.id.raw)" }

    private func check(_ root: RootName) throws {
        guard files.fileExists(atPath: path(root)) else { throw EngineError(.notFound, "\(path(root)) is not there") }
    }

    private func remove(_ path: String) throws {
        if files.fileExists(atPath: path) { try files.removeItem(atPath: path) }
    }
}

extension FakePool {
    public nonisolated func folder(of volume: VolumeName) -> String {
        "\(folder)/volumes/\(volume.project)_\(volume.name)" + (volume.snapshot.map { "@\($0)" } ?? "")
    }

    public func makeVolume(_ volume: VolumeName, _ content: VolumeContent, size: Int64?) async throws {
        let path = folder(of: volume)
        guard !files.fileExists(atPath: path) else { throw EngineError(.alreadyExists, "\(path) is there already") }
        try files.createDirectory(atPath: path, withIntermediateDirectories: true)
        if content != .filesystem { _ = files.createFile(atPath: "\(path)/root.img", contents: Data()) }
    }

    public func cloneVolume(_ source: String, to copy: VolumeName) async throws {
        guard files.fileExists(atPath: source) else { throw EngineError(.notFound, "\(source) is not there") }
        guard !files.fileExists(atPath: folder(of: copy)) else {
            throw EngineError(.alreadyExists, "\(folder(of: copy)) is there already")
        }
        try files.copyItem(atPath: source, toPath: folder(of: copy))
    }

    public func restoreVolume(_ volume: VolumeName, from snapshot: VolumeName) async throws {
        guard files.fileExists(atPath: folder(of: snapshot)) else { throw EngineError(.notFound, "no such snapshot") }
        try remove(folder(of: volume))
        try files.copyItem(atPath: folder(of: snapshot), toPath: folder(of: volume))
    }

    public func renameVolume(_ volume: VolumeName, to new: VolumeName) async throws {
        try files.moveItem(atPath: folder(of: volume), toPath: folder(of: new))
    }

    public func removeVolume(_ volume: VolumeName) async throws { try remove(folder(of: volume)) }
    public func volumeUsage(_ volume: VolumeName) async throws -> Int64 { 4096 }
    public func limitVolume(_ volume: VolumeName, _ content: VolumeContent, bytes: Int64?) async throws {}
}

/// Makes fake pools.
public struct FakeStorageDriver: StorageDriver {
    public let name = "dir"
    public init() {}
    public var version: String { get async { "1" } }
    public func check() async -> [HostCheck] { [] }
    public func create(_ pool: String, config: [String: String]) async throws -> [String: String] { config }
    public func open(_ pool: String, config: [String: String]) async throws -> any StoragePool {
        FakePool(folder: config["source"] ?? "/nonexistent")
    }
    public func update(_ pool: String, from old: [String: String], to new: [String: String]) async throws {}
    public func remove(_ pool: String, config: [String: String]) async throws {}
}
