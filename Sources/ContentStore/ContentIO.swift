import Glibc
import LinuxHost
public import Model
public import OCI

extension ContentStoring {
    /// The whole of a small blob, verified once more since a disk can change bytes. `notFound` if it is not there,
    /// `resourceExhausted` if it is longer than `limit` bytes.
    public func read(_ digest: ContentDigest, limit: Int = ManifestDocument.Bounds.configBytes) async throws -> [UInt8]
    {
        guard let info = try await info(digest) else { throw Self.missing(digest) }
        guard info.size <= Int64(limit) else {
            throw EngineError(.resourceExhausted, "content \(digest) has \(info.size) bytes; \(limit) are read at most")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(info.size))
        try await forEachChunk(digest) { bytes += $0 }
        guard ContentDigest(of: bytes) == digest else {
            throw EngineError(
                .internal, "content \(digest) is damaged on disk", hint: "remove the image and pull or import it again")
        }
        return bytes
    }

    /// Opens a blob for reading from `offset` on.
    public func reader(_ digest: ContentDigest, from offset: Int64 = 0) async throws -> ContentReader {
        let file = try await open(digest)
        let name = "content \(digest)"
        if offset > 0, lseek(file.raw, off_t(offset), SEEK_SET) < 0 { throw StoreFiles.failure("seeking in", name) }
        return ContentReader(file: file, name: name)
    }

    /// Reads a whole blob in pieces of at most `chunk` bytes.
    public func forEachChunk(
        _ digest: ContentDigest, chunk: Int = 1 << 18, _ body: ([UInt8]) async throws -> Void
    ) async throws {
        let reader = try await reader(digest)
        while true {
            let bytes = try await reader.read(chunk)
            if bytes.isEmpty { return }
            try await body(bytes)
        }
    }

    /// Stores `bytes`; gives their descriptor.
    @discardableResult
    public func add(_ bytes: [UInt8], mediaType: String) async throws -> Descriptor {
        let descriptor = Descriptor(mediaType: mediaType, bytes: bytes)
        guard let writer = try await writer(for: descriptor.digest, size: descriptor.size) else { return descriptor }
        defer { writer.release() }
        // What a cut-off write of the same bytes left is not worth resuming.
        if await writer.offset > 0 { try await writer.restart() }
        try await writer.write(bytes)
        try await writer.commit()
        return descriptor
    }

    /// Stores what `file` holds from its current position on.
    public func add(contentsOf file: OwnedDescriptor, named name: String, mediaType: String) async throws -> Descriptor
    {
        let writer = try await writer()
        defer { writer.release() }
        while true {
            try Task.checkCancellation()
            let bytes = try await runBlocking { try StoreFiles.read(file, 1 << 20, name) }
            if bytes.isEmpty { break }
            try await writer.write(bytes)
        }
        let (digest, size) = try await writer.commit()
        return Descriptor(mediaType: mediaType, digest: digest, size: size)
    }

    /// Stores the file at `path`. A symbolic link as last component is refused.
    public func add(file path: String, mediaType: String) async throws -> Descriptor {
        let file = try await runBlocking { try StoreFiles.open(path, O_RDONLY | O_NOCTTY) }
        var status = stat()
        guard fstat(file.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw EngineError(.invalidArgument, "\(path) is not a regular file")
        }
        return try await add(contentsOf: file, named: path, mediaType: mediaType)
    }
}

/// Reads a blob piece by piece; used by one task at a time.
public struct ContentReader: Sendable {
    let file: OwnedDescriptor
    let name: String

    /// The next bytes, at most `count`; empty at the end.
    public func read(_ count: Int) async throws -> [UInt8] {
        try await runBlocking { try StoreFiles.read(file, count, name) }
    }
}
