import Model
import OCI
import Testing

@Suite struct ImageReferenceTests {
    static let digest = "sha256:" + String(repeating: "0123456789abcdef", count: 4)

    @Test(arguments: [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker.io/library/library/a", "docker.io/library/library/a:latest", "docker.io/library/library/a:latest"),
        ("docker.io/localhost/a", "docker.io/localhost/a:latest", "docker.io/localhost/a:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/x:tag", "localhost:5000/x:tag", "localhost:5000/x:tag"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1"),
        ("ghcr.io/a/b_c__d--e.f:V1.0_x-y", "ghcr.io/a/b_c__d--e.f:V1.0_x-y", "ghcr.io/a/b_c__d--e.f:V1.0_x-y"),
        ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
        ("alpine@\(digest)", "docker.io/library/alpine@\(digest)", "alpine@\(digest)"),
        ("alpine:3@\(digest)", "docker.io/library/alpine:3@\(digest)", "alpine:3@\(digest)"),
        ("a.b:80/c@\(digest)", "a.b:80/c@\(digest)", "a.b:80/c@\(digest)"),
    ])
    func readsAsDockerDoes(text: String, whole: String, familiar: String) throws {
        let reference = try ImageReference(parsing: text)
        #expect(reference.description == whole)
        #expect(reference.familiar == familiar)
        #expect(try ImageReference(parsing: whole) == reference)
        #expect(try ImageReference(parsing: familiar) == reference)
    }

    @Test(arguments: [
        "", " ", "Alpine", "alpine:", "alpine:.x", "alpine:a b", "alpine@", "alpine@sha256:abc", "alpine@md5:\(digest)",
        "a//b", "/a", "a/", "a/../b", "../a", "a/..", "a___b/c", "-a", "a-", "a._b", "localhost:0/a",
        "localhost:99999/a",
        "localhost:x/a", "a\nb", "a\u{0}b", "ａlpine", "https://docker.io/a", "user@host/a", "-oProxy.x/a", "[::1/a",
        "[::g]:1/a", "a.-b/c", String(repeating: "a", count: 64).replacing("a", with: "f"),
        "x/" + String(repeating: "a", count: 300), "a:" + String(repeating: "t", count: 129), "a@\(digest)@\(digest)",
    ])
    func refusesWhatIsNoReference(text: String) {
        let error = #expect(throws: EngineError.self) { try ImageReference(parsing: text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("\n") == false)
    }

    @Test func shortNamesAreCompletedByConfiguration() throws {
        let short = try UnresolvedReference(parsing: "team/app:1")
        #expect(short.registry == nil)
        #expect(try ImageReference(short, registry: "quay.io").description == "quay.io/team/app:1")
        let single = try UnresolvedReference(parsing: "app")
        #expect(try ImageReference(single, registry: "quay.io").description == "quay.io/app:latest")
        #expect(try ImageReference(single, registry: nil).description == "docker.io/library/app:latest")
        #expect(try UnresolvedReference(parsing: "localhost/app").registry == "localhost")
    }

    @Test func aDigestSaysMoreThanATag() throws {
        #expect(try ImageReference(parsing: "a:1@\(Self.digest)").target == Self.digest)
        #expect(try ImageReference(parsing: "a:1").target == "1")
    }
}
