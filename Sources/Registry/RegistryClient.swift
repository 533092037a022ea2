import FoundationEssentials
import Model
import NIOHTTP1
public import OCI

/// A client of registries that speak the OCI distribution protocol (distribution-spec v1.1).
///
/// Keeps connections and tokens between calls; `shutdown` must be called before it goes. Configuration and credentials
/// files are read anew for each call, so that changes need no restart.
public final class RegistryClient: Sendable {
    let shared: RepositorySession.SharedConnections

    public init(settings: RegistrySettings) {
        shared = RepositorySession.SharedConnections(settings: settings)
    }

    /// Closes all connections. Calls that run now fail.
    public func shutdown() async throws { try await shared.transport.shutdown() }

    /// The references that `name`, as a person types it, can mean on this machine, in the order in which they are tried:
    /// one for a name with a registry or an alias, else one for each registry that short names are looked for in.
    public func candidates(for name: String) throws -> [ImageReference] { try configuration().candidates(for: name) }

    /// Checks that a registry answers, and takes the credentials if there are any.
    public func ping(_ registry: String, credentials: RegistryCredentials? = nil) async throws {
        // Any repository will do: configuration is by registry, and nothing below it is asked for.
        let reference = try ImageReference(registry: registry, repository: "library/ping")
        let session = try await session(for: reference, credentials: credentials)
        let answer = try await session.perform(RegistryRequest(.GET, .root, scopes: []))
        guard answer.status == 200 else { throw await answer.failure("the log-in") }
        await answer.discard()
    }

    /// Every tag of the reference's repository, sorted.
    public func tags(_ reference: ImageReference, credentials: RegistryCredentials? = nil) async throws -> [String] {
        struct Page: Decodable { var tags: [String]? }
        let session = try await session(for: reference, credentials: credentials)
        var target = RegistryRequest.Target.repository("tags/list?n=1000")
        var tags: [String] = []
        for _ in 0..<200 {
            let answer = try await session.perform(RegistryRequest(.GET, target, scopes: [session.scope("pull")]))
            guard answer.status == 200 else {
                throw await answer.failure("the request for the tags of \(reference.name)")
            }
            let bytes = try await answer.bytes(limit: 4 << 20)
            guard let page = try? JSONDecoder().decode(Page.self, from: Data(bytes)) else {
                throw EngineError(.unavailable, "\(answer.location.authority) gave a list of tags that is not JSON")
            }
            tags += page.tags ?? []
            guard let link = answer.header("Link"), let next = Self.nextPage(link, answer.location) else {
                return tags.sorted()
            }
            target = .location(next)
        }
        return tags.sorted()
    }

    /// Digest, media type and size of what the reference names now. `notFound` if it names nothing.
    public func resolve(_ reference: ImageReference, credentials: RegistryCredentials? = nil) async throws -> Descriptor
    {
        let session = try await session(for: reference, credentials: credentials)
        let answer = try await session.perform(
            RegistryRequest(
                .GET, .repository("manifests/\(reference.target)"),
                headers: ["Accept": MediaType.manifests.joined(separator: ", ")], scopes: [session.scope("pull")]))
        guard answer.status == 200 else { throw await answer.failure("the request for \(reference.familiar)") }
        let bytes = try await answer.bytes(limit: ManifestDocument.Bounds.documentBytes)
        let document = try ManifestDocument(
            parsing: bytes, mediaType: answer.header("Content-Type"), what: "the manifest of \(reference.familiar)")
        let descriptor = Descriptor(mediaType: document.mediaType, bytes: bytes)
        if let expected = reference.digest, expected != descriptor.digest {
            throw EngineError(
                .unavailable,
                "registry \(reference.registry) delivers wrong content: manifest \(expected) is \(descriptor.digest)")
        }
        return descriptor
    }

    /// Removes what the reference names from the registry; for a tag that is the manifest with all its tags, as the
    /// protocol has it. Most registries allow it only when their configuration says so.
    public func delete(_ reference: ImageReference, credentials: RegistryCredentials? = nil) async throws {
        let digest: ContentDigest
        if let known = reference.digest {
            digest = known
        } else {
            digest = try await resolve(reference, credentials: credentials).digest
        }
        let session = try await session(for: reference, credentials: credentials)
        let answer = try await session.perform(
            RegistryRequest(.DELETE, .repository("manifests/\(digest)"), scopes: [session.scope("pull,push,delete")]))
        guard answer.status == 202 || answer.status == 200 else {
            throw await answer.failure("the removal of \(reference.familiar)")
        }
        await answer.discard()
    }

    func configuration() throws -> RegistriesConfiguration {
        try RegistriesConfiguration.load(
            file: shared.settings.registriesFile, folder: shared.settings.registriesFolder)
    }

    /// The session with the registry itself.
    func session(
        for reference: ImageReference, credentials: RegistryCredentials?
    ) async throws -> RepositorySession {
        guard let last = try await sessions(for: reference, credentials: credentials, mirrors: false).last else {
            throw EngineError(.internal, "registry \(reference.registry) has no endpoint")
        }
        return last
    }

    /// Sessions with every place that the repository is asked for at. Given credentials are for the registry itself, not
    /// for its mirrors.
    func sessions(
        for reference: ImageReference, credentials: RegistryCredentials?, mirrors: Bool
    ) async throws -> [RepositorySession] {
        let store = CredentialStore(
            files: shared.settings.authFiles, helperTimeout: shared.settings.helperTimeout)
        let endpoints = try configuration().endpoints(for: reference, mirrors: mirrors)
        var sessions: [RepositorySession] = []
        for (index, endpoint) in endpoints.enumerated() {
            var found = index == endpoints.count - 1 ? credentials : nil
            if found == nil {
                found = try await store.find(registry: endpoint.registry, repository: endpoint.repository)
            }
            sessions.append(RepositorySession(endpoint: endpoint, credentials: found, shared: shared))
        }
        return sessions
    }

    /// The address in `Link: </v2/…>; rel="next"`, if it leads to the same registry.
    static func nextPage(_ link: String, _ location: WebLocation) -> WebLocation? {
        guard link.hasPrefix("<"), let end = link.firstIndex(of: ">"), link[end...].contains("next"),
            let next = location.resolving(String(link[link.index(after: link.startIndex)..<end])),
            next.isSameOrigin(as: location)
        else { return nil }
        return next
    }
}
