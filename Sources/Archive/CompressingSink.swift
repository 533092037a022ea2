import CArchive
import Crypto
import Glibc
import LinuxHost
import Model

/// How a stream is compressed.
public enum Compression: String, Sendable, Codable, CaseIterable {
    case none, gzip, zstd, xz, bzip2
}

/// Compresses a stream into an open file and takes the SHA-256 of what it was and of what it becomes.
/// The same stream gives the same bytes. To be used from one thread.
final class CompressingSink {
    private let archive: OpaquePointer
    private let output: Output
    private var hash = SHA256()
    /// Bytes before compression.
    private(set) var count: Int64 = 0

    /// - Parameter level: how hard to try, 1 to 9 (zstd: to 19); nil: the usual.
    init(_ file: OwnedDescriptor, name: String, compression: Compression, level: Int? = nil) throws {
        guard let archive = archive_write_new(), let entry = archive_entry_new() else {
            throw EngineError(.resourceExhausted, "no memory to write archive \(name)")
        }
        self.archive = archive
        output = Output(file, name: name)
        defer { archive_entry_free(entry) }
        archive_write_set_format_raw(archive)
        switch compression {
        case .none: archive_write_add_filter_none(archive)
        case .gzip:
            archive_write_add_filter_gzip(archive)
            // The time of writing would make each archive another one.
            archive_write_set_filter_option(archive, "gzip", "timestamp", nil)
        case .zstd: archive_write_add_filter_zstd(archive)
        case .xz: archive_write_add_filter_xz(archive)
        case .bzip2: archive_write_add_filter_bzip2(archive)
        }
        if let level, compression != .none {
            guard
                archive_write_set_filter_option(archive, nil, "compression-level", String(level)) == ARCHIVE_OK
            else { throw EngineError(.invalidArgument, "\(compression.rawValue) has no level \(level)") }
        }
        // Blocks as they come, none filled up at the end.
        archive_write_set_bytes_per_block(archive, 0)
        let client = Unmanaged.passUnretained(output).toOpaque()
        archive_entry_set_filetype(entry, 0o100000)
        guard archive_write_open(archive, client, nil, writeBlock, nil) == ARCHIVE_OK,
            archive_write_header(archive, entry) == ARCHIVE_OK
        else { throw failure() }
    }

    deinit { archive_write_free(archive) }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        hash.update(bufferPointer: bytes)
        count += Int64(bytes.count)
        guard archive_write_data(archive, bytes.baseAddress, bytes.count) == bytes.count else { throw failure() }
    }

    /// Digest of what went in, digest and size of what came out.
    func finish() throws -> (plain: String, packed: String, size: Int64) {
        guard archive_write_close(archive) == ARCHIVE_OK else { throw failure() }
        return (sha256Text(hash.finalize()), sha256Text(output.hash.finalize()), output.count)
    }

    private func failure() -> EngineError {
        if let number = output.failed { return .system(number, "write archive \(output.name)") }
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "unknown fault"
        return EngineError(.internal, "archive \(output.name) cannot be written: \(text)")
    }

    /// The file behind libarchive's callback.
    fileprivate final class Output {
        let file: OwnedDescriptor
        let name: String
        var hash = SHA256()
        var count: Int64 = 0
        /// The error number of a write that failed.
        var failed: Int32?

        init(_ file: OwnedDescriptor, name: String) {
            self.file = file
            self.name = name
        }
    }
}

private func writeBlock(
    _ archive: OpaquePointer?, _ client: UnsafeMutableRawPointer?, _ bytes: UnsafeRawPointer?, _ size: Int
) -> Int {
    guard let client, let bytes else { return -1 }
    let output = Unmanaged<CompressingSink.Output>.fromOpaque(client).takeUnretainedValue()
    while true {
        let count = write(output.file.raw, bytes, size)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else {
            output.failed = errno
            return -1
        }
        output.hash.update(bufferPointer: UnsafeRawBufferPointer(start: bytes, count: count))
        output.count += Int64(count)
        return count
    }
}
