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
