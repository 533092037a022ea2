import ContentStore
import Foundation
import LinuxHost
import Model
import OCI
import Registry
import Synchronization
import Testing

/// Against Debian's docker-registry on loopback, with skopeo as the other client.
@Suite(.serialized, .enabled(if: RealRegistry.program != nil, "docker-registry is not installed"))
struct RealRegistryTests {
    let folder = TestFolder()

    func store(_ name: String) throws -> DiskContentStore { try DiskContentStore(root: folder.path + "/" + name) }

    func withRegistry<T>(
        password: Bool = false, tls: Bool = false, _ body: (RealRegistry) async throws -> T
    ) async throws -> T {
        let registry = try await RealRegistry.start(password: password, tls: tls)
        do {
            let result = try await body(registry)
            try await registry.stop()
            return result
        } catch {
            try? await registry.stop()
            throw error
        }
    }

    @Test func whatIsPushedIsPulledByteForByte() async throws {
        try await withRegistry { registry in
            let source = try store("a")
            let image = try await SampleImage.make(
                in: source,
                layers: [
                    SampleImage.noise(3_000_000), SampleImage.noise(10, seed: 2), [],
                    SampleImage.noise(700_000, seed: 3),
                ])
            let target = try registry.reference("team/app:1.0")
            let pushed = Mutex<TransferProgress?>(nil)
            try await withTransfer(registry.settings { $0.uploadChunk = 1 << 20 }, store: source) { transfer in
                try await transfer.push(image.manifest.digest, to: target) { report in
                    pushed.withLock { $0 = report }
                }
                #expect(try await transfer.client.tags(target) == ["1.0"])
                #expect(try await transfer.client.resolve(target).digest == image.manifest.digest)
            }
            let last = try #require(pushed.withLock { $0 })
            #expect(last.allDone == last.allTotal && last.blobsDone == last.blobsTotal)
            let destination = try store("b")
            let pulled = try await withTransfer(registry.settings(), store: destination) { transfer in
                try await transfer.pull(target)
            }
            #expect(pulled.manifest == image.manifest.digest)
            #expect(pulled.layers.map(\.digest) == image.layers.map(\.digest))
            for blob in image.layers + [image.config, image.manifest] {
                #expect(try await destination.read(blob.digest) == source.read(blob.digest))
            }
            #expect(try await destination.image(pulled.target) == pulled)
        }
    }

    @Test(.enabled(if: RealRegistry.hasSkopeo, "skopeo is not installed"))
    func skopeoReadsWhatWePushAndWePullWhatSkopeoPushes() async throws {
        try await withRegistry { registry in
            let source = try store("a")
            // skopeo looks into layers, so this one is a real tar.
            _ = try folder.write("root/hello", "hello")
            let tar = folder.path + "/layer.tar"
            try await ProcessRunner.check("tar", ["-C", folder.path + "/root", "-cf", tar, "."])
            let image = try await SampleImage.make(
                in: source, layers: [Array(Data(contentsOf: URL(fileURLWithPath: tar)))])
            let reference = try registry.reference("x:1")
            try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.push(image.manifest.digest, to: reference)
            }
            let copy = folder.path + "/layout"
            try await ProcessRunner.check(
                "skopeo", ["copy", "--src-tls-verify=false", "docker://\(reference)", "oci:\(copy):x"])
            // A Docker manifest with compressed layers, made by skopeo.
            try await ProcessRunner.check(
                "skopeo",
                [
                    "copy", "--format", "v2s2", "--dest-compress-format", "gzip", "--dest-tls-verify=false",
                    "oci:\(copy):x", "docker://\(registry.authority)/docker:1",
                ])
            let inspected = try await ProcessRunner.check(
                "skopeo", ["inspect", "--tls-verify=false", "--raw", "docker://\(registry.authority)/docker:1"])
            let pulled = try await withTransfer(registry.settings(), store: store("b")) { transfer in
                try await transfer.pull(registry.reference("docker:1"))
            }
            #expect(pulled.manifest == ContentDigest(of: inspected.output))
            #expect(pulled.mediaType == MediaType.dockerManifest)
            #expect(pulled.layers.map(\.diffID) == [image.layers[0].digest])
        }
    }

    @Test func anIndexIsResolvedToTheHostsPlatform() async throws {
        try await withRegistry { registry in
            let source = try store("a")
            let other = Platform(architecture: "s390x")
            var mine = try await SampleImage.make(in: source, layers: [[1]]).manifest
            var foreign = try await SampleImage.make(in: source, layers: [[2]], platform: other).manifest
            mine.platform = .host
            foreign.platform = other
            let index = try await source.add(
                CanonicalJSON.bytes(ImageIndex(manifests: [foreign, mine])), mediaType: MediaType.index)
            let reference = try registry.reference("multi:1")
            try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.push(index.digest, to: reference)
            }
            let destination = try store("b")
            try await withTransfer(registry.settings(), store: destination) { transfer in
                let pulled = try await transfer.pull(reference)
                #expect(pulled.manifest == mine.digest && pulled.target == index.digest)
                #expect(try await !destination.has(foreign.digest))
                var byDigest = reference
                byDigest.digest = index.digest
                #expect(try await transfer.pull(byDigest, platform: other).manifest == foreign.digest)
                let error = await #expect(throws: EngineError.self) {
                    try await transfer.pull(reference, platform: Platform(architecture: "mips"))
                }
                #expect(error?.code == .unsupported)
                // Half an index cannot be pushed as a whole.
                try await destination.remove(mine.digest)
                await #expect(throws: EngineError.self) {
                    try await transfer.push(index.digest, to: registry.reference("half:1"))
                }
            }
        }
    }

    @Test func passwordsAreAskedForAndTaken() async throws {
        try await withRegistry(password: true) { registry in
            let source = try store("a")
            let image = try await SampleImage.make(in: source, layers: [[1]])
            let reference = try registry.reference("secret:1")
            try await withTransfer(registry.settings(), store: source) { transfer in
                let nobody = await #expect(throws: EngineError.self) {
                    try await transfer.client.ping(registry.authority)
                }
                #expect(nobody?.code == .permissionDenied)
                let wrong = RegistryCredentials(username: RealRegistry.user, password: "guess-guess")
                let error = await #expect(throws: EngineError.self) {
                    try await transfer.push(image.manifest.digest, to: reference, credentials: wrong)
                }
                #expect(error?.code == .permissionDenied)
                #expect("\(String(describing: error))".contains("guess-guess") == false)
                try await transfer.client.ping(registry.authority, credentials: registry.credentials)
                try await transfer.push(image.manifest.digest, to: reference, credentials: registry.credentials)
                // From a file, as skopeo login leaves it.
                let auth = Data("\(RealRegistry.user):\(RealRegistry.password)".utf8).base64EncodedString()
                _ = try registry.folder.write("auth.json", #"{"auths":{"\#(registry.authority)":{"auth":"\#(auth)"}}}"#)
                #expect(try await transfer.client.tags(reference) == ["1"])
            }
        }
    }

    @Test func certificatesAreVerifiedAgainstTheRootLaidDown() async throws {
        try await withRegistry(tls: true) { registry in
            let source = try store("a")
            let image = try await SampleImage.make(in: source, layers: [[1]])
            let reference = try registry.reference("x:1")
            // Loopback needs no verification, as with Docker.
            try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.push(image.manifest.digest, to: reference)
            }
            let root = try String(contentsOfFile: registry.folder.path + "/ca.crt", encoding: .utf8)
            _ = try registry.folder.write("certs.d/\(registry.authority)/ca.crt", root)
            let tags = try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.client.tags(reference)
            }
            #expect(tags == ["1"])
            // With another root laid down, the certificate is not good any more.
            let stranger = try await RealRegistry.start(tls: true)
            let other = try String(contentsOfFile: stranger.folder.path + "/ca.crt", encoding: .utf8)
            try await stranger.stop()
            _ = try registry.folder.write("certs.d/\(registry.authority)/ca.crt", other)
            try await withTransfer(registry.settings(), store: source) { transfer in
                let error = await #expect(throws: EngineError.self) { try await transfer.client.tags(reference) }
                #expect(error?.message.contains("TLS") == true)
                #expect(error?.hint?.contains("certs.d") == true)
            }
        }
    }

    @Test func blobsAreMountedFromAnotherRepository() async throws {
        try await withRegistry { registry in
            let source = try store("a")
            let image = try await SampleImage.make(in: source, layers: [SampleImage.noise(100_000)])
            let first = try registry.reference("one:1")
            let second = try registry.reference("two:1")
            let states = Mutex<[ContentDigest: TransferProgress.State]>([:])
            try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.push(image.manifest.digest, to: first)
                try await transfer.push(image.manifest.digest, to: second, mountFrom: [first]) { report in
                    states.withLock { $0[report.blob] = report.state }
                }
                #expect(try await transfer.client.tags(second) == ["1"])
            }
            #expect(states.withLock { $0.values.allSatisfy { $0 == .exists } })
        }
    }

    @Test func imagesAreRemovedAndMissingOnesNamed() async throws {
        try await withRegistry { registry in
            let source = try store("a")
            let image = try await SampleImage.make(in: source, layers: [[1]])
            let reference = try registry.reference("gone:1")
            try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.push(image.manifest.digest, to: reference)
                try await transfer.client.delete(reference)
                let error = await #expect(throws: EngineError.self) { try await transfer.pull(reference) }
                #expect(error?.code == .notFound)
                #expect(error?.message.contains("gone:1") == true)
            }
        }
    }

    @Test func mirrorsAreTriedFirstAndTheRegistryItselfLast() async throws {
        try await withRegistry { registry in
            let source = try store("a")
            let image = try await SampleImage.make(in: source, layers: [[1]])
            try await withTransfer(registry.settings(), store: source) { transfer in
                try await transfer.push(image.manifest.digest, to: registry.reference("mirror/library/x:1"))
            }
            _ = try registry.folder.write(
                "registries.conf",
                """
                [[registry]]
                prefix = "nowhere.invalid"
                location = "\(registry.authority)/missing"
                [[registry.mirror]]
                location = "localhost:1/dead"
                [[registry.mirror]]
                location = "\(registry.authority)/mirror"
                """)
            try await withTransfer(registry.settings(), store: store("b")) { transfer in
                let pulled = try await transfer.pull(named: "nowhere.invalid/library/x:1")
                #expect(pulled.image.manifest == image.manifest.digest)
                let error = await #expect(throws: EngineError.self) {
                    try await transfer.pull(named: "nowhere.invalid/library/y:1")
                }
                #expect(error?.message.contains("mirrors failed too") == true)
            }
        }
    }
}
