import Archive
public import DriverKit
import Glibc
import LinuxHost
import Model

/// A `Snapshotter` that only remembers names and sizes: for tests of what stands above it. Layers are read from their
/// tars and verified, nothing is written anywhere; the folders that its stacks name do not exist.
public actor MemorySnapshotter: Snapshotter {
    private struct Layer {
        var files: Set<String>
        var size: Int64
    }

    private var store: [String: Layer] = [:]

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

    public func stack(_ layers: [String]) async throws -> LayerStack {
        var lower: [String] = []
        for layer in layers.reversed() where !lower.contains(layer) {
            guard store[layer] != nil else { throw Self.missing(layer) }
            lower.append(layer)
        }
        return LayerStack(directory: "/nonexistent/layers", paths: lower.isEmpty ? ["empty"] : lower)
    }

    public func recover() async throws {}

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
