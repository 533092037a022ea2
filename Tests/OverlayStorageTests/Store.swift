import Archive
import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

let isRoot = geteuid() == 0

/// A state folder for one test, removed at the end.
final class Store: Sendable {
    let root: RootDirectory
    let storage: OverlayStorage
    let pool: FolderPool
    var path: String { root.path }
    var state: String { "\(path)/state" }

    init(limits: ArchiveLimits = ArchiveLimits()) throws {
        let path = "/tmp/isle-overlay-test-\(UInt64.random(in: .min ... .max))"
        root = try RootDirectory(path: path, create: true)
        storage = try OverlayStorage(stateDirectory: "\(path)/state", limits: limits)
        pool = try FolderPool(path: "\(path)/state", layers: storage)
    }

    /// A writable root over layers of the store.
    func prepare(_ id: InstanceID, layers: [String]) async throws -> OverlayRoot {
        try await pool.prepare(id, over: storage.stack(layers))
    }

    /// Runs a test's body; then waits for the background and removes all.
    static func with(limits: ArchiveLimits = ArchiveLimits(), _ body: (Store) async throws -> Void) async throws {
        let store = try Store(limits: limits)
        var failure: (any Error)?
        do { try await body(store) } catch { failure = error }
        await store.storage.drain()
        try RootDirectory(path: "/tmp").removeTree(String(store.path.dropFirst(5)))
        if let failure { throw failure }
    }

    /// A layer of members made by `write`.
    func layer(_ write: (TarWriter) throws -> Void) throws -> SnapshotterConformance.Layer {
        var bytes: [UInt8] = []
        let tar = TarWriter { bytes.append(contentsOf: $0) }
        try write(tar)
        try tar.finish()
        let hashing = HashingSource(MemorySource(bytes))
        let name = "layer-\(UInt64.random(in: .min ... .max)).tar"
        try root.writeFile(name, bytes, durable: false)
        return .init(digest: try hashing.digest(), archive: "\(path)/\(name)")
    }

    func layer(files: [String: String]) throws -> SnapshotterConformance.Layer {
        try layer { tar in
            for (name, content) in files.sorted(by: { $0.key < $1.key }) {
                try tar.add(TarEntry(.file, path: HostPath(name)), content: Array(content.utf8))
            }
        }
    }

    func unpacked(files: [String: String]) async throws -> String {
        let layer = try layer(files: files)
        try await storage.unpack(layer: layer.digest, archive: layer.archive)
        return layer.digest
    }

    func names(_ folder: String) throws -> [String] {
        try root.list(folder).map(\.name.text).sorted()
    }
}
