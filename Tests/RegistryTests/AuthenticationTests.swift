import ContentStore
import Foundation
import Model
import NIOHTTP1
import OCI
import Testing

@testable import Registry

/// Who is shown credentials and tokens, and who is not.
@Suite struct AuthenticationTests {
    let folder = TestFolder()
    let credentials = RegistryCredentials(username: "kim", password: "s3cret")

    func withClient<T>(_ body: (ImageTransfer) async throws -> T) async throws -> T {
        try await withTransfer(
            RegistrySettings.isolated(folder), store: DiskContentStore(root: folder.path + "/store"), body)
    }

    @Test func challengesAreRead() {
        #expect(
            Challenge.parse([#"Bearer realm="https://a.b/token",service="s \"x\"",scope="repository:a:pull,push""#])
                == [
                    Challenge(
                        scheme: "bearer",
                        parameters: [
                            "realm": "https://a.b/token", "service": #"s "x""#, "scope": "repository:a:pull,push",
                        ])
                ])
        #expect(Challenge.parse(["Basic realm=x, Bearer realm=\"y\""]).map(\.scheme) == ["basic", "bearer"])
        #expect(Challenge.parse(["Negotiate", "Basic"]).map(\.scheme) == ["negotiate", "basic"])
        #expect(Challenge.parse(["", "=", #"Bearer realm=""#, ",,,"]).count <= 1)
    }

    private func exchange(registry: String, secure: Bool) throws -> TokenExchange {
        TokenExchange(
            transport: WebTransport(settings: RegistrySettings.isolated(folder)),
            endpoint: RegistryEndpoint(registry: registry, repository: "x", insecure: !secure),
            origin: WebLocation(isSecure: secure, authority: registry, target: "/v2/"), credentials: credentials,
            scopes: [])
    }

    @Test func theRealmMustBeFitForSecrets() async throws {
        let cases: [(registry: String, secure: Bool, realm: String, taken: Bool)] = [
            ("registry.example", true, "https://auth.example/token", true),
            ("registry.example", true, "https://registry.example:444/token", true),
            ("registry.example", true, "http://auth.example/token", false),
            ("registry.example", true, "http://registry.example/token", false),
            ("registry.example", false, "http://registry.example:81/token", true),
            ("registry.example", false, "http://auth.example/token", false),
            ("registry.example", true, "https://127.0.0.1/token", false),
            ("registry.example", true, "https://localhost/token", false),
            ("registry.example", true, "https://169.254.169.254/latest/meta-data", false),
            ("registry.example", true, "https://[::1]/token", false),
            ("registry.example", true, "https://user:pw@auth.example/token", false),
            ("registry.example", true, "file:///etc/passwd", false), ("registry.example", true, "", false),
            ("registry.example", true, "https://auth.example\\@evil.example/", false),
            ("registry.example", true, "https://auth.example/a b", false),
            ("localhost:5000", false, "http://localhost:5001/token", true),
            ("localhost:5000", false, "http://127.0.0.2/token", false),
        ]
        for item in cases {
            let exchange = try exchange(registry: item.registry, secure: item.secure)
            if item.taken {
                #expect(throws: Never.self, "\(item)") { try exchange.checkedRealm(item.realm) }
            } else {
                let error = #expect(throws: EngineError.self, "\(item)") { try exchange.checkedRealm(item.realm) }
                #expect(error.map { !$0.description.contains("s3cret") } == true)
            }
            try await exchange.transport.shutdown()
        }
    }

    @Test func aTokenIsFetchedUsedKeptAndRenewed() async throws {
        let repository = try FakeRepository(layers: [[1], [2], [3]])
        let issued = Counter()
        let registry = try await FaultyRegistry.start { request in
            if request.path == "/token" {
                return .init(body: Array(#"{"token":"t\#(issued.next())","expires_in":300}"#.utf8))
            }
            let host = request.headers.first(name: "Host") ?? ""
            // The first token stops working before its time. Blobs are asked for together, and one new token does.
            let accepted = request.uri.contains("/blobs/") ? "Bearer t2" : "Bearer t1"
            guard request.path == "/v2/" || request.headers.first(name: "Authorization") == accepted else {
                return .init(
                    status: .unauthorized,
                    headers: ["WWW-Authenticate": "Bearer realm=\"http://\(host)/token\",service=\"reg\""])
            }
            return repository.answer(request)
        }
        _ = try await withClient { try await $0.pull(registry.reference(), credentials: credentials) }
        let requests = registry.received(.GET, "/token")
        #expect(requests.count == 2)
        #expect(
            requests.allSatisfy { $0.uri.contains("scope=repository%3Ax%3Apull") && $0.uri.contains("service=reg") })
        let basic = "Basic " + Data("kim:s3cret".utf8).base64EncodedString()
        #expect(requests.allSatisfy { $0.headers.first(name: "Authorization") == basic })
        // The password went to the token server only.
        #expect(registry.received(nil, "/v2/").allSatisfy { $0.headers.first(name: "Authorization") != basic })
        try await registry.stop()
    }

    @Test func anIdentityTokenIsExchangedByPost() async throws {
        let repository = try FakeRepository(layers: [[1]])
        let registry = try await FaultyRegistry.start { request in
            if request.path == "/token" {
                let form = String(decoding: request.body, as: UTF8.self)
                guard request.method == .POST, form.contains("refresh_token=r%2Fx"),
                    form.contains("grant_type=refresh_token")
                else { return .init(status: .badRequest) }
                return .init(body: Array(#"{"access_token":"ok"}"#.utf8))
            }
            let host = request.headers.first(name: "Host") ?? ""
            guard request.headers.first(name: "Authorization") == "Bearer ok" else {
                return .init(
                    status: .unauthorized, headers: ["WWW-Authenticate": "Bearer realm=\"http://\(host)/token\""])
            }
            return repository.answer(request)
        }
        let identity = RegistryCredentials(username: "", password: "", identityToken: "r/x")
        _ = try await withClient { try await $0.pull(registry.reference(), credentials: identity) }
        try await registry.stop()
    }

    @Test func aRealmElsewhereIsNotAsked() async throws {
        let thief = try await FaultyRegistry.start { _ in .init(body: Array(#"{"token":"x"}"#.utf8)) }
        let port = thief.port
        let registry = try await FaultyRegistry.start { request in
            .init(
                status: .unauthorized,
                headers: ["WWW-Authenticate": "Bearer realm=\"http://localhost:\(port)/token\",service=\"x\""])
        }
        // 127.0.0.1 and localhost are different hosts as far as secrets go.
        let error = await #expect(throws: EngineError.self) {
            try await withClient { try await $0.pull(registry.reference(), credentials: credentials) }
        }
        #expect(error?.code == .permissionDenied)
        #expect(thief.received().isEmpty)
        try await registry.stop()
        try await thief.stop()
    }

    @Test func redirectsDoNotCarryTheAuthorization() async throws {
        let repository = try FakeRepository(layers: [SampleImage.noise(10_000)])
        let content = try await FaultyRegistry.start { repository.answer($0) }
        let target = content.authority
        let basic = "Basic " + Data("kim:s3cret".utf8).base64EncodedString()
        let registry = try await FaultyRegistry.start { request in
            guard request.headers.first(name: "Authorization") == basic else {
                return .init(status: .unauthorized, headers: ["WWW-Authenticate": "Basic realm=\"x\""])
            }
            if request.uri.contains("/blobs/") {
                return .init(status: .temporaryRedirect, headers: ["Location": "http://\(target)\(request.uri)?sig=1"])
            }
            return repository.answer(request)
        }
        _ = try await withClient { try await $0.pull(registry.reference(), credentials: credentials) }
        #expect(!content.received().isEmpty)
        #expect(content.received().allSatisfy { !$0.headers.contains(name: "Authorization") })
        try await registry.stop()
        try await content.stop()
    }

    @Test func redirectsEnd() async throws {
        let registry = try await FaultyRegistry.start { request in
            request.path == "/v2/" ? .init() : .init(status: .temporaryRedirect, headers: ["Location": request.uri])
        }
        let error = await #expect(throws: EngineError.self) {
            try await withClient { try await $0.pull(registry.reference()) }
        }
        #expect(error?.message.contains("redirects") == true)
        #expect(registry.received().count < 20)
        try await registry.stop()
    }

    @Test func redirectsDoNotLeaveTLSNorEnterTheHost() async throws {
        let session = RepositorySession(
            endpoint: RegistryEndpoint(registry: "registry.example", repository: "x", insecure: false),
            credentials: nil, shared: RepositorySession.SharedConnections(settings: RegistrySettings.isolated(folder)))
        let base = WebLocation(isSecure: true, authority: "registry.example", target: "/v2/")
        for good in ["/v2/x/blobs/y", "https://cdn.example/y?sig=1", "y", "//cdn.example/y"] {
            #expect(throws: Never.self, "\(good)") { try session.checkedRedirect(good, from: base, base: base) }
        }
        for bad in [
            "http://registry.example/v2/", "http://cdn.example/", "https://127.0.0.1/", "https://localhost:2375/",
            "https://169.254.169.254/", "ftp://x/", "https://u@cdn.example/", "https://0.0.0.0/", "https:///x",
            "https://a.example:x/", "",
        ] {
            #expect(throws: EngineError.self, "\(bad)") { try session.checkedRedirect(bad, from: base, base: base) }
        }
        try await session.shared.transport.shutdown()
    }

    @Test func credentialsAreNotPrinted() {
        let text =
            "\(credentials) \(String(reflecting: credentials)) \(String(describing: Mirror(reflecting: credentials).children.map(\.value)))"
        #expect(!text.contains("s3cret"))
    }
}
