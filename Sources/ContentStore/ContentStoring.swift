import LinuxHost
public import Model
public import OCI

/// Keeps content under the digest of its bytes.
///
/// A **blob** is there whole and verified, or not at all; it never changes. An **ingest** is a blob in the making: bytes
/// are added through a `ContentWriter` and become a blob by `commit`, which checks size and digest, makes them durable
/// and visible in one step. An ingest whose digest is known beforehand outlives its writer and the process, and the next
/// writer goes on where it ended; only one writer at a time works on a digest, further ones wait.
///
/// The store knows nothing of images: which blobs are needed is the caller's knowledge (`prune(keeping:)`).
///
///     guard let writer = try await store.writer(for: digest, size: size) else { return }  // already there
///     defer { writer.release() }
///     // … fetch from writer.offset on: try await writer.write(bytes) …
///     try await writer.commit()
public protocol ContentStoring: Sendable {
    /// What is known about a blob; nil if it is not there.
    func info(_ digest: ContentDigest) async throws -> ContentInfo?
    /// The blob for reading. `notFound` if it is not there.
    func open(_ digest: ContentDigest) async throws -> OwnedDescriptor
    /// Path of the blob's file, for tools that take one; must not be written to. `notFound` if it is not there.
    func path(_ digest: ContentDigest) async throws -> String
    /// Starts or resumes an ingest; nil if the blob is there already. Waits while another writer has the digest.
    /// - Parameter size: bytes the blob must have; nil if that is not known.
    func writer(for digest: ContentDigest, size: Int64?) async throws -> (any ContentWriter)?
    /// Starts an ingest of content whose digest is not known yet. It does not outlive the writer.
    func writer() async throws -> any ContentWriter
    /// Removes a blob. No error if it is not there.
    func remove(_ digest: ContentDigest) async throws
    /// Every blob.
    func list() async throws -> [ContentDigest: ContentInfo]
    /// Removes every blob that is not in `keeping` and that was made before `grace` ago; the grace protects what a
    /// running pull has brought in and nobody refers to yet. Gives what was removed.
    func prune(keeping: Set<ContentDigest>, grace: Duration) async throws -> [ContentDigest: ContentInfo]
    /// Removes what interrupted work left and cannot be resumed; called once at start, before anything else.
    func recover() async throws
}

/// What is known about a blob.
public struct ContentInfo: Sendable, Hashable {
    /// Bytes of content.
    public var size: Int64
    /// Bytes occupied on disk, as du(1) counts them.
    public var diskUsage: Int64
    /// Seconds since 1970 of when it became visible.
    public var createdAt: Double

    public init(size: Int64, diskUsage: Int64, createdAt: Double) {
        self.size = size
        self.diskUsage = diskUsage
        self.createdAt = createdAt
    }
}

/// Writes one blob; used by one task at a time.
public protocol ContentWriter: Sendable {
    /// Bytes that are there already; writing goes on behind them.
    var offset: Int64 { get async }
    /// Appends, and blocks while the bytes are written: for callers on a thread that may block. `invalidArgument` once
    /// there are more bytes than the stated size.
    func append(_ bytes: UnsafeRawBufferPointer) throws
    /// Forgets all bytes and starts anew.
    func restart() async throws
    /// Verifies and makes the blob visible; gives its digest and size. On a mismatch the bytes are dropped, since they
    /// can never become right, and `invalidArgument` is thrown. After a success the writer is used up.
    @discardableResult
    func commit() async throws -> (digest: ContentDigest, size: Int64)
    /// Ends the writer and keeps the bytes for a later one (those of an unknown digest are dropped). Does nothing after
    /// `commit`, and is what the writer's end does, too.
    func release()
}

extension ContentWriter {
    /// Appends without blocking the caller's thread. `invalidArgument` once there are more bytes than the stated size.
    public func write(_ bytes: [UInt8]) async throws {
        try await runBlocking { try bytes.withUnsafeBytes { try append($0) } }
    }
}

extension ContentStoring {
    public func has(_ digest: ContentDigest) async throws -> Bool { try await info(digest) != nil }

    /// Bytes of a blob; `notFound` if it is not there.
    public func size(_ digest: ContentDigest) async throws -> Int64 {
        guard let info = try await info(digest) else { throw Self.missing(digest) }
        return info.size
    }

    static func missing(_ digest: ContentDigest) -> EngineError {
        EngineError(.notFound, "content \(digest) is not in the store", hint: "pull or import the image again")
    }
}
