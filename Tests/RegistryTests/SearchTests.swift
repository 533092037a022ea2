import Model
import NIOHTTP1
import Registry
import Testing

@Suite struct SearchTests {
    private let folder = TestFolder()

    private func search(
        _ term: String, limit: Int = 25, handler: @escaping FaultyRegistry.Handler
    ) async throws -> [FoundRepository] {
        let server = try await FaultyRegistry.start(handler)
        let client = RegistryClient(settings: .isolated(folder))
        let result: Result<[FoundRepository], any Error>
        do { result = .success(try await client.search(server.authority, term: term, limit: limit)) } catch {
            result = .failure(error)
        }
        try await client.shutdown()
        try await server.stop()
        return try result.get()
    }

    @Test func theIndexIsSearchedWhereThereIsOne() async throws {
        let found = try await search("a b&c", limit: 5) { request in
            guard request.uri == "/v1/search?n=5&q=a%20b%26c" else { return .init(status: .notFound) }
            let first = #"{"name":"a","description":"d","is_official":true,"star_count":7}"#
            return .init(body: Array(#"{"results":[\#(first),{"name":"b","description":null}]}"#.utf8))
        }
        #expect(
            found == [
                FoundRepository(name: "a", description: "d", isOfficial: true, starCount: 7),
                FoundRepository(name: "b"),
            ])
    }

    @Test func elseTheCatalogueIsReadPageByPage() async throws {
        let handler: FaultyRegistry.Handler = { request in
            switch request.uri {
            case "/v2/_catalog?n=1000":
                .init(
                    headers: ["Link": "</v2/_catalog?last=x&n=2>; rel=\"next\""],
                    body: Array(#"{"repositories":["team/box","other"]}"#.utf8))
            case "/v2/_catalog?last=x&n=2": .init(body: Array(#"{"repositories":["boxes","z"]}"#.utf8))
            default: .init(status: .notFound)
            }
        }
        #expect(try await search("box", handler: handler).map(\.name) == ["team/box", "boxes"])
        #expect(try await search("box", limit: 1, handler: handler).map(\.name) == ["team/box"])
    }

    @Test func aRegistryWithoutEitherSaysSo() async throws {
        let error = await #expect(throws: EngineError.self) {
            try await search("box") { _ in .init(status: .notFound) }
        }
        #expect(error?.code == .unsupported)
    }
}
