public import OCI
import Model

extension ContentStoring {
    /// The manifest or index stored under `digest`, checked.
    public func document(_ digest: ContentDigest, mediaType: String? = nil) async throws -> ManifestDocument {
        let bytes = try await read(digest, limit: ManifestDocument.Bounds.documentBytes)
        return try ManifestDocument(parsing: bytes, mediaType: mediaType, what: "manifest \(digest)")
    }

    /// The image stored under the digest of a manifest, or of an index of which one image for `platform` is stored.
    /// - Throws: `notFound` if something of it is not in the store.
    public func image(_ digest: ContentDigest, platform: Platform = .host) async throws -> StoredImage {
        var current = digest
        var mediaType: String?
        for _ in 0..<ImageGraph.maxDepth {
            switch try await document(current, mediaType: mediaType) {
            case .index(let index):
                let entry = try index.choose(platform, what: "image \(digest)")
                current = entry.digest
                mediaType = entry.mediaType
            case .image(let manifest):
                let config = try await read(manifest.config.digest)
                for layer in manifest.layers where try await !has(layer.digest) { throw Self.missing(layer.digest) }
                return try StoredImage(
                    target: digest, manifest: current, manifestSize: try await size(current), manifest, config: config)
            }
        }
        throw ImageGraph.tooDeep(digest)
    }

    /// Every digest that `roots` (manifests and indexes) need, the roots among them. What is not in the store is
    /// passed over: an index names images of platforms that were never pulled.
    public func reachable(from roots: some Sequence<ContentDigest> & Sendable) async throws -> Set<ContentDigest> {
        var seen: Set<ContentDigest> = []
        var queue = Array(roots)
        while let digest = queue.popLast() {
            guard seen.insert(digest).inserted, try await has(digest) else { continue }
            switch try await document(digest) {
            case .index(let index): queue += index.manifests.map(\.digest)
            case .image(let manifest):
                seen.insert(manifest.config.digest)
                seen.formUnion(manifest.layers.map(\.digest))
            }
        }
        return seen
    }
}

/// Bounds of the graph of indexes and manifests below one reference.
public enum ImageGraph {
    /// Indexes within indexes, the image's manifest included.
    public static let maxDepth = 4

    public static func tooDeep(_ digest: ContentDigest) -> any Error {
        EngineError(.invalidArgument, "image \(digest) is an index of indexes more than \(maxDepth) deep")
    }
}
