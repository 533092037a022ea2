import ContentStore
import Foundation
import LinuxHost
import OCI

/// A small image in a content store.
struct SampleImage {
    var manifest: Descriptor
    var config: Descriptor
    var layers: [Descriptor]

    /// - Parameter layers: content of each layer; need not be a tar for what is tested here.
    static func make(
        in store: any ContentStoring, layers contents: [[UInt8]], platform: Platform = .host
    ) async throws -> SampleImage {
        var layers: [Descriptor] = []
        for content in contents { layers.append(try await store.add(content, mediaType: MediaType.layer)) }
        let configuration = ImageConfiguration(platform: platform, diffIDs: layers.map(\.digest))
        let config = try await store.add(CanonicalJSON.bytes(configuration), mediaType: MediaType.config)
        let manifest = try await store.add(
            CanonicalJSON.bytes(ImageManifest(config: config, layers: layers)), mediaType: MediaType.manifest)
        return SampleImage(manifest: manifest, config: config, layers: layers)
    }

    /// Bytes without a pattern.
    static func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state)
        }
    }
}
