import FoundationEssentials
import Model
import OCI

/// The documents at the top of an OCI layout (image-spec v1.1, image-layout.md).
struct LayoutDocuments {
    /// Names by the digest of what they stand for, in the order of the index.
    var entries: [(descriptor: Descriptor, names: [String])]

    private struct Marker: Decodable { var imageLayoutVersion: String }

    init(marker: [UInt8], index bytes: [UInt8]) throws {
        try JSONGuard.check(marker, what: "oci-layout", maxBytes: 4096)
        guard let version = try? JSONDecoder().decode(Marker.self, from: Data(marker)).imageLayoutVersion,
            version.hasPrefix("1.")
        else { throw EngineError(.unsupported, "the OCI layout is of a version other than 1") }
        guard
            case .index(let index) = try ManifestDocument(
                parsing: bytes, mediaType: MediaType.index, what: "index.json of the OCI layout")
        else { throw EngineError(.invalidArgument, "index.json of the OCI layout is no index") }
        entries = []
        for descriptor in index.manifests {
            guard MediaType.isManifest(descriptor.mediaType) || MediaType.isIndex(descriptor.mediaType) else {
                continue
            }
            let names = Self.names(descriptor)
            if let known = entries.firstIndex(where: { $0.descriptor.digest == descriptor.digest }) {
                entries[known].names += names.filter { !entries[known].names.contains($0) }
            } else {
                entries.append((descriptor, names))
            }
        }
        guard !entries.isEmpty else { throw EngineError(.invalidArgument, "the OCI layout holds no image") }
    }

    /// The entries that fit `platform`: where several entries without names of their own differ in platform only, they
    /// are one image.
    func chosen(_ platform: Platform) throws -> [(descriptor: Descriptor, names: [String])] {
        let groups = Dictionary(grouping: entries, by: \.names)
        return try entries.filter { entry in
            guard let group = groups[entry.names], group.count > 1, group.allSatisfy({ $0.descriptor.platform != nil })
            else { return true }
            let index = ImageIndex(manifests: group.map(\.descriptor))
            return try index.choose(platform, what: "the OCI layout").digest == entry.descriptor.digest
        }
    }

    /// containerd's and Docker's full name, else the layout's own, which may be a mere tag and then names nothing.
    private static func names(_ descriptor: Descriptor) -> [String] {
        let annotations = descriptor.annotations ?? [:]
        if let full = annotations["io.containerd.image.name"], (try? ImageReference(parsing: full)) != nil {
            return [full]
        }
        guard let name = annotations["org.opencontainers.image.ref.name"], name.contains("/") || name.contains(":"),
            (try? ImageReference(parsing: name)) != nil
        else { return [] }
        return [name]
    }
}
