import FoundationEssentials
import Model
import OCI

/// `manifest.json` of a docker archive (moby image spec v1.2, "Combined Image JSON + Filesystem Changeset Format").
struct DockerArchiveDocument: Codable {
    struct Image: Codable {
        var config: String
        var repoTags: [String]?
        var layers: [String]

        enum CodingKeys: String, CodingKey {
            case config = "Config"
            case repoTags = "RepoTags"
            case layers = "Layers"
        }
    }

    var images: [Image]

    init(images: [Image]) { self.images = images }

    init(parsing bytes: [UInt8]) throws {
        let what = "manifest.json of the docker archive"
        try JSONGuard.check(bytes, what: what, maxBytes: ManifestDocument.Bounds.documentBytes)
        do {
            images = try JSONDecoder().decode([Image].self, from: Data(bytes))
        } catch {
            throw EngineError(.invalidArgument, "\(what) cannot be read", cause: error)
        }
        guard !images.isEmpty, images.count <= 256 else {
            throw EngineError(.invalidArgument, "\(what) lists \(images.count) images: 1 to 256 are allowed")
        }
        for image in images where image.layers.count > ManifestDocument.Bounds.layers {
            throw EngineError(.invalidArgument, "\(what) lists an image of \(image.layers.count) layers")
        }
    }

    func encode(to encoder: any Encoder) throws { try images.encode(to: encoder) }
    init(from decoder: any Decoder) throws { images = try [Image](from: decoder) }
}
