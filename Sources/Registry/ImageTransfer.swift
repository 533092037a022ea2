public import ContentStore
import Model
public import OCI

/// Moves images between registries and a content store.
public struct ImageTransfer: Sendable {
    public var client: RegistryClient
    public var store: any ContentStoring

    public init(client: RegistryClient, store: any ContentStoring) {
        self.client = client
        self.store = store
    }

    /// Pulls an image: mirrors first, then the registry itself. What was downloaded before an interruption is kept and
    /// not downloaded again.
    /// - Parameters:
    ///   - credentials: for the registry itself; nil looks in the machine's credentials files.
    ///   - progress: see `ProgressHandler`.
    /// - Throws: `notFound`, `permissionDenied`, `unsupported` (no image for the platform, not an image that can run),
    ///   `unavailable` and `timeout` (the registry), `resourceExhausted` (the disk), `CancellationError`.
    public func pull(
        _ reference: ImageReference, platform: Platform = .host, credentials: RegistryCredentials? = nil,
        progress: ProgressHandler? = nil
    ) async throws -> StoredImage {
        let sessions = try await client.sessions(for: reference, credentials: credentials, mirrors: true)
        var failures: [EngineError] = []
        for session in sessions {
            do {
                let pull = ImagePull(session: session, store: store, platform: platform, handler: progress)
                return try await pull.run(reference)
            } catch let error as EngineError {
                if error.code == .resourceExhausted || Task.isCancelled { throw error }
                failures.append(error)
            }
        }
        throw Self.failure(failures, reference)
    }

    /// Pulls what a person's name for an image means on this machine: the first of `RegistryClient.candidates` that
    /// exists. Gives the reference that it was.
    public func pull(
        named name: String, platform: Platform = .host, credentials: RegistryCredentials? = nil,
        progress: ProgressHandler? = nil
    ) async throws -> (reference: ImageReference, image: StoredImage) {
        let candidates = try client.candidates(for: name)
        var failures: [EngineError] = []
        for reference in candidates {
            do {
                let image = try await pull(
                    reference, platform: platform, credentials: credentials, progress: progress)
                return (reference, image)
            } catch let error as EngineError where candidates.count > 1 && error.code != .resourceExhausted {
                failures.append(error)
            }
        }
        let tried = candidates.map(\.registry).joined(separator: ", ")
        throw EngineError(
            failures.allSatisfy { $0.code == .notFound } ? .notFound : .unavailable,
            "image \(Names.quoted(name)) was found in none of: \(tried)", cause: failures.last)
    }

    /// Pushes the manifest or index stored under `digest` with all that belongs to it.
    /// - Parameters:
    ///   - reference: where to; without a tag it is there by its digest alone.
    ///   - mountFrom: references of repositories from which a registry may take blobs over instead of receiving them;
    ///     those of other registries are passed over.
    public func push(
        _ digest: ContentDigest, to reference: ImageReference, credentials: RegistryCredentials? = nil,
        mountFrom: [ImageReference] = [], progress: ProgressHandler? = nil
    ) async throws {
        if let named = reference.digest, named != digest {
            throw EngineError(.invalidArgument, "image \(digest) cannot be pushed as \(reference)")
        }
        let session = try await client.session(for: reference, credentials: credentials)
        let sources = mountFrom.filter { $0.registry == reference.registry && $0.repository != reference.repository }
        let push = ImagePush(
            session: session, store: store, mountFrom: Array(Set(sources.map(\.repository))).sorted(),
            handler: progress)
        try await push.run(digest, to: reference)
    }

    /// The registry's own failure, with a word about the mirrors that failed before it.
    private static func failure(_ failures: [EngineError], _ reference: ImageReference) -> EngineError {
        guard var last = failures.last else {
            return EngineError(.internal, "registry \(reference.registry) has no endpoint")
        }
        if failures.count > 1 {
            last.message += " (mirrors failed too: \(failures.dropLast().map(\.message).joined(separator: "; ")))"
        }
        last.resource = "image \(reference)"
        return last
    }
}
