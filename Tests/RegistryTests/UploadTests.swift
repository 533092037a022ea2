import ContentStore
import Model
import NIOHTTP1
import OCI
import Registry
import Synchronization
import Testing

/// Pushes to registries that lose uploads, decline mounts and lie.
@Suite struct UploadTests {
    let folder = TestFolder()

    /// A registry that takes uploads; `fault` may answer in its place.
    final class Sink: Sendable {
        let blobs = Mutex<[String: [UInt8]]>([:])
        let parts = Mutex<[String: [UInt8]]>([:])
        let manifests = Mutex<[String: [UInt8]]>([:])
        private let uploads = Counter()

        func answer(_ request: FaultyRegistry.Request) -> FaultyRegistry.Answer {
            let last = request.path.split(separator: "/").last.map(String.init) ?? ""
            switch request.method {
            case .HEAD: return .init(status: blobs.withLock { $0[last] } == nil ? .notFound : .ok)
            case .POST:
                return .init(
                    status: .accepted, headers: ["Location": "/v2/x/blobs/uploads/\(uploads.next())?state=a%2Fb"])
            case .PATCH:
                parts.withLock { $0[last, default: []] += request.body }
                return .init(status: .accepted, headers: ["Location": request.uri])
            case .PUT where request.path.contains("/manifests/"):
                manifests.withLock { $0[last] = request.body }
                return .init(status: .created)
            case .PUT:
                guard request.uri.contains("state=a%2Fb&digest=sha256%3A"),
                    let hex = request.uri.split(separator: "%3A").last
                else { return .init(status: .badRequest) }
                let bytes = parts.withLock { $0[last] ?? [] } + request.body
                let digest = ContentDigest(of: bytes)
                guard digest.hex == hex else { return .init(status: .badRequest) }
                blobs.withLock { $0[digest.description] = bytes }
                return .init(status: .created, headers: ["Docker-Content-Digest": digest.description])
            default: return .init()
            }
        }
    }

    func push(
        _ sink: Sink, chunk: Int64 = 1 << 20, mountFrom: [String] = [],
        fault: @escaping @Sendable (FaultyRegistry.Request) -> FaultyRegistry.Answer? = { _ in nil }
    ) async throws -> (image: SampleImage, registry: FaultyRegistry, error: EngineError?) {
        let store = try DiskContentStore(root: folder.path + "/store")
        let image = try await SampleImage.make(in: store, layers: [SampleImage.noise(2_500_000), [1, 2, 3]])
        let registry = try await FaultyRegistry.start { fault($0) ?? sink.answer($0) }
        var settings = RegistrySettings.isolated(folder)
        settings.uploadChunk = chunk
        var failure: EngineError?
        do {
            try await withTransfer(settings, store: store) { transfer in
                try await transfer.push(
                    image.manifest.digest, to: registry.reference(),
                    mountFrom: mountFrom.map { try registry.reference($0) })
            }
        } catch let error as EngineError {
            failure = error
        }
        try await registry.stop()
        return (image, registry, failure)
    }

    @Test func largeBlobsGoInParts() async throws {
        let sink = Sink()
        let result = try await push(sink)
        #expect(result.error == nil)
        #expect(sink.blobs.withLock { $0.count } == 3)
        #expect(sink.manifests.withLock { Array($0.keys) } == ["1"])
        let ranges = result.registry.received(.PATCH).map { $0.headers.first(name: "Content-Range") }
        #expect(ranges == ["0-1048575", "1048576-2097151", "2097152-2499999"])
    }

    @Test func smallBlobsGoAtOnce() async throws {
        let result = try await push(Sink(), chunk: 100 << 20)
        #expect(result.error == nil)
        #expect(result.registry.received(.PATCH).isEmpty)
    }

    @Test func aLostUploadIsBegunAnew() async throws {
        let calls = Counter()
        let sink = Sink()
        let result = try await push(sink) { request in
            // What a registry behind a balancer says when another one has the upload.
            request.method == .PATCH && calls.next() == 2
                ? .init(status: .rangeNotSatisfiable, body: Array(#"{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}"#.utf8))
                : nil
        }
        #expect(result.error == nil)
        #expect(sink.blobs.withLock { $0.count } == 3)
    }

    @Test func aDeclinedMountIsAnUpload() async throws {
        let sink = Sink()
        let result = try await push(sink, mountFrom: ["other", "x"])
        #expect(result.error == nil)
        let mounts = result.registry.received(.POST, "mount=")
        #expect(mounts.count == 3 && mounts.allSatisfy { $0.uri.contains("from=other") })
        // The uploads that were begun instead are given up.
        #expect(result.registry.received(.DELETE).count == 3)
    }

    @Test func aRegistryThatStoredSomethingElseIsCaught() async throws {
        let result = try await push(Sink()) { request in
            request.method == .PUT
                ? .init(status: .created, headers: ["Docker-Content-Digest": "\(ContentDigest(of: [9]))"]) : nil
        }
        #expect(result.error?.code == .unavailable)
    }

    @Test func aRefusalHasTheRegistrysWords() async throws {
        let result = try await push(Sink()) { request in
            request.method == .POST
                ? .init(
                    status: .forbidden, body: Array(#"{"errors":[{"code":"DENIED","message":"quota used up"}]}"#.utf8))
                : nil
        }
        #expect(result.error?.code == .permissionDenied)
        #expect(result.error?.message.contains("quota used up") == true)
    }

    @Test func tagsComePageByPageFromTheSameRegistryOnly() async throws {
        let thief = try await FaultyRegistry.start { _ in .init(body: Array(#"{"tags":["stolen"]}"#.utf8)) }
        let target = thief.authority
        let registry = try await FaultyRegistry.start { request in
            if request.uri.contains("last=b") {
                return .init(
                    headers: ["Link": "<http://\(target)/v2/x/tags/list>; rel=\"next\""],
                    body: Array(#"{"tags":["c"]}"#.utf8))
            }
            return .init(
                headers: ["Link": "</v2/x/tags/list?last=b>; rel=\"next\""], body: Array(#"{"tags":["b","a"]}"#.utf8))
        }
        let store = try DiskContentStore(root: folder.path + "/store")
        let tags = try await withTransfer(RegistrySettings.isolated(folder), store: store) {
            try await $0.client.tags(registry.reference())
        }
        #expect(tags == ["a", "b", "c"])
        #expect(thief.received().isEmpty)
        try await registry.stop()
        try await thief.stop()
    }
}
