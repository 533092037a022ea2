import Glibc
import LinuxHost
public import Model
public import OCI

/// A content store in a folder: `blobs/sha256/HEX` for blobs and `ingest/HEX` for what is being written, both readable
/// by root alone.
///
/// A blob appears by rename(2) after its bytes have reached the disk, and the folder is synced after that, so a power
/// cut leaves a whole blob or none. One process at a time may use the folder.
public final class DiskContentStore: ContentStoring {
    private let blobs: String
    private let ingests: String
    private let gate = IngestGate()

    /// Opens the store below `root`, an absolute path, and makes its folders if they are missing.
    public init(root: String) throws {
        blobs = root + "/blobs/sha256"
        ingests = root + "/ingest"
        try StoreFiles.makeFolder(blobs)
        try StoreFiles.makeFolder(ingests)
    }

    public func info(_ digest: ContentDigest) async throws -> ContentInfo? {
        try StoreFiles.info(location(digest))
    }

    public func open(_ digest: ContentDigest) async throws -> OwnedDescriptor {
        guard try await has(digest) else { throw Self.missing(digest) }
        return try StoreFiles.open(location(digest), O_RDONLY)
    }

    public func path(_ digest: ContentDigest) async throws -> String {
        guard try await has(digest) else { throw Self.missing(digest) }
        return location(digest)
    }

    public func writer(for digest: ContentDigest, size: Int64?) async throws -> (any ContentWriter)? {
        if try await has(digest) { return nil }
        try await gate.enter(digest)
        do {
            if try await has(digest) {
                gate.leave(digest)
                return nil
            }
            let partial = ingests + "/" + digest.hex
            return try await DiskContentWriter.open(
                partial: partial, expected: digest, size: size, blobs: blobs, onEnd: { [gate] in gate.leave(digest) })
        } catch {
            gate.leave(digest)
            throw error
        }
    }

    public func writer() async throws -> any ContentWriter {
        let name = Self.temporaryPrefix + String(UInt64.random(in: .min ... .max), radix: 16)
        return try await DiskContentWriter.open(
            partial: ingests + "/" + name, expected: nil, size: nil, blobs: blobs, onEnd: {})
    }

    public func remove(_ digest: ContentDigest) async throws {
        let path = location(digest)
        try await runBlocking { try StoreFiles.remove(path) }
    }

    public func list() async throws -> [ContentDigest: ContentInfo] {
        try await runBlocking { [blobs] in
            var found: [ContentDigest: ContentInfo] = [:]
            for name in try StoreFiles.names(blobs) {
                guard let digest = try? ContentDigest(hex: name) else { continue }
                found[digest] = try StoreFiles.info(blobs + "/" + name)
            }
            return found
        }
    }

    public func prune(keeping: Set<ContentDigest>, grace: Duration) async throws -> [ContentDigest: ContentInfo] {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let limit = Double(now.tv_sec) + Double(now.tv_nsec) / 1e9 - Double(grace.components.seconds)
        let unused = try await list().filter { !keeping.contains($0.key) && $0.value.createdAt <= limit }
        for digest in unused.keys { try await remove(digest) }
        return unused
    }

    public func recover() async throws {
        try await runBlocking { [ingests] in
            let now = Double(time(nil))
            for name in try StoreFiles.names(ingests) {
                let path = ingests + "/" + name
                let resumable = (try? ContentDigest(hex: name)) != nil
                guard let info = try StoreFiles.info(path) else { continue }
                if name.hasPrefix(Self.temporaryPrefix) || (resumable && now - info.createdAt > Self.resumableSeconds) {
                    try StoreFiles.remove(path)
                }
            }
        }
    }

    private func location(_ digest: ContentDigest) -> String { blobs + "/" + digest.hex }

    private static let temporaryPrefix = "new-"
    /// Three days, after which nobody is likely to go on with a download.
    private static let resumableSeconds = 3.0 * 24 * 3600
}
