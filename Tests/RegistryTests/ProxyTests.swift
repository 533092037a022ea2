import ContentStore
import Foundation
import Model
import OCI
import Testing

@testable import Registry

@Suite struct ProxyTests {
    let folder = TestFolder()

    @Test func theEnvironmentSaysWhichHostsGoThroughAProxy() throws {
        let settings = ProxySettings(environment: [
            "HTTPS_PROXY": "http://proxy.example:3128", "http_proxy": "plain.example",
            "NO_PROXY": "internal.example,.corp.example, 10.0.0.1,reg.example:5000",
        ])
        #expect(settings.secure == .init(host: "proxy.example", port: 3128))
        #expect(settings.plain == .init(host: "plain.example", port: 80))
        func server(_ text: String) throws -> String? { settings.server(for: try #require(WebLocation(text)))?.host }
        #expect(try server("https://docker.io/") == "proxy.example")
        #expect(try server("http://docker.io/") == "plain.example")
        for direct in [
            "https://internal.example/", "https://a.internal.example/", "https://a.corp.example/", "https://10.0.0.1/",
            "https://reg.example:5000/", "http://localhost:5000/", "http://127.0.0.1/",
        ] {
            #expect(try server(direct) == nil, "\(direct)")
        }
        #expect(try server("https://notinternal.example/") == "proxy.example")
        #expect(
            ProxySettings(environment: ["HTTPS_PROXY": "socks5://x:1", "HTTP_PROXY": "http://u:p@x:1"])
                == ProxySettings())
        #expect(
            ProxySettings(environment: ["HTTPS_PROXY": "x:1", "NO_PROXY": "*"]).server(
                for: try #require(WebLocation("https://a.b/"))) == nil)
    }

    @Test func aRegistryIsReachedThroughTheProxy() async throws {
        let repository = try FakeRepository(layers: [[1]])
        let registry = try await FaultyRegistry.start { repository.answer($0) }
        let proxy = try await ConnectProxy.start(to: registry.port)
        var settings = RegistrySettings.isolated(folder)
        settings.proxies.plain = .init(host: "127.0.0.1", port: proxy.port)
        settings.proxies.secure = settings.proxies.plain
        // An address that leads nowhere (RFC 5737).
        _ = try folder.write("registries.conf", "[[registry]]\nlocation = \"192.0.2.1\"\ninsecure = true\n")
        let store = try DiskContentStore(root: folder.path + "/store")
        let image = try await withTransfer(settings, store: store) { transfer in
            try await transfer.pull(ImageReference(parsing: "192.0.2.1/x:1"))
        }
        #expect(image.layers.map(\.digest) == [ContentDigest(of: [1])])
        #expect(proxy.targets.contains("192.0.2.1:443") && proxy.targets.contains("192.0.2.1:80"))
        try await proxy.stop()
        try await registry.stop()
    }
}
