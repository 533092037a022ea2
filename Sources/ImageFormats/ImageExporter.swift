import Archive
public import ContentStore
import Glibc
import LinuxHost
import Model
public import OCI

/// Writes images of a content store into one tar, for other tools and other machines.
public struct ImageExporter: Sendable {
    public enum Format: String, Sendable {
        /// An OCI layout: the images byte for byte, their digests kept.
        case layout
        /// What `docker load` of any age takes: layers uncompressed, no manifests.
        case dockerArchive
    }

    public var store: any ContentStoring

    public init(store: any ContentStoring) { self.store = store }

    /// Writes `images` to a new file at `path`; a file of that name is replaced once the new one is whole.
    /// - Parameter images: digests of manifests or indexes, with the references they shall have in the archive.
    /// - Throws: `notFound` if something is not in the store, `unsupported` for a disk or a module as docker archive.
    public func export(_ images: [(digest: ContentDigest, names: [ImageReference])], format: Format, to path: String)
        async throws
    {
        let members: [ArchiveMember]
        switch format {
        case .layout: members = try await layout(images)
        case .dockerArchive: members = try await dockerArchive(images)
        }
        let flag = CancelFlag()
        try await withTaskCancellationHandler {
            try await runBlocking { try ArchiveMember.write(members, to: path, flag: flag) }
        } onCancel: {
            flag.set()
        }
    }

    private func layout(_ images: [(digest: ContentDigest, names: [ImageReference])]) async throws -> [ArchiveMember] {
        var entries: [Descriptor] = []
        var needed: Set<ContentDigest> = []
        for image in images {
            let document = try await store.document(image.digest)
            needed.formUnion(try await store.reachable(from: [image.digest]))
            var entry = Descriptor(
                mediaType: document.mediaType, digest: image.digest, size: try await store.size(image.digest))
            if case .image(let manifest) = document {
                entry.platform = try await store.image(image.digest).platform
                for blob in manifest.layers where try await !store.has(blob.digest) {
                    _ = try await store.size(blob.digest)
                }
            }
            if image.names.isEmpty { entries.append(entry) }
            for name in image.names {
                entry.annotations = [
                    "io.containerd.image.name": name.description,
                    "org.opencontainers.image.ref.name": name.description,
                ]
                entries.append(entry)
            }
        }
        var members = [
            ArchiveMember(name: "oci-layout", bytes: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)),
            ArchiveMember(name: "index.json", bytes: try CanonicalJSON.bytes(ImageIndex(manifests: entries))),
        ]
        // An index names images of platforms that were never pulled; those are not there.
        for digest in needed.sorted() where try await store.has(digest) {
            members.append(
                ArchiveMember(name: "blobs/sha256/" + digest.hex, blob: try await store.path(digest), diffID: nil))
        }
        return members
    }

    private func dockerArchive(
        _ images: [(digest: ContentDigest, names: [ImageReference])]
    ) async throws -> [ArchiveMember] {
        var table: [DockerArchiveDocument.Image] = []
        var members: [ArchiveMember] = []
        var written: Set<String> = []
        for item in images {
            let image = try await store.image(item.digest)
            guard image.content == .rootFilesystem else {
                throw EngineError(
                    .unsupported, "image \(item.digest) is not a root filesystem and cannot be a docker archive",
                    hint: "export it as OCI layout")
            }
            var layers: [String] = []
            for layer in image.layers {
                guard let diffID = layer.diffID else { continue }
                let name = diffID.hex + ".tar"
                layers.append(name)
                guard written.insert(name).inserted else { continue }
                members.append(
                    ArchiveMember(
                        name: name, blob: try await store.path(layer.digest),
                        diffID: layer.digest == diffID ? nil : diffID))
            }
            let config = image.config.hex + ".json"
            if written.insert(config).inserted {
                members.append(ArchiveMember(name: config, bytes: try await store.read(image.config)))
            }
            let tags = item.names.filter { $0.tag != nil }.map { name in
                var name = name
                name.digest = nil
                return name.familiar
            }
            table.append(DockerArchiveDocument.Image(config: config, repoTags: tags, layers: layers))
        }
        let bytes = try CanonicalJSON.bytes(DockerArchiveDocument(images: table))
        members.append(ArchiveMember(name: "manifest.json", bytes: bytes))
        return members
    }
}
