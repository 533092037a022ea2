public import Archive
public import DriverKit
import LinuxHost
import Model

/// Layers as plain folders of one filesystem, to be joined by overlayfs.
///
///     layers/<digest>/fs     a layer's tree, with `size` (bytes on disk) beside it
///     layers/l/<short>       link to ../<digest>/fs, so that many layers fit into the one page of mount options
///     layers/.staging-*      a layer being unpacked
///     trash/                 what is being removed
///
/// A layer appears by one rename(2), after all that it holds was written out. Removal is a rename into `trash`, which
/// is emptied in the background. Blocking work is done on threads that may block.
public final class OverlayStorage: Snapshotter {
    let layersRoot: RootDirectory
    let limits: ArchiveLimits
    let trash: Trash
    /// The state folder.
    let path: String
    private let unpacking = KeyedLock<String>()

    /// - Parameter stateDirectory: absolute; what is missing below it is made.
    public init(stateDirectory: String, limits: ArchiveLimits = ArchiveLimits()) throws {
        path = stateDirectory
        let state = try RootDirectory(path: stateDirectory, create: true)
        for name in ["layers", "layers/l", "layers/empty", "layers/empty/fs", "trash"] {
            try state.makeDirectories(name, mode: name == "layers/empty/fs" ? 0o755 : 0o700)
        }
        layersRoot = try state.subdirectory("layers")
        trash = Trash(try state.subdirectory("trash"))
        self.limits = limits
    }

    public func contains(layer: String) async throws -> Bool {
        let name = try LayerName(layer)
        return try layersRoot.exists("\(name.digits)/fs")
    }

    public func has(path: String, layer: String) async throws -> Bool {
        let name = try LayerName(layer)
        guard try layersRoot.exists("\(name.digits)/fs") else { throw name.missing }
        guard let status = try layersRoot.subdirectory("\(name.digits)/fs").status(path) else { return false }
        return !status.isWhiteout
    }

    public func unpack(layer: String, archive: String) async throws {
        let name = try LayerName(layer)
        try await unpacking.withLock(layer) {
            guard try await !contains(layer: layer) else { return }
            try await LayerStaging(name: name, layers: layersRoot, trash: trash, limits: limits).unpack(archive)
        }
    }

    public func remove(layer: String) async throws {
        let name = try LayerName(layer)
        try await unpacking.withLock(layer) {
            try await runBlocking { [layersRoot, trash] in
                try LayerLink(name).remove(from: layersRoot)
                try trash.take(name.digits, from: layersRoot)
            }
        }
        await trash.empty()
    }

    public func layers() async throws -> [String: Int64] {
        try await runBlocking { [layersRoot] in
            var sizes: [String: Int64] = [:]
            for entry in try layersRoot.list() {
                guard let name = try? LayerName("sha256:" + entry.name.text) else { continue }
                guard try layersRoot.exists("\(name.digits)/fs") else { continue }
                let text = try? String(decoding: layersRoot.readFile("\(name.digits)/size", limit: 32), as: UTF8.self)
                sizes[name.digest] = try text.flatMap { Int64($0) } ?? layersRoot.diskUsage(name.digits)
            }
            return sizes
        }
    }

    public func stack(_ layers: [String]) async throws -> LayerStack {
        LayerStack(directory: layersRoot.path, paths: try lowerNames(layers))
    }

    public func recover() async throws {
        try await runBlocking { [layersRoot, trash] in
            for entry in try layersRoot.list() {
                let name = entry.name.text
                let isHalf = try LayerName.isDigits(name) && !layersRoot.exists("\(name)/fs")
                if name.hasPrefix(LayerStaging.prefix) || isHalf { try trash.take(name, from: layersRoot) }
            }
            for entry in try layersRoot.list("l")
            where try layersRoot.subdirectoryIfThere("l/\(entry.name.text)") == nil {
                try layersRoot.removeFile("l/\(entry.name.text)")
            }
        }
        await trash.empty()
    }

    /// Returns when all that was removed is gone from the disk too.
    public func drain() async { await trash.drain() }

    /// The short names of layers (lowest first), made sure of and in overlayfs's order, topmost first.
    func lowerNames(_ layers: [String]) throws -> [String] {
        var lower: [String] = []
        var seen: Set<String> = []
        // overlayfs refuses a folder that is named twice; a layer that comes again further up hides its lower self.
        for layer in layers.reversed() where seen.insert(layer).inserted {
            let name = try LayerName(layer)
            guard try layersRoot.exists("\(name.digits)/fs") else { throw name.missing }
            lower.append(try LayerLink(name).make(in: layersRoot))
        }
        // An image may have no layer at all, an overlay not.
        return lower.isEmpty ? ["empty/fs"] : lower
    }
}
