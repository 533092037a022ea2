public import ContentStore
import Model
import OCI

/// What every content store must do, as the comments of `ContentStoring` say it. An implementation's tests call
/// `run` with a way to make an empty store; the first broken promise is thrown.
public struct ContentStoreConformance: Sendable {
    /// A promise that was not kept.
    public struct Broken: Error, CustomStringConvertible {
        public var description: String
    }

    private let make: @Sendable () async throws -> any ContentStoring

    /// - Parameter make: gives an empty store each time.
    public init(make: @escaping @Sendable () async throws -> any ContentStoring) { self.make = make }

    /// Checks everything.
    public func run() async throws {
        try await roundTrip()
        try await absence()
        try await emptyBlob()
        try await wrongDigest()
        try await wrongSize()
        try await resumption()
        try await restart()
        try await oneWriterAtATime()
        try await unknownDigest()
        try await removalAndPruning()
    }

    private func roundTrip() async throws {
        let store = try await make()
        let bytes = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let added = try await store.add(bytes, mediaType: "x")
        try expect(added.digest == ContentDigest(of: bytes) && added.size == 700_000, "add gives digest and size")
        let read = try await store.read(added.digest)
        try expect(read == bytes, "what was added is read")
        let info = try await store.info(added.digest)
        try expect(info?.size == 700_000 && (info?.diskUsage ?? 0) > 0, "info gives size and disk usage")
        let tail = try await store.reader(added.digest, from: 699_990).read(100)
        try expect(tail == Array(bytes.suffix(10)), "a reader starts at its offset")
        let again = try await store.writer(for: added.digest, size: nil)
        try expect(again == nil, "there is no writer for a blob that is there")
        let second = try await store.add(bytes, mediaType: "x")
        try expect(second == added, "adding the same bytes again changes nothing")
    }

    private func absence() async throws {
        let store = try await make()
        let digest = ContentDigest(of: [1])
        let isThere = try await store.has(digest)
        try expect(!isThere, "nothing is there at first")
        try await expect(.notFound, "open of what is not there") { _ = try await store.open(digest) }
        try await expect(.notFound, "path of what is not there") { _ = try await store.path(digest) }
        try await expect(.notFound, "size of what is not there") { _ = try await store.size(digest) }
        try await store.remove(digest)
    }

    private func emptyBlob() async throws {
        let store = try await make()
        let added = try await store.add([], mediaType: "x")
        let read = try await store.read(added.digest)
        try expect(read.isEmpty, "a blob without bytes can be stored")
    }

    private func wrongDigest() async throws {
        let store = try await make()
        let digest = ContentDigest(of: [1, 2, 3])
        let writer = try await writer(store, digest, 3)
        try await writer.write([9, 9, 9])
        try await expect(.invalidArgument, "commit of other bytes") { try await writer.commit() }
        let isThere = try await store.has(digest)
        try expect(!isThere, "wrong bytes are not visible")
        let offset = await writer.offset
        try expect(offset == 0, "wrong bytes are dropped")
        try await writer.write([1, 2, 3])
        try await writer.commit()
        let now = try await store.has(digest)
        try expect(now, "the right bytes can follow on the same writer")
    }

    private func wrongSize() async throws {
        let store = try await make()
        let digest = ContentDigest(of: [1, 2, 3])
        let writer = try await writer(store, digest, 3)
        try await writer.write([1, 2])
        try await expect(.unavailable, "commit of too few bytes") { try await writer.commit() }
        try await expect(.invalidArgument, "write of too many bytes") { try await writer.write([3, 4]) }
        try await writer.write([3])
        try await writer.commit()
        try await expect(.conflict, "write after commit") { try await writer.write([4]) }
    }

    private func resumption() async throws {
        let store = try await make()
        let bytes: [UInt8] = Array(1...200)
        let digest = ContentDigest(of: bytes)
        let first = try await writer(store, digest, 200)
        try await first.write(Array(bytes[..<120]))
        first.release()
        let isThere = try await store.has(digest)
        try expect(!isThere, "a part of a blob is not visible")
        try await store.recover()
        let second = try await writer(store, digest, 200)
        let offset = await second.offset
        try expect(offset == 120, "a later writer goes on where the first ended, also after recovery")
        try await second.write(Array(bytes[120...]))
        try await second.commit()
        let read = try await store.read(digest)
        try expect(read == bytes, "the parts make the whole")
    }

    private func restart() async throws {
        let store = try await make()
        let digest = ContentDigest(of: [5, 6])
        let writer = try await writer(store, digest, nil)
        try await writer.write([7, 7, 7, 7])
        try await writer.restart()
        try await writer.write([5, 6])
        let (committed, size) = try await writer.commit()
        try expect(committed == digest && size == 2, "restart forgets what was written")
    }

    private func oneWriterAtATime() async throws {
        let store = try await make()
        let digest = ContentDigest(of: [1])
        let first = try await writer(store, digest, 1)
        async let waiting = store.writer(for: digest, size: 1)
        let cancelled = Task { try await store.writer(for: digest, size: 1) }
        try await Task.sleep(for: .milliseconds(50))
        cancelled.cancel()
        let isCancelled: Bool
        do {
            isCancelled = try await cancelled.value != nil && false
        } catch {
            isCancelled = error is CancellationError
        }
        try expect(isCancelled, "a cancelled task stops waiting for a digest")
        try await first.write([1])
        try await first.commit()
        let second = try await waiting
        try expect(second == nil, "who waited finds the blob that the first writer made")
    }

    private func unknownDigest() async throws {
        let store = try await make()
        let writer = try await store.writer()
        try await writer.write([4, 5])
        let (digest, size) = try await writer.commit()
        try expect(digest == ContentDigest(of: [4, 5]) && size == 2, "content names itself")
        let dropped = try await store.writer()
        try await dropped.write([1])
        dropped.release()
        let list = try await store.list()
        try expect(Array(list.keys) == [digest], "a released writer without a digest leaves nothing")
    }

    private func removalAndPruning() async throws {
        let store = try await make()
        let kept = try await store.add([1], mediaType: "x").digest
        let unused = try await store.add([2], mediaType: "x").digest
        let removed = try await store.add([3], mediaType: "x").digest
        try await store.remove(removed)
        let early = try await store.prune(keeping: [kept], grace: .seconds(3600))
        try expect(early.isEmpty, "the grace protects what is new")
        let pruned = try await store.prune(keeping: [kept], grace: .zero)
        try expect(Array(pruned.keys) == [unused], "prune removes what is not kept, and says what")
        let list = try await store.list()
        try expect(Array(list.keys) == [kept], "what is kept stays")
    }

    private func writer(
        _ store: any ContentStoring, _ digest: ContentDigest, _ size: Int64?
    ) async throws -> any ContentWriter {
        guard let writer = try await store.writer(for: digest, size: size) else {
            throw Broken(description: "there is a writer for a blob that is not there")
        }
        return writer
    }

    private func expect(_ holds: Bool, _ promise: String) throws {
        if !holds { throw Broken(description: promise) }
    }

    private func expect(_ code: EngineError.Code, _ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as EngineError where error.code == code {
            return
        } catch {
            throw Broken(description: "\(what) fails with \(code), not with \(error)")
        }
        throw Broken(description: "\(what) fails with \(code)")
    }
}
