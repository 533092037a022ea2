import NIOHTTP1
import OCI
import Synchronization

/// The content of one repository, answered as a well-behaved registry does; tests put their faults before it.
struct FakeRepository: Sendable {
    /// By tag or digest: media type and bytes.
    var manifests: [String: (type: String, bytes: [UInt8])] = [:]
    var blobs: [String: [UInt8]] = [:]
    var supportsRanges = true

    /// One image of these layers under tag `1`.
    init(layers contents: [[UInt8]], tag: String = "1") throws {
        try add(layers: contents, tag: tag)
    }

    @discardableResult
    mutating func add(layers contents: [[UInt8]], tag: String, layerType: String = MediaType.layer) throws -> Descriptor
    {
        let layers = contents.map { Descriptor(mediaType: layerType, bytes: $0) }
        for (layer, content) in zip(layers, contents) { blobs[layer.digest.description] = content }
        let config = try CanonicalJSON.bytes(
            ImageConfiguration(platform: .host, diffIDs: layers.map(\.digest)))
        let descriptor = Descriptor(mediaType: MediaType.config, bytes: config)
        blobs[descriptor.digest.description] = config
        return add(
            try CanonicalJSON.bytes(ImageManifest(config: descriptor, layers: layers)), type: MediaType.manifest,
            tag: tag)
    }

    @discardableResult
    mutating func add(_ bytes: [UInt8], type: String, tag: String) -> Descriptor {
        let descriptor = Descriptor(mediaType: type, bytes: bytes)
        manifests[tag] = (type, bytes)
        manifests[descriptor.digest.description] = (type, bytes)
        return descriptor
    }

    func answer(_ request: FaultyRegistry.Request) -> FaultyRegistry.Answer {
        let name = request.path.split(separator: "/").last.map(String.init) ?? ""
        if request.path == "/v2/" { return .init() }
        if request.path.contains("/manifests/"), let found = manifests[name] {
            return .init(
                headers: [
                    "Content-Type": found.type, "Docker-Content-Digest": ContentDigest(of: found.bytes).description,
                ], body: found.bytes)
        }
        guard request.path.contains("/blobs/"), let bytes = blobs[name] else { return .init(status: .notFound) }
        if supportsRanges, let range = request.headers.first(name: "Range"), range.hasPrefix("bytes="),
            let start = Int(range.dropFirst(6).dropLast()), start < bytes.count
        {
            return .init(
                status: .partialContent, headers: ["Content-Range": "bytes \(start)-\(bytes.count - 1)/\(bytes.count)"],
                body: Array(bytes[start...]))
        }
        return .init(body: bytes)
    }
}

/// Counts calls from the threads of a server.
final class Counter: Sendable {
    private let value = Atomic(0)
    /// 1 at the first call.
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
    var count: Int { value.load(ordering: .relaxed) }
}
