import FoundationEssentials
import Model
import NIOHTTP1
import OCI

/// A repository that a search found.
public struct FoundRepository: Decodable, Sendable, Hashable {
    public var name: String
    public var description: String
    public var isOfficial: Bool
    public var starCount: Int

    enum CodingKeys: String, CodingKey {
        case name, description
        case isOfficial = "is_official"
        case starCount = "star_count"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decode(String.self, forKey: .name)
        description = try values.decodeIfPresent(String.self, forKey: .description) ?? ""
        isOfficial = try values.decodeIfPresent(Bool.self, forKey: .isOfficial) ?? false
        starCount = try values.decodeIfPresent(Int.self, forKey: .starCount) ?? 0
    }

    public init(name: String, description: String = "", isOfficial: Bool = false, starCount: Int = 0) {
        self.name = name
        self.description = description
        self.isOfficial = isOfficial
        self.starCount = starCount
    }
}

extension RegistryClient {
    /// Repositories of a registry whose names hold `term`, at most `limit` of them.
    ///
    /// Docker Hub is searched by its index's own search (`/v1/search`, as `docker search` does), and so is any registry
    /// that has it; the others by their catalogue, which distribution-spec keeps for that (`/v2/_catalog`).
    /// - Parameter registry: `docker.io`, `host:port`.
    /// - Throws: `unsupported` if it has neither.
    public func search(
        _ registry: String, term: String, limit: Int, credentials: RegistryCredentials? = nil
    ) async throws -> [FoundRepository] {
        // Configuration is by registry; nothing of a repository is asked for.
        let reference = try ImageReference(registry: registry, repository: "library/search")
        let session = try await session(for: reference, credentials: credentials)
        let base = try await session.base()
        let index = WebLocation(
            isSecure: base.isSecure, authority: registry == "docker.io" ? "index.docker.io" : base.authority,
            target: "/v1/search?n=\(limit)&q=" + Self.escaped(term))
        let answer = try await session.perform(RegistryRequest(.GET, .location(index), scopes: []))
        guard answer.status == 200 else {
            if registry == "docker.io" { throw await answer.failure("the search for \(Names.quoted(term))") }
            await answer.discard()
            return try await catalogue(session, registry, base, term: term, limit: limit)
        }
        struct Page: Decodable { var results: [FoundRepository]? }
        let bytes = try await answer.bytes(limit: 4 << 20)
        guard let page = try? JSONDecoder().decode(Page.self, from: Data(bytes)) else {
            throw EngineError(.unavailable, "\(index.authority) gave a list of repositories that is not JSON")
        }
        return Array((page.results ?? []).prefix(limit))
    }

    private func catalogue(
        _ session: RepositorySession, _ registry: String, _ base: WebLocation, term: String, limit: Int
    ) async throws -> [FoundRepository] {
        struct Page: Decodable { var repositories: [String]? }
        var location = WebLocation(isSecure: base.isSecure, authority: base.authority, target: "/v2/_catalog?n=1000")
        var found: [FoundRepository] = []
        for _ in 0..<200 where found.count < limit {
            let answer = try await session.perform(
                RegistryRequest(.GET, .location(location), scopes: ["registry:catalog:*"]))
            if answer.status == 404 || answer.status == 405 {
                await answer.discard()
                throw EngineError(
                    .unsupported, "registry \(registry) has no search",
                    hint: "look on the registry's web page, then docker pull")
            }
            guard answer.status == 200 else { throw await answer.failure("the search for \(Names.quoted(term))") }
            let bytes = try await answer.bytes(limit: 4 << 20)
            guard let page = try? JSONDecoder().decode(Page.self, from: Data(bytes)) else {
                throw EngineError(.unavailable, "\(base.authority) gave a list of repositories that is not JSON")
            }
            found += (page.repositories ?? []).filter { $0.contains(term) }.map { FoundRepository(name: $0) }
            guard let link = answer.header("Link"), let next = Self.nextPage(link, answer.location) else { break }
            location = next
        }
        return Array(found.prefix(limit))
    }

    /// Every byte but RFC 3986's unreserved ones as `%XX`.
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
