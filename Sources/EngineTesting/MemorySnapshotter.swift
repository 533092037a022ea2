import Archive
public import DriverKit
import Glibc
import LinuxHost
public import Model

/// A `Snapshotter` that only remembers names and sizes: for tests of what stands above it. Layers are read from their
/// tars and verified, nothing is written anywhere; the folders that its roots name do not exist.
public actor MemorySnapshotter: Snapshotter {
    private struct Layer {
        var files: Set<String>
        var size: Int64
    }

    private var store: [String: Layer] = [:]
    private var roots: Set<InstanceID> = []

    public init() {}

    public func contains(layer: String) async throws -> Bool { try store[Self.checked(layer)] != nil }

    public func unpack(layer: String, archive: String) async throws {
        guard try store[Self.checked(layer)] == nil else { return }
        let raw = open(archive, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { throw EngineError(.notFound, "there is no layer archive \(archive)") }
        let source = HashingSource(try DecompressedSource(OwnedDescriptor(raw), name: archive))
        let reader = TarReader(source, name: archive)
        var files: Set<String> = []
        while let entry = try reader.next() { files.insert(Self.plain(entry.path.text)) }
        let digest = try source.digest()
        guard digest == layer else {
            throw EngineError(
                .invalidArgument, "archive \(archive) has the uncompressed digest \(digest), not \(layer)")
        }
        store[layer] = Layer(files: files, size: source.count)
    }

    public func remove(layer: String) async throws { store[try Self.checked(layer)] = nil }

    public func has(path: String, layer: String) async throws -> Bool {
        guard let known = try store[Self.checked(layer)] else { throw Self.missing(layer) }
        return known.files.contains(Self.plain(path))
    }

    public func layers() async throws -> [String: Int64] { store.mapValues(\.size) }

    public func prepare(_ id: InstanceID, layers: [String]) async throws -> OverlayRoot {
        let root = try overlay(id, layers)
        guard roots.insert(id).inserted else {
            throw EngineError(.alreadyExists, "instance \(id) has a writable folder already")
        }
        return root
    }

    public func root(_ id: InstanceID, layers: [String]) async throws -> OverlayRoot {
        try checkRoot(id)
        return try overlay(id, layers)
    }

    public func discard(_ id: InstanceID) async throws { roots.remove(id) }

    public func usage(_ id: InstanceID) async throws -> Int64 {
        try checkRoot(id)
        return 0
    }

    public func recover() async throws {}

    private func checkRoot(_ id: InstanceID) throws {
        guard roots.contains(id) else { throw EngineError(.notFound, "instance \(id) has no writable folder") }
    }

    private func overlay(_ id: InstanceID, _ layers: [String]) throws -> OverlayRoot {
        var lower: [String] = []
        for layer in layers.reversed() where !lower.contains(layer) {
            guard store[layer] != nil else { throw Self.missing(layer) }
            lower.append(layer)
        }
        return OverlayRoot(
            layersDirectory: "/nonexistent/layers", lower: lower.isEmpty ? ["empty"] : lower,
            instanceDirectory: "/nonexistent/instances/\(id)")
    }

    private static func checked(_ layer: String) throws -> String {
        let digits = layer.dropFirst("sha256:".utf8.count)
        guard layer.hasPrefix("sha256:"), digits.utf8.count == 64,
            digits.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { throw EngineError(.invalidArgument, "\(Names.quoted(layer)) is not a layer's digest") }
        return layer
    }

    private static func missing(_ layer: String) -> EngineError {
        EngineError(.notFound, "layer \(layer) is not unpacked")
    }

    private static func plain(_ path: String) -> String {
        path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }
}
