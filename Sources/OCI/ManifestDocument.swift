internal import FoundationEssentials
internal import Model

/// A manifest or an index as it came from a registry or an archive, checked.
///
/// A document is taken only if it can be read in one way: the media type that the transport states, the one in the
/// document and the document's shape must agree, and an image manifest with the fields of an index (or the other way
/// round) is refused. (Otherwise two tools could see two different images under one digest.)
public enum ManifestDocument: Hashable, Sendable {
    case image(ImageManifest)
    case index(ImageIndex)

    /// Bounds of what is taken from a stranger.
    public enum Bounds {
        /// Bytes of a manifest or index, as registries bound them.
        public static let documentBytes = 4 << 20
        /// Bytes of an image configuration.
        public static let configBytes = 8 << 20
        /// Layers of an image. The kernel's overlay takes 500 lower folders.
        public static let layers = 500
        /// Entries of an index.
        public static let entries = 1000
        /// Bytes of one blob: 1 TiB.
        public static let blobBytes: Int64 = 1 << 40
    }

    /// Reads a document.
    /// - Parameters:
    ///   - mediaType: what the transport (Content-Type) or the parent's descriptor says it is; nil if it says nothing.
    /// - Throws: `invalidArgument` if it is malformed, ambiguous or beyond the bounds; `unsupported` for formats that
    ///   are not taken (Docker's schema 1).
    public init(parsing bytes: [UInt8], mediaType stated: String?, what: String = "manifest") throws {
        try JSONGuard.check(bytes, what: what, maxBytes: Bounds.documentBytes)
        let data = Data(bytes)
        let shape = try Self.decode(Shape.self, data, what)
        let type = try Self.mediaType(stated: stated, shape: shape, what: what)
        guard shape.schemaVersion == 2 else {
            throw EngineError(.invalidArgument, "\(what) has schema version \(shape.schemaVersion); only 2 is taken")
        }
        if MediaType.isIndex(type) {
            guard shape.looksLikeIndex, !shape.looksLikeImage else { throw Self.ambiguous(what, type) }
            var index = try Self.decode(ImageIndex.self, data, what)
            index.mediaType = type
            guard index.manifests.count <= Bounds.entries else {
                throw EngineError(
                    .invalidArgument,
                    "\(what) lists \(index.manifests.count) manifests: at most \(Bounds.entries) are allowed")
            }
            for entry in index.manifests { try Self.check(entry, limit: Int64(Bounds.documentBytes), what) }
            self = .index(index)
        } else {
            guard shape.looksLikeImage, !shape.looksLikeIndex else { throw Self.ambiguous(what, type) }
            var manifest = try Self.decode(ImageManifest.self, data, what)
            manifest.mediaType = type
            guard manifest.layers.count <= Bounds.layers else {
                throw EngineError(
                    .invalidArgument,
                    "\(what) has \(manifest.layers.count) layers: at most \(Bounds.layers) are allowed")
            }
            try Self.check(manifest.config, limit: Int64(Bounds.configBytes), what)
            for layer in manifest.layers { try Self.check(layer, limit: Bounds.blobBytes, what) }
            self = .image(manifest)
        }
    }

    /// The document's media type, which is always known after parsing.
    public var mediaType: String {
        switch self {
        case .image(let manifest): manifest.mediaType ?? MediaType.manifest
        case .index(let index): index.mediaType ?? MediaType.index
        }
    }

    private struct Shape: Decodable {
        var schemaVersion: Int
        var mediaType: String?
        var looksLikeIndex: Bool
        var looksLikeImage: Bool

        enum CodingKeys: String, CodingKey {
            case schemaVersion, mediaType, manifests, config, layers, fsLayers, signatures
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            schemaVersion = try container.decode(Int.self, forKey: .schemaVersion)
            mediaType = try container.decodeIfPresent(String.self, forKey: .mediaType)
            looksLikeIndex = container.contains(.manifests)
            looksLikeImage = [.config, .layers, .fsLayers, .signatures].contains { container.contains($0) }
        }
    }

    private static func mediaType(stated: String?, shape: Shape, what: String) throws -> String {
        // Servers without knowledge of manifests (a plain file server) say one of the generic types: nothing is stated.
        let generic: Set = ["", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream"]
        let stated = stated.map(MediaType.bare).flatMap { generic.contains($0) ? nil : $0 }
        let inside = shape.mediaType.flatMap { $0.isEmpty ? nil : $0 }
        for type in [stated, inside].compactMap({ $0 }) {
            if type == MediaType.dockerSchema1 || type == MediaType.dockerSchema1Signed || shape.schemaVersion == 1 {
                throw EngineError(
                    .unsupported, "\(what) is in Docker's schema 1 format, which ended in 2019",
                    hint: "push the image again with a current tool")
            }
            guard MediaType.isIndex(type) || MediaType.isManifest(type) else {
                throw EngineError(.unsupported, "\(what) has media type \(Names.quoted(type)), which is not an image")
            }
        }
        if let stated, let inside, stated != inside {
            throw EngineError(
                .invalidArgument,
                "\(what) is ambiguous: it was delivered as \(Names.quoted(stated)) and calls itself \(Names.quoted(inside))"
            )
        }
        return stated ?? inside ?? (shape.looksLikeIndex ? MediaType.index : MediaType.manifest)
    }

    private static func ambiguous(_ what: String, _ type: String) -> EngineError {
        EngineError(
            .invalidArgument, "\(what) is ambiguous: its fields do not fit its media type \(Names.quoted(type))")
    }

    private static func check(_ descriptor: Descriptor, limit: Int64, _ what: String) throws {
        guard (0...limit).contains(descriptor.size) else {
            throw EngineError(
                .invalidArgument,
                "\(what) gives \(descriptor.digest) a size of \(descriptor.size) bytes: 0 to \(limit) are allowed")
        }
    }

    private static func decode<T: Decodable>(_ type: T.Type, _ data: Data, _ what: String) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as EngineError {
            throw EngineError(.invalidArgument, "\(what) cannot be read", cause: error)
        } catch let error as DecodingError {
            throw EngineError(.invalidArgument, "\(what) cannot be read: \(error.explanation)")
        }
    }
}

extension DecodingError {
    /// The field and what is wrong with it, in a few words.
    var explanation: String {
        let (context, problem): (Context, String) =
            switch self {
            case .keyNotFound(let key, let context): (context, "'\(key.stringValue)' is missing")
            case .typeMismatch(_, let context): (context, "has the wrong type")
            case .valueNotFound(_, let context): (context, "has no value")
            case .dataCorrupted(let context): (context, context.debugDescription)
            @unknown default: (Context(codingPath: [], debugDescription: ""), "\(self)")
            }
        if let inner = context.underlyingError as? EngineError { return inner.description }
        let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
        return path.isEmpty ? problem : "\(Names.quoted(path)) \(problem)"
    }
}
