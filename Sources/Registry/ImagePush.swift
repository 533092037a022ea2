import ContentStore
import Model
import NIOHTTP1
import OCI

/// Sends an image, or an index with all its images, from the store to one repository: blobs, then manifests, the one
/// that gets the tag last.
struct ImagePush: Sendable {
    var session: RepositorySession
    var store: any ContentStoring
    var mountFrom: [String]
    var handler: ProgressHandler?

    private struct Document {
        var digest: ContentDigest
        var bytes: [UInt8]
        var parsed: ManifestDocument
    }

    func run(_ root: ContentDigest, to reference: ImageReference) async throws {
        var documents: [Document] = []
        try await collect(root, depth: 0, into: &documents)
        var seen: Set<ContentDigest> = []
        var blobs: [Descriptor] = []
        for document in documents {
            guard case .image(let manifest) = document.parsed else { continue }
            blobs += ([manifest.config] + manifest.layers).filter { seen.insert($0.digest).inserted }
        }
        for blob in blobs where try await !store.has(blob.digest) {
            throw EngineError(
                .notFound, "image \(root) is not complete: content \(blob.digest) is not in the store",
                hint: "pull or import the image again")
        }
        let upload = BlobUpload(
            session: session, store: store, progress: ProgressTracker(blobs, handler), mountFrom: mountFrom)
        try await forEachInParallel(blobs, limit: session.shared.settings.parallelBlobs) { try await upload.run($0) }
        for document in documents {
            let target = document.digest == root ? reference.tag ?? root.description : document.digest.description
            try await put(document, target)
        }
    }

    /// Children before parents.
    private func collect(_ digest: ContentDigest, depth: Int, into documents: inout [Document]) async throws {
        guard depth < ImageGraph.maxDepth else { throw ImageGraph.tooDeep(digest) }
        guard !documents.contains(where: { $0.digest == digest }) else { return }
        let bytes = try await store.read(digest, limit: ManifestDocument.Bounds.documentBytes)
        let parsed = try ManifestDocument(parsing: bytes, mediaType: nil, what: "manifest \(digest)")
        if case .index(let index) = parsed {
            for entry in index.manifests {
                guard try await store.has(entry.digest) else {
                    throw EngineError(
                        .notFound, "index \(digest) names \(entry.digest), which was never pulled",
                        hint: "push the image of one platform by its own digest")
                }
                try await collect(entry.digest, depth: depth + 1, into: &documents)
            }
        }
        documents.append(Document(digest: digest, bytes: bytes, parsed: parsed))
    }

    private func put(_ document: Document, _ target: String) async throws {
        let answer = try await session.perform(
            RegistryRequest(
                .PUT, .repository("manifests/\(target)"), headers: ["Content-Type": document.parsed.mediaType],
                body: .bytes(document.bytes), scopes: [session.scope("pull,push")]))
        guard answer.status == 201 || answer.status == 200 else {
            throw await answer.failure("the upload of manifest \(document.digest)")
        }
        await answer.discard()
        if let text = answer.header("Docker-Content-Digest"), text != document.digest.description {
            throw EngineError(
                .unavailable,
                "registry \(session.endpoint.registry) stored manifest \(document.digest) as \(Names.quoted(text))")
        }
    }
}
