import ContentStore
import EngineTesting
import Foundation
import Glibc
import LinuxHost
import Model
import OCI
import Testing

@Suite struct DiskContentStoreTests {
    let folder = TestFolder()

    @Test func keepsThePromisesOfContentStoring() async throws {
        let folder = folder
        try await ContentStoreConformance { try DiskContentStore(root: folder.path + "/" + UUID().uuidString) }.run()
    }

    @Test func filesLieUnderTheirDigestReadableByRootAlone() async throws {
        let store = try DiskContentStore(root: folder.path)
        let digest = try await store.add([1, 2], mediaType: "x").digest
        let path = try await store.path(digest)
        #expect(path == folder.path + "/blobs/sha256/" + digest.hex)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o444)
        #expect(stat(folder.path + "/blobs", &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(try folder.names("ingest").isEmpty)
    }

    @Test func aSecondProcessGoesOnWhereTheFirstWasKilled() async throws {
        let digest = ContentDigest(of: [1, 2, 3, 4])
        _ = try DiskContentStore(root: folder.path)
        try folder.write("ingest/" + digest.hex, [1, 2, 3])
        let store = try DiskContentStore(root: folder.path)
        try await store.recover()
        let writer = try #require(try await store.writer(for: digest, size: 4))
        #expect(await writer.offset == 3)
        try await writer.write([4])
        try await writer.commit()
        #expect(try await store.has(digest))
    }

    @Test func damagedPartIsNoticedAndDropped() async throws {
        let digest = ContentDigest(of: [1, 2, 3, 4])
        let store = try DiskContentStore(root: folder.path)
        try folder.write("ingest/" + digest.hex, [0, 0, 0])
        let writer = try #require(try await store.writer(for: digest, size: 4))
        try await writer.write([4])
        await #expect(throws: EngineError.self) { try await writer.commit() }
        #expect(try await !store.has(digest))
        writer.release()
    }

    @Test func anOverlongPartIsBegunAnew() async throws {
        let digest = ContentDigest(of: [1])
        let store = try DiskContentStore(root: folder.path)
        try folder.write("ingest/" + digest.hex, [1, 2, 3, 4, 5])
        let writer = try #require(try await store.writer(for: digest, size: 1))
        #expect(await writer.offset == 0)
    }

    @Test func recoveryRemovesWhatCannotBeResumedAndLeavesTheUnknown() async throws {
        let store = try DiskContentStore(root: folder.path)
        try folder.write("ingest/new-1f", [1])
        try folder.write("ingest/notes.txt", [1])
        try folder.write("blobs/sha256/notes.txt", [1])
        try await store.recover()
        #expect(try folder.names("ingest") == ["notes.txt"])
        #expect(try await store.list().isEmpty)
    }

    @Test func damageOnDiskIsNoticedWhenReading() async throws {
        let store = try DiskContentStore(root: folder.path)
        let digest = try await store.add([1, 2, 3], mediaType: "x").digest
        try folder.write("blobs/sha256/" + digest.hex, [1, 2, 4])
        let error = await #expect(throws: EngineError.self) { try await store.read(digest) }
        #expect(error?.message.contains(digest.hex) == true)
    }

    @Test func aLinkInPlaceOfABlobIsNotFollowed() async throws {
        let store = try DiskContentStore(root: folder.path)
        let digest = ContentDigest(of: [1])
        #expect(symlink("/etc/passwd", folder.path + "/blobs/sha256/" + digest.hex) == 0)
        #expect(try await !store.has(digest))
        await #expect(throws: EngineError.self) { try await store.open(digest) }
        #expect(symlink("/etc/passwd", folder.path + "/ingest/" + digest.hex) == 0)
        await #expect(throws: EngineError.self) { try await store.writer(for: digest, size: nil) }
    }

    @Test func aLinkIsNotImportedAsAFile() async throws {
        let store = try DiskContentStore(root: folder.path + "/store")
        #expect(symlink("/etc/passwd", folder.path + "/link") == 0)
        await #expect(throws: EngineError.self) { try await store.add(file: folder.path + "/link", mediaType: "x") }
        await #expect(throws: EngineError.self) { try await store.add(file: folder.path, mediaType: "x") }
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func aFullDiskIsSaidAndNothingIsLost() async throws {
        let mount = folder.path + "/small"
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
        try await ProcessRunner.check("mount", ["-t", "tmpfs", "-o", "size=1m", "isle-test", mount])
        let result: Result<Void, any Error>
        do {
            let store = try DiskContentStore(root: mount)
            let small = try await store.add([1, 2, 3], mediaType: "x").digest
            let big = [UInt8](repeating: 7, count: 2 << 20)
            let error = await #expect(throws: EngineError.self) { try await store.add(big, mediaType: "x") }
            #expect(error?.code == .resourceExhausted)
            #expect(error?.hint != nil)
            #expect(try await store.read(small) == [1, 2, 3])
            // Nor does the part of a download stay and keep the disk full.
            let digest = ContentDigest(of: big)
            let writer = try #require(try await store.writer(for: digest, size: nil))
            await #expect(throws: EngineError.self) { try await writer.write(big) }
            #expect(await writer.offset == 0)
            writer.release()
            try await store.add([UInt8](repeating: 1, count: 700_000), mediaType: "x")
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try await ProcessRunner.check("umount", [mount])
        try result.get()
    }

    @Test func manyWritersOfOneDigestEndWithOneBlob() async throws {
        let store = try DiskContentStore(root: folder.path)
        let bytes = [UInt8](repeating: 3, count: 100_000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { try await store.add(bytes, mediaType: "x") } }
            try await group.waitForAll()
        }
        #expect(try await store.list().count == 1)
        #expect(try folder.names("ingest").isEmpty)
    }
}

/// A folder that goes with the test.
final class TestFolder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "isle-content-" + UUID().uuidString
        _ = mkdir(path, 0o700)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        // Blobs are read-only: a new file takes the place of the old one.
        let target = URL(fileURLWithPath: path + "/" + name)
        try? FileManager.default.removeItem(at: target)
        try Data(bytes).write(to: target)
    }

    func names(_ name: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + name).sorted()
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
