import Archive
import ContentStore
import Crypto
import FoundationEssentials
import LinuxHost
public import Model
import OCI

/// The manifest that keeps what an image of LXD's has beyond a root filesystem: a configuration with metadata and
/// templates, and the files as layers.
extension BundleImporter {
    private struct Document: Codable {
        /// `metadata.yaml`, byte for byte.
        var text: Data
        var templates: [String: Data]
    }

    /// Stores the manifest; gives what is recorded of it. Without files fingerprint and size are empty.
    func keep(metadata: Metadata, text: [UInt8], templates: [String: [UInt8]], files: [ImageBundle.File]) async throws
        -> ImageBundle
    {
        let document = Document(text: Data(text), templates: templates.mapValues { Data($0) })
        let config = try await store.add(CanonicalJSON.bytes(document), mediaType: Self.configType)
        let layers = try files.map {
            Descriptor(mediaType: Self.fileType, digest: try ContentDigest($0.digest), size: $0.size)
        }
        let manifest = ImageManifest(artifactType: Self.configType, config: config, layers: layers)
        let stored = try await store.add(CanonicalJSON.bytes(manifest), mediaType: MediaType.manifest)
        return ImageBundle(
            fingerprint: files.isEmpty ? "" : try await fingerprint(layers.map(\.digest)), metadata: metadata,
            templates: templates.keys.sorted(), manifest: stored.digest.description, files: files,
            size: files.reduce(0) { $0 + $1.size })
    }

    /// SHA-256 of the blobs one after the other.
    private func fingerprint(_ digests: [ContentDigest]) async throws -> String {
        if digests.count == 1 { return digests[0].hex }
        var hash = SHA256()
        for digest in digests { try await store.forEachChunk(digest, chunk: 1 << 20) { hash.update(data: $0) } }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Stores metadata and templates of an image that was made here.
    ///
    /// - Parameter disk: blob of a disk image, the second of two files; nil: the image is packed anew on export.
    public func make(metadata: Metadata, templates: [String: [UInt8]], disk: ImageRecord.Layer?) async throws
        -> ImageBundle
    {
        // JSON is YAML, and comes out the same each time.
        let text = try CanonicalJSON.bytes(metadata) + Array("\n".utf8)
        var files: [ImageBundle.File] = []
        if let disk {
            var bytes: [UInt8] = []
            let tar = TarWriter { bytes.append(contentsOf: $0) }
            try tar.add(TarEntry(.file, path: "metadata.yaml"), content: text)
            for (name, content) in templates.sorted(by: { $0.key < $1.key }) {
                try tar.add(TarEntry(.file, path: .init("templates/" + name)), content: content)
            }
            try tar.finish()
            let blob = try await store.add(bytes, mediaType: Self.fileType)
            files = [
                ImageBundle.File(name: "metadata.tar", digest: blob.digest.description, size: blob.size),
                ImageBundle.File(name: "rootfs.qcow2", digest: disk.digest, size: disk.size),
            ]
        }
        return try await keep(metadata: metadata, text: text, templates: templates, files: files)
    }

    /// `metadata.yaml` and the templates as the tarball has them.
    public func members(of bundle: ImageBundle) async throws -> [(path: String, content: [UInt8])] {
        guard case .image(let manifest) = try await store.document(try ContentDigest(bundle.manifest)) else {
            throw EngineError(.internal, "\(bundle.manifest) is not what belongs to an image of LXD's")
        }
        let bytes = try await store.read(manifest.config.digest)
        let document = try JSONDecoder().decode(Document.self, from: Data(bytes))
        return [("metadata.yaml", Array(document.text))]
            + document.templates.sorted { $0.key < $1.key }.map { ("templates/" + $0.key, Array($0.value)) }
    }
}
