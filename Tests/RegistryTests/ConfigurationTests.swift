import Foundation
import Model
import OCI
import Testing

@testable import Registry

@Suite struct RegistriesConfigurationTests {
    let folder = TestFolder()

    func load(_ main: String, _ drops: [String: String] = [:]) throws -> RegistriesConfiguration {
        let file = try folder.write("registries.conf", main)
        for (name, text) in drops { _ = try folder.write("registries.conf.d/" + name, text) }
        return try RegistriesConfiguration.load(file: file, folder: folder.path + "/registries.conf.d")
    }

    @Test func withoutFilesThereIsDockerHub() throws {
        let configuration = try RegistriesConfiguration.load(
            file: folder.path + "/none", folder: folder.path + "/none.d")
        #expect(try configuration.candidates(for: "alpine").map(\.description) == ["docker.io/library/alpine:latest"])
        let endpoint = try #require(
            configuration.endpoints(for: ImageReference(parsing: "alpine"), mirrors: true).first)
        #expect(endpoint.authority == "registry-1.docker.io" && endpoint.repository == "library/alpine")
        #expect(!endpoint.insecure)
    }

    @Test func shortNamesFollowListsAndAliases() throws {
        let configuration = try load(
            """
            unqualified-search-registries = ["quay.io", "docker.io"]
            [aliases]
            "fedora" = "registry.fedoraproject.org/fedora"
            "team/app" = "ghcr.io/team/app:stable"
            """,
            ["50-x.conf": "[aliases]\n\"fedora\" = \"\"\n\"ubi\" = \"registry.access.redhat.com/ubi9\"\n"])
        func names(_ text: String) throws -> [String] { try configuration.candidates(for: text).map(\.description) }
        #expect(try names("app:1") == ["quay.io/app:1", "docker.io/library/app:1"])
        #expect(try names("fedora") == ["quay.io/fedora:latest", "docker.io/library/fedora:latest"])
        #expect(try names("ubi:8") == ["registry.access.redhat.com/ubi9:8"])
        #expect(try names("team/app") == ["ghcr.io/team/app:stable"])
        #expect(try names("team/app:2") == ["ghcr.io/team/app:2"])
        #expect(try names("localhost/app") == ["localhost/app:latest"])
    }

    @Test func theLongestPrefixDecides() throws {
        let configuration = try load(
            """
            [[registry]]
            location = "reg.example"
            insecure = true
            [[registry]]
            prefix = "reg.example/team"
            location = "other.example/mirror/team"
            [[registry]]
            prefix = "*.blocked.example"
            blocked = true
            [[registry]]
            prefix = "docker.io"
            location = "docker.io"
            [[registry.mirror]]
            location = "cache.example:5000/hub"
            insecure = true
            [[registry.mirror]]
            location = "digests.example"
            pull-from-mirror = "digest-only"
            """)
        func places(_ text: String, mirrors: Bool = true) throws -> [String] {
            try configuration.endpoints(for: ImageReference(parsing: text), mirrors: mirrors).map {
                "\($0.authority)/\($0.repository)\($0.insecure ? " insecure" : "")"
            }
        }
        #expect(try places("reg.example/a") == ["reg.example/a insecure"])
        #expect(try places("reg.example/team/a") == ["other.example/mirror/team/a"])
        #expect(try places("reg.example/teamwork/a") == ["reg.example/teamwork/a insecure"])
        #expect(
            try places("alpine") == [
                "cache.example:5000/hub/library/alpine insecure", "registry-1.docker.io/library/alpine",
            ])
        let digest = ContentDigest(of: [1])
        #expect(try places("alpine@\(digest)").count == 3)
        #expect(try places("alpine", mirrors: false) == ["registry-1.docker.io/library/alpine"])
        let error = #expect(throws: EngineError.self) { try places("a.blocked.example/x") }
        #expect(error?.code == .permissionDenied)
        #expect(try places("blocked.example/x") == ["blocked.example/x"])
        #expect(try places("127.0.0.1:5000/x") == ["127.0.0.1:5000/x insecure"])
        #expect(try places("127.0.0.1.evil.example/x") == ["127.0.0.1.evil.example/x"])
    }

    @Test func laterFilesReplaceEntries() throws {
        let configuration = try load(
            "[[registry]]\nlocation = \"a.example\"\ninsecure = true\n",
            [
                "90.conf": "unqualified-search-registries = [\"z.example\"]\n", "notes.txt": "not = [toml",
                "10.conf": "unqualified-search-registries = [\"y.example\"]\n[[registry]]\nlocation = \"a.example\"\n",
            ])
        #expect(configuration.searchRegistries == ["z.example"])
        #expect(
            try configuration.endpoints(for: ImageReference(parsing: "a.example/x"), mirrors: true)[0].insecure == false
        )
    }

    @Test(arguments: [
        ("x = [", "line 1"), ("[[registry]]\ninsecure = true\n", "neither prefix nor location"),
        ("[registries.search]\nregistries = [\"a\"]\n", "version 1"),
        ("unqualified-search-registries = 3\n", "wrong type"),
    ])
    func malformedFilesAreNamed(text: String, words: String) {
        let error = #expect(throws: EngineError.self) { try load(text) }
        #expect(error?.message.contains("registries.conf") == true)
        #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
}

@Suite struct CredentialStoreTests {
    let folder = TestFolder()

    func find(_ registry: String, _ repository: String = "library/x", files: [String]) async throws
        -> RegistryCredentials?
    {
        try await CredentialStore(files: files, helperTimeout: .seconds(5)).find(
            registry: registry, repository: repository)
    }

    private func auth(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    @Test func theMostSpecialEntryOfTheFirstFileIsTaken() async throws {
        let first = try folder.write(
            "a.json",
            #"{"auths":{"quay.io":{"auth":"\#(auth("all:1"))"},"quay.io/team":{"auth":"\#(auth("team:2"))"}}}"#)
        let second = try folder.write(
            "b.json",
            #"{"auths":{"https://index.docker.io/v1/":{"auth":"\#(auth("hub:p:q"))"},"https://reg.example:5000/v2/":{"username":"u","password":"p"},"quay.io":{"auth":"\#(auth("second:3"))"},"empty.example":{}}}"#
        )
        let files = [folder.path + "/none.json", first, second]
        #expect(try await find("quay.io", "team/app", files: files)?.username == "team")
        #expect(try await find("quay.io", "teamwork/app", files: files)?.username == "all")
        let hub = try await find("docker.io", files: files)
        #expect(hub?.username == "hub" && hub?.password == "p:q")
        #expect(try await find("reg.example:5000", files: files)?.password == "p")
        #expect(try await find("reg.example", files: files) == nil)
        #expect(try await find("empty.example", files: files) == nil)
    }

    @Test(arguments: ["{", #"{"auths":[]}"#, #"{"auths":{"a.example":{"auth":"secret!"}}}"#])
    func malformedFilesAreNamedWithoutTheirContent(text: String) async throws {
        let path = try folder.write("a.json", text)
        let error = await #expect(throws: EngineError.self) { try await find("a.example", files: [path]) }
        #expect(error?.message.contains(path) == true)
        #expect(error?.description.contains("secret") == false)
    }

    @Test(arguments: ["../../bin/sh", "a b", "", "x;y", "-x"])
    func helpersAreNamesNotCommands(name: String) async throws {
        // "-x" is a name: docker-credential--x, which does not exist.
        await #expect(throws: EngineError.self) {
            try await CredentialHelper.get(name, registry: "a.example", timeout: .seconds(1))
        }
    }

    @Test func helpersAreAsked() async throws {
        // A helper is found through PATH, which is the process's own; so it goes where PATH leads.
        let name = "isle-test-" + UUID().uuidString.lowercased()
        let program = "/usr/local/bin/docker-credential-" + name
        guard FileManager.default.isWritableFile(atPath: "/usr/local/bin") else { return }
        let script = """
            #!/bin/sh
            read -r server
            case "$1 $server" in
            "get token.example") echo '{"ServerURL":"x","Username":"<token>","Secret":"idt"}';;
            "get https://index.docker.io/v1/") echo '{"Username":"hub","Secret":"pw"}';;
            "get slow.example") exec sleep 60;;
            "get odd.example") echo "secret words";;
            *) echo "credentials not found in native keychain"; exit 1;;
            esac
            """
        try Data(script.utf8).write(to: URL(fileURLWithPath: program))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        defer { try? FileManager.default.removeItem(atPath: program) }
        let path = try folder.write("a.json", #"{"credHelpers":{"token.example":"\#(name)"},"credsStore":"\#(name)"}"#)
        #expect(try await find("token.example", files: [path])?.identityToken == "idt")
        #expect(try await find("docker.io", files: [path])?.password == "pw")
        #expect(try await find("nobody.example", files: [path]) == nil)
        let odd = await #expect(throws: EngineError.self) { try await find("odd.example", files: [path]) }
        #expect(odd?.description.contains("secret words") == false)
        let slow = CredentialStore(files: [path], helperTimeout: .milliseconds(200))
        let error = await #expect(throws: EngineError.self) {
            try await slow.find(registry: "slow.example", repository: "x")
        }
        #expect(error?.code == .timeout)
    }

    @Test func theMachinesPlacesAreTheOtherToolsPlaces() {
        let files = RegistrySettings.system(environment: [
            "HOME": "/home/kim", "REGISTRY_AUTH_FILE": "/run/secret.json", "DOCKER_CONFIG": "/srv/docker",
        ]).authFiles
        #expect(
            files == [
                "/run/secret.json", "/run/containers/0/auth.json", "/home/kim/.config/containers/auth.json",
                "/srv/docker/config.json",
            ])
        #expect(RegistrySettings.system(environment: [:]).authFiles.last == "/root/.docker/config.json")
    }
}

@Suite struct WebLocationTests {
    @Test(arguments: [
        ("https://A.b/x?y#z", "https://a.b/x?y"), ("http://a:80", "http://a:80/"),
        ("https://[::1]:5/a", "https://[::1]:5/a"),
        ("https://a?q", "https://a/?q"),
    ])
    func reads(text: String, whole: String) { #expect(WebLocation(text)?.description == whole) }

    @Test(arguments: [
        "", "a", "/x", "https://", "https:///x", "https://a b/", "https://a@b/", "https://a:b:c/", "ws://a/",
        "https://a\r\nX: y/",
    ])
    func refuses(text: String) { #expect(WebLocation(text) == nil) }

    @Test func originsAreComparedWithTheirPorts() throws {
        let base = try #require(WebLocation("https://a.b/v2/"))
        #expect(base.isSameOrigin(as: try #require(WebLocation("https://A.B:443/x"))))
        #expect(!base.isSameOrigin(as: try #require(WebLocation("http://a.b/v2/"))))
        #expect(!base.isSameOrigin(as: try #require(WebLocation("https://a.b:444/v2/"))))
        #expect(!base.isSameOrigin(as: try #require(WebLocation("https://a.b.c/v2/"))))
    }

    @Test func retriesDoubleUpToTheirBound() {
        let policy = RetryPolicy(attempts: 4, firstPause: .seconds(1), longestPause: .seconds(3))
        #expect(policy.decide(after: 1, retryAfter: nil) == .again(.seconds(1)))
        #expect(policy.decide(after: 2, retryAfter: nil) == .again(.seconds(2)))
        #expect(policy.decide(after: 3, retryAfter: nil) == .again(.seconds(3)))
        #expect(policy.decide(after: 4, retryAfter: nil) == .giveUp)
        #expect(policy.decide(after: 1, retryAfter: .seconds(30)) == .again(.seconds(30)))
        #expect(policy.decide(after: 1, retryAfter: .seconds(300)) == .giveUp)
    }
}
