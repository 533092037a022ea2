import ContentStore
import Foundation
import Model
import NIOHTTP1
import OCI
import Registry
import Synchronization
import Testing

/// Pulls from registries that fail, lie and change.
@Suite struct FaultyRegistryTests {
    let folder = TestFolder()

    func store(_ name: String = "store") throws -> DiskContentStore {
        try DiskContentStore(root: folder.path + "/" + name)
    }

    /// Pulls `x:1` from a server that answers by `handler`.
    func pull(
        settings change: (inout RegistrySettings) -> Void = { _ in }, store name: String = "store",
        handler: @escaping FaultyRegistry.Handler
    ) async throws -> (image: StoredImage?, error: EngineError?, registry: FaultyRegistry) {
        let registry = try await FaultyRegistry.start(handler)
        var settings = RegistrySettings.isolated(folder)
        change(&settings)
        let result: (StoredImage?, EngineError?)
        do {
            let image = try await withTransfer(settings, store: store(name)) { transfer in
                try await transfer.pull(registry.reference())
            }
            result = (image, nil)
        } catch let error as EngineError {
            result = (nil, error)
        }
        try await registry.stop()
        return (result.0, result.1, registry)
    }

    @Test func aCutTransferGoesOnWhereItEnded() async throws {
        let layer = SampleImage.noise(2_000_000)
        let repository = try FakeRepository(layers: [layer])
        let name = ContentDigest(of: layer).description
        let calls = Counter()
        let result = try await pull { request in
            var answer = repository.answer(request)
            if request.uri.hasSuffix(name), calls.next() < 4 { answer.cutAfter = 600_000 }
            return answer
        }
        #expect(result.error == nil)
        let ranges = result.registry.received(.GET, name).map { $0.headers.first(name: "Range") }
        #expect(ranges.first == .some(nil))
        #expect(ranges.count >= 2 && ranges.dropFirst().allSatisfy { $0?.hasPrefix("bytes=") == true })
        let image = try #require(result.image)
        #expect(try await store().read(image.layers[0].digest) == layer)
    }

    @Test func aServerWithoutRangesIsReadFromTheStart() async throws {
        let layer = SampleImage.noise(1_000_000)
        var repository = try FakeRepository(layers: [layer])
        repository.supportsRanges = false
        let calls = Counter()
        let name = ContentDigest(of: layer).description
        let result = try await pull { [repository] request in
            var answer = repository.answer(request)
            if request.uri.hasSuffix(name), calls.next() == 1 { answer.cutAfter = 500_000 }
            return answer
        }
        #expect(result.error == nil && calls.count == 2)
    }

    @Test func aWrongRangeIsNotGluedOn() async throws {
        let layer = SampleImage.noise(1_000_000)
        let repository = try FakeRepository(layers: [layer])
        let name = ContentDigest(of: layer).description
        let calls = Counter()
        let result = try await pull { request in
            var answer = repository.answer(request)
            guard request.uri.hasSuffix(name) else { return answer }
            switch calls.next() {
            case 1: answer.cutAfter = 500_000
            case 2: answer.headers.replaceOrAdd(name: "Content-Range", value: "bytes 7-999999/1000000")
            default: break
            }
            return answer
        }
        #expect(result.error == nil && calls.count == 3)
    }

    @Test func aLaterPullGoesOnWhereAnEarlierOneGaveUp() async throws {
        let layer = SampleImage.noise(2_000_000)
        let repository = try FakeRepository(layers: [layer])
        let name = ContentDigest(of: layer).description
        let first = try await pull(settings: { $0.retries.attempts = 1 }) { request in
            var answer = repository.answer(request)
            if request.uri.hasSuffix(name) { answer.cutAfter = 1_200_000 }
            return answer
        }
        #expect(first.error?.code == .unavailable)
        #expect(try await store().list().values.allSatisfy { $0.size < 2_000_000 })
        let second = try await pull { repository.answer($0) }
        #expect(second.error == nil)
        // How much of what was sent arrived before the cut is the network's affair.
        let range = try #require(second.registry.received(.GET, name).first?.headers.first(name: "Range"))
        #expect(try #require(Int(range.dropFirst(6).dropLast())) > 0)
    }

    @Test(arguments: [HTTPResponseStatus.tooManyRequests, .internalServerError, .badGateway, .serviceUnavailable])
    func passingFailuresAreTriedAgain(status: HTTPResponseStatus) async throws {
        let repository = try FakeRepository(layers: [[1, 2, 3]])
        let calls = Mutex<[String: Int]>([:])
        // Every request fails twice.
        let result = try await pull { request in
            let count = calls.withLock { calls in
                calls[request.method.rawValue + request.uri, default: 0] += 1
                return calls[request.method.rawValue + request.uri, default: 0]
            }
            return count % 3 == 0
                ? repository.answer(request) : .init(status: status, headers: ["Retry-After": "0"])
        }
        #expect(result.error == nil)
    }

    @Test func lastingFailuresEndWithTheRegistrysWords() async throws {
        let calls = Counter()
        let result = try await pull { request in
            if request.path == "/v2/" { return .init() }
            _ = calls.next()
            return .init(
                status: .internalServerError,
                body: Array(#"{"errors":[{"code":"UNKNOWN","message":"disk\u001b[31m full"}]}"#.utf8))
        }
        #expect(result.error?.code == .unavailable)
        #expect(result.error?.message.contains("500") == true)
        #expect(result.error?.message.contains("full") == true)
        #expect(result.error?.message.contains("\u{1b}") == false)
        #expect(calls.count <= 8)
    }

    @Test func aLongRetryAfterIsSaidNotWaitedFor() async throws {
        let begin = ContinuousClock.now
        let result = try await pull { request in
            request.path == "/v2/" ? .init() : .init(status: .tooManyRequests, headers: ["Retry-After": "3600"])
        }
        #expect(result.error?.hint?.contains("3600") == true)
        #expect(ContinuousClock.now - begin < .seconds(60))
    }

    @Test func wrongContentIsRefusedAndNotStored() async throws {
        let layer = SampleImage.noise(300_000)
        let repository = try FakeRepository(layers: [layer])
        let name = ContentDigest(of: layer).description
        let cases: [(String, @Sendable ([UInt8]) -> [UInt8])] = [
            ("changed", { [$0[0] ^ 1] + $0.dropFirst() }), ("short", { Array($0.dropLast()) }), ("long", { $0 + [0] }),
        ]
        for (label, change) in cases {
            let result = try await pull(store: label) { request in
                var answer = repository.answer(request)
                if request.uri.hasSuffix(name) { answer.body = change(answer.body) }
                return answer
            }
            #expect(result.error?.code == .unavailable, "\(label)")
            #expect(try await !store(label).has(ContentDigest(name)), "\(label)")
            // Neither the layer nor the manifest that needs it.
            #expect(try await store(label).list().count <= 1, "\(label)")
        }
    }

    @Test func aManifestThatIsNotTheOneAskedForIsRefused() async throws {
        let repository = try FakeRepository(layers: [[1]])
        let result = try await pull { request in
            var answer = repository.answer(request)
            if request.path.contains("/manifests/"), request.method == .GET { answer.body.append(UInt8(ascii: " ")) }
            return answer
        }
        #expect(result.error?.message.contains("wrong content") == true)
    }

    @Test func aTagThatMovesDoesNotMixTwoImages() async throws {
        var before = try FakeRepository(layers: [[1]])
        let first = ContentDigest(of: try #require(before.manifests["1"]).bytes)
        try before.add(layers: [[2]], tag: "later")
        let both = before
        let result = try await pull { request in
            // The tag points elsewhere as soon as it was looked at once.
            var repository = both
            if request.method == .GET { repository.manifests["1"] = repository.manifests["later"] }
            return repository.answer(request)
        }
        #expect(result.image?.manifest == first)
        #expect(result.image?.layers.map(\.digest) == [ContentDigest(of: [1])])
    }

    @Test func aTagWhoseOldImageIsGoneIsTakenAnew() async throws {
        var repository = try FakeRepository(layers: [[1]])
        let old = ContentDigest(of: try #require(repository.manifests["1"]).bytes)
        let new = try repository.add(layers: [[2]], tag: "1")
        repository.manifests[old.description] = nil
        let result = try await pull { [repository] request in
            var answer = repository.answer(request)
            if request.method == .HEAD { answer.headers.replaceOrAdd(name: "Docker-Content-Digest", value: "\(old)") }
            return answer
        }
        #expect(result.image?.manifest == new.digest)
    }

    @Test(arguments: [MediaType.index, MediaType.dockerManifest, MediaType.dockerSchema1, "text/html"])
    func ambiguousMediaTypesAreRefused(type: String) async throws {
        let repository = try FakeRepository(layers: [[1]])
        let result = try await pull { request in
            var answer = repository.answer(request)
            if request.path.contains("/manifests/") { answer.headers.replaceOrAdd(name: "Content-Type", value: type) }
            return answer
        }
        #expect(result.error?.code == .invalidArgument || result.error?.code == .unsupported)
        #expect(result.registry.received(.GET, "/blobs/").isEmpty)
    }

    @Test func anEndlessManifestIsCutOff() async throws {
        let result = try await pull { request in
            request.path == "/v2/"
                ? .init()
                : .init(headers: ["Content-Type": MediaType.manifest], body: [UInt8](repeating: 32, count: 5 << 20))
        }
        #expect(result.error?.message.contains("more than") == true)
    }

    @Test func indexesWithinIndexesEnd() async throws {
        var repository = try FakeRepository(layers: [[1]])
        var entry = repository.add(try #require(repository.manifests["1"]).bytes, type: MediaType.manifest, tag: "1")
        for _ in 0..<20 {
            entry.platform = .host
            entry = repository.add(
                try CanonicalJSON.bytes(ImageIndex(manifests: [entry])), type: MediaType.index, tag: "1")
        }
        let result = try await pull { [repository] in repository.answer($0) }
        #expect(result.error?.message.contains("deep") == true)
        #expect(result.registry.received(.GET, "/manifests/").count <= 5)
    }

    @Test func foreignLayersAreRefusedAndTheirAddressIsNotAsked() async throws {
        let stranger = try await FaultyRegistry.start { _ in .init() }
        var repository = try FakeRepository(layers: [[1]])
        let config = Descriptor(mediaType: MediaType.config, bytes: [1])
        let layer = Descriptor(
            mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digest: ContentDigest(of: [1]),
            size: 1, urls: ["http://\(stranger.authority)/layer"])
        repository.add(
            try CanonicalJSON.bytes(ImageManifest(config: config, layers: [layer])), type: MediaType.manifest, tag: "1")
        let result = try await pull { [repository] in repository.answer($0) }
        #expect(result.error?.code == .unsupported)
        #expect(stranger.received().isEmpty && result.registry.received(.GET, "/blobs/").isEmpty)
        try await stranger.stop()
    }

    @Test func aSilentServerIsGivenUp() async throws {
        let layer = SampleImage.noise(1_000_000)
        let repository = try FakeRepository(layers: [layer])
        let name = ContentDigest(of: layer).description
        let result = try await pull(settings: {
            $0.idleTimeout = .milliseconds(200)
            $0.retries.attempts = 2
        }) { request in
            var answer = repository.answer(request)
            if request.uri.hasSuffix(name) { answer.stallAfter = 0 }
            return answer
        }
        #expect(result.error?.code == .timeout)
    }

    @Test func aCancelledPullEndsAtOnceAndKeepsWhatCame() async throws {
        let layer = SampleImage.noise(2_000_000)
        let repository = try FakeRepository(layers: [layer])
        let name = ContentDigest(of: layer).description
        let registry = try await FaultyRegistry.start { request in
            var answer = repository.answer(request)
            if request.uri.hasSuffix(name) { answer.stallAfter = 1_000_000 }
            return answer
        }
        let settings = RegistrySettings.isolated(folder)
        let store = try store()
        let pulling = Task {
            try await withTransfer(settings, store: store) { try await $0.pull(registry.reference()) }
        }
        while registry.received(.GET, name).isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        try await Task.sleep(for: .milliseconds(200))
        let begin = ContinuousClock.now
        pulling.cancel()
        await #expect(throws: CancellationError.self) { try await pulling.value }
        #expect(ContinuousClock.now - begin < .seconds(20))
        let writer = try #require(try await store.writer(for: ContentDigest(name), size: nil))
        #expect(await writer.offset > 0)
        try await registry.stop()
    }

    @Test func anUnreachableRegistryIsNamed() async throws {
        let registry = try await FaultyRegistry.start { _ in .init() }
        let reference = try registry.reference()
        try await registry.stop()
        let settings = RegistrySettings.isolated(folder)
        let error = await #expect(throws: EngineError.self) {
            try await withTransfer(settings, store: store()) { try await $0.pull(reference) }
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains(registry.authority) == true)
    }

    @Test func layersComeThreeAtATime() async throws {
        let layers = (0..<8).map { SampleImage.noise(50_000, seed: UInt64($0 + 1)) }
        let repository = try FakeRepository(layers: layers)
        let reports = Mutex<[TransferProgress]>([])
        let registry = try await FaultyRegistry.start { repository.answer($0) }
        let settings = RegistrySettings.isolated(folder)
        let image = try await withTransfer(settings, store: store()) { transfer in
            try await transfer.pull(registry.reference()) { report in reports.withLock { $0.append(report) } }
        }
        try await registry.stop()
        #expect(image.layers.count == 8)
        let all = reports.withLock { $0 }
        let last = try #require(all.last)
        #expect(last.blobsDone == 9 && last.allDone == last.allTotal)
        #expect(all.allSatisfy { $0.done <= $0.total && $0.allDone <= $0.allTotal })
    }
}
