import ContentStore
import Model
import NIOHTTP1
import OCI

/// Brings one image from one endpoint into the store.
///
/// The tag is resolved once; from there on everything is asked for by digest, so a tag that moves meanwhile cannot mix
/// two images. Manifests are stored after what they refer to.
struct ImagePull: Sendable {
    var session: RepositorySession
    var store: any ContentStoring
    var platform: Platform
    var handler: ProgressHandler?

    private struct Document: Sendable {
        var digest: ContentDigest
        var bytes: [UInt8]
        var parsed: ManifestDocument
    }

    func run(_ reference: ImageReference) async throws -> StoredImage {
        let what = reference.familiar
        var documents = [try await resolve(reference)]
        let target = documents[0].digest
        while case .index(let index) = documents[documents.count - 1].parsed {
            guard documents.count < ImageGraph.maxDepth else { throw ImageGraph.tooDeep(target) }
            let entry = try index.choose(platform, what: what)
            guard !documents.contains(where: { $0.digest == entry.digest }) else { throw ImageGraph.tooDeep(target) }
            documents.append(try await fetch(entry, what))
        }
        let last = documents[documents.count - 1]
        guard case .image(let manifest) = last.parsed else { throw ImageGraph.tooDeep(target) }
        // Refused before anything is downloaded.
        _ = try StoredImage.content(of: manifest, last.digest)
        try await fetchBlobs(manifest)
        let image = try StoredImage(
            target: target, manifest: last.digest, manifestSize: Int64(last.bytes.count), manifest,
            config: try await store.read(manifest.config.digest))
        for document in documents.reversed() {
            try await store.add(document.bytes, mediaType: document.parsed.mediaType)
        }
        return image
    }

    private func fetchBlobs(_ manifest: ImageManifest) async throws {
        var seen: Set<ContentDigest> = []
        let blobs = ([manifest.config] + manifest.layers).filter { seen.insert($0.digest).inserted }
        let download = BlobDownload(session: session, store: store, progress: ProgressTracker(blobs, handler))
        try await forEachInParallel(blobs, limit: session.shared.settings.parallelBlobs) { try await download.run($0) }
    }

    /// The document that the reference names. For a tag a HEAD request gives the digest, which costs nothing of a rate
    /// limit and often shows that all is there.
    private func resolve(_ reference: ImageReference) async throws -> Document {
        let what = reference.familiar
        if let digest = reference.digest {
            return try await document(digest.description, expected: digest, size: nil, mediaType: nil, what)
        }
        let head = try await request(.HEAD, reference.target)
        await head.discard()
        if head.status == 200, let text = head.header("Docker-Content-Digest"), let digest = try? ContentDigest(text) {
            do {
                return try await document(text, expected: digest, size: nil, mediaType: nil, what)
            } catch let error as EngineError where error.code == .notFound {
                // The tag moved, and what it meant is gone already.
            }
        }
        return try await document(reference.target, expected: nil, size: nil, mediaType: nil, what)
    }

    private func fetch(_ entry: Descriptor, _ what: String) async throws -> Document {
        try await document(
            entry.digest.description, expected: entry.digest, size: entry.size, mediaType: entry.mediaType, what)
    }

    private func document(
        _ target: String, expected: ContentDigest?, size: Int64?, mediaType: String?, _ what: String
    ) async throws -> Document {
        let bytes: [UInt8]
        var stated = mediaType
        if let expected, try await store.has(expected) {
            bytes = try await store.read(expected, limit: ManifestDocument.Bounds.documentBytes)
        } else {
            let answer = try await request(.GET, target)
            guard answer.status == 200 else {
                throw await answer.failure(
                    "the request for \(what)", hint: answer.status == 404 ? "check the name and the tag" : nil)
            }
            bytes = try await answer.bytes(limit: ManifestDocument.Bounds.documentBytes)
            let digest = ContentDigest(of: bytes)
            let claimed = answer.header("Docker-Content-Digest").flatMap { try? ContentDigest($0) }
            if let wanted = expected ?? claimed, wanted != digest {
                throw EngineError(
                    .unavailable,
                    "registry \(session.endpoint.registry) delivers wrong content: manifest \(wanted) is \(digest)")
            }
            if let type = answer.header("Content-Type") {
                if let mediaType, MediaType.manifests.contains(type), type != mediaType {
                    throw EngineError(
                        .invalidArgument,
                        "manifest \(digest) is ambiguous: the index calls it \(mediaType), the registry \(type)")
                }
                stated = mediaType ?? type
            }
        }
        if let size, Int64(bytes.count) != size {
            throw EngineError(
                .unavailable, "manifest \(target) has \(bytes.count) bytes where its index says \(size)")
        }
        let parsed = try ManifestDocument(parsing: bytes, mediaType: stated, what: "the manifest of \(what)")
        return Document(digest: ContentDigest(of: bytes), bytes: bytes, parsed: parsed)
    }

    private func request(_ method: HTTPMethod, _ target: String) async throws -> RegistryAnswer {
        try await session.perform(
            RegistryRequest(
                method, .repository("manifests/\(target)"),
                headers: ["Accept": MediaType.manifests.joined(separator: ", ")], scopes: [session.scope("pull")]))
    }
}

/// Runs `body` for each item, at most `limit` at a time; the first error cancels the others.
func forEachInParallel<T: Sendable>(
    _ items: [T], limit: Int, _ body: @escaping @Sendable (T) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        var running = 0
        for item in items {
            if running >= max(limit, 1) {
                try await group.next()
                running -= 1
            }
            group.addTask { try await body(item) }
            running += 1
        }
        try await group.waitForAll()
    }
}
