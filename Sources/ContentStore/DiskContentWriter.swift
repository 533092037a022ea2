import Crypto
import Glibc
import LinuxHost
import Model
import OCI
import Synchronization

/// Writes one file of the ingest folder and renames it into place.
final class DiskContentWriter: ContentWriter {
    /// What has been written, kept together with its hash so that the two cannot differ.
    private struct Progress: Sendable {
        var hash = SHA256()
        var count: Int64 = 0
        /// Bytes that are on their way to the disk.
        var started: Int64 = 0
    }

    /// Bytes that are handed to the disk at a time.
    private static let batch: Int64 = 8 << 20

    private let partial: String
    private let blobs: String
    private let expected: ContentDigest?
    private let size: Int64?
    private let file: OwnedDescriptor
    private let progress: Mutex<Progress>
    private let onEnd: Mutex<(@Sendable () -> Void)?>

    private init(
        partial: String, expected: ContentDigest?, size: Int64?, blobs: String, file: OwnedDescriptor,
        progress: consuming sending Progress, onEnd: @escaping @Sendable () -> Void
    ) {
        self.partial = partial
        self.expected = expected
        self.size = size
        self.blobs = blobs
        self.file = file
        self.progress = Mutex(progress)
        self.onEnd = Mutex(onEnd)
    }

    /// Opens the file and hashes what a former writer left in it.
    static func open(
        partial: String, expected: ContentDigest?, size: Int64?, blobs: String,
        onEnd: @escaping @Sendable () -> Void
    ) async throws -> DiskContentWriter {
        try await runBlocking {
            let file = try StoreFiles.open(partial, O_RDWR | O_CREAT)
            var progress = Progress()
            while true {
                let bytes = try StoreFiles.read(file, 1 << 20, partial)
                if bytes.isEmpty { break }
                progress.hash.update(data: bytes)
                progress.count += Int64(bytes.count)
            }
            if let size, progress.count > size {
                try truncate(file, partial)
                progress = Progress()
            }
            return DiskContentWriter(
                partial: partial, expected: expected, size: size, blobs: blobs, file: file, progress: progress,
                onEnd: onEnd)
        }
    }

    var offset: Int64 {
        get async { progress.withLock { $0.count } }
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        try checkOpen()
        try progress.withLock { progress in
            if let size, progress.count + Int64(bytes.count) > size {
                throw EngineError(.invalidArgument, "\(name) is longer than the \(size) bytes that it should have")
            }
            do {
                try StoreFiles.writeAll(file, bytes, partial)
            } catch let error as EngineError where error.code == .resourceExhausted {
                // A part that is kept for later must not be what fills the disk.
                try Self.truncate(file, partial)
                progress = Progress()
                throw error
            }
            progress.hash.update(bufferPointer: bytes)
            progress.count += Int64(bytes.count)
            if progress.count - progress.started >= Self.batch {
                startWriting(file, from: progress.started, count: progress.count - progress.started)
                progress.started = progress.count
            }
        }
    }

    func restart() async throws {
        try checkOpen()
        try await runBlocking { [self] in
            try progress.withLock { progress in
                try Self.truncate(file, partial)
                progress = Progress()
            }
        }
    }

    func commit() async throws -> (digest: ContentDigest, size: Int64) {
        try checkOpen()
        return try await runBlocking { [self] in
            let (digest, count) = progress.withLock { (ContentDigest(hash: $0.hash.finalize()), $0.count) }
            if let size, count < size {
                throw EngineError(.unavailable, "\(name) ends after \(count) of \(size) bytes")
            }
            if let expected, digest != expected {
                try progress.withLock { progress in
                    try Self.truncate(file, partial)
                    progress = Progress()
                }
                throw EngineError(.invalidArgument, "content that should be \(expected) is \(digest)")
            }
            if fchmod(file.raw, 0o444) != 0 { throw StoreFiles.failure("setting the mode of", partial) }
            try StoreFiles.sync(file, partial)
            let target = blobs + "/" + digest.hex
            if rename(partial, target) != 0 { throw StoreFiles.failure("renaming to", target) }
            try StoreFiles.syncFolder(blobs)
            end(keep: true)
            return (digest, count)
        }
    }

    func release() { end(keep: expected != nil) }

    deinit { release() }

    private var name: String { expected.map { "content \($0)" } ?? "new content" }

    private func checkOpen() throws {
        guard onEnd.withLock({ $0 != nil }) else {
            throw EngineError(.conflict, "the writer of \(name) has ended")
        }
    }

    private func end(keep: Bool) {
        let action = onEnd.withLock { slot -> (@Sendable () -> Void)? in
            defer { slot = nil }
            return slot
        }
        guard let action else { return }
        if !keep { unlink(partial) }
        file.close()
        action()
    }

    private static func truncate(_ file: OwnedDescriptor, _ path: String) throws {
        guard ftruncate(file.raw, 0) == 0, lseek(file.raw, 0, SEEK_SET) == 0 else {
            throw StoreFiles.failure("truncating", path)
        }
    }
}
