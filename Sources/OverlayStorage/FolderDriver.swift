public import DriverKit
import Glibc
import LinuxHost
import Model

/// Pools of the driver `dir`: plain folders joined by overlayfs, on any filesystem.
public final class FolderDriver: StorageDriver {
    public let name = "dir"
    private let layers: OverlayStorage
    /// The folder for pools that name no `source`.
    private let parent: String

    /// - Parameter parent: absolute; pools without a `source` of their own get a folder in it.
    public init(layers: OverlayStorage, parent: String) {
        self.layers = layers
        self.parent = parent
    }

    public var version: String { get async { "1" } }

    public func check() async -> [HostCheck] { [] }

    public func create(_ pool: String, config: [String: String]) async throws -> [String: String] {
        try Self.checkKeys(config)
        let source = try Self.source(config["source"] ?? "\(parent)/\(pool)")
        try await runBlocking {
            let folder = try RootDirectory(path: source, create: true)
            guard try folder.list().isEmpty else {
                throw EngineError(
                    .invalidArgument, "the folder \(source) is not empty",
                    hint: "a pool of the driver dir needs an empty folder, or one that is not there yet")
            }
        }
        return config.merging(["source": source]) { $1 }
    }

    public func open(_ pool: String, config: [String: String]) async throws -> any StoragePool {
        let source = try Self.source(config["source"] ?? "\(parent)/\(pool)")
        return try await runBlocking { [layers] in try FolderPool(path: source, layers: layers) }
    }

    public func update(_ pool: String, from old: [String: String], to new: [String: String]) async throws {
        try Self.checkKeys(new)
        guard new["source"] == old["source"] else {
            throw EngineError(.unsupported, "the source of pool \(Names.quoted(pool)) cannot change")
        }
    }

    public func remove(_ pool: String, config: [String: String]) async throws {
        guard let source = config["source"] else { return }
        try await runBlocking {
            guard access(source, F_OK) == 0 else { return }
            // The folder itself was perhaps there before.
            let folder = try RootDirectory(path: source)
            for name in ["instances", "snapshots", "frozen", "trash", "volumes", "volume-snapshots"] {
                try folder.removeTree(name)
            }
            rmdir(source)
        }
    }

    /// Keys of the configuration that a pool of this driver may have.
    private static func checkKeys(_ config: [String: String]) throws {
        for key in config.keys.sorted()
        where key != "source" && !key.hasPrefix("user.") && !key.hasPrefix("volume.") && key != "rsync.bwlimit"
            && key != "rsync.compression"
        {
            throw EngineError(
                .invalidArgument, "a pool of the driver dir has no key \(Names.quoted(key))",
                hint: "keys: source, volume.*, user.*")
        }
    }

    private static func source(_ text: String) throws -> String {
        let names = text.split(separator: "/")
        guard text.hasPrefix("/"), !names.isEmpty, !names.contains(".."), !text.utf8.contains(0) else {
            throw EngineError(
                .invalidArgument, "source=\(Names.quoted(text)) is not the absolute path of a folder of its own")
        }
        return "/" + names.joined(separator: "/")
    }
}
