import CArchive
import Glibc
public import Model

/// The uncompressed bytes of a file, whatever libarchive filter it was written with: gzip, bzip2, xz, lzma, zstd, lz4
/// or none. Several compressed streams one after the other are one stream, as gzip(1) has it.
///
/// One layer of compression is undone, never two: what a digest is taken of must not depend on what is inside.
public final class DecompressedSource: BlockSource {
    private let archive: OpaquePointer
    private let descriptor: OwnedDescriptor
    private let name: String
    private let limits: ArchiveLimits
    private var produced: Int64 = 0
    private var isAtEnd = false

    /// - Parameter descriptor: read from where it stands.
    /// - Parameter name: for messages.
    /// - Throws: `invalidArgument` if the start is damaged.
    public init(_ descriptor: OwnedDescriptor, name: String, limits: ArchiveLimits = ArchiveLimits()) throws {
        guard let archive = archive_read_new() else {
            throw EngineError(.resourceExhausted, "no memory to read archive \(name)")
        }
        self.archive = archive
        self.descriptor = descriptor
        self.name = name
        self.limits = limits
        // Only filters that libarchive has built in: others would start a program.
        archive_read_support_filter_gzip(archive)
        archive_read_support_filter_bzip2(archive)
        archive_read_support_filter_xz(archive)
        archive_read_support_filter_lzma(archive)
        archive_read_support_filter_zstd(archive)
        archive_read_support_filter_lz4(archive)
        archive_read_support_format_raw(archive)
        archive_read_support_format_empty(archive)
        guard archive_read_open_fd(archive, descriptor.raw, 1 << 18) == ARCHIVE_OK else { throw failure() }
        // The last filter is always "none", the file itself.
        guard archive_filter_count(archive) <= 2 else {
            throw EngineError(.invalidArgument, "archive \(name) is compressed more than once")
        }
        var entry: OpaquePointer?
        let result = archive_read_next_header(archive, &entry)
        if result == ARCHIVE_EOF {
            isAtEnd = true
        } else if result != ARCHIVE_OK {
            throw failure()
        }
    }

    deinit { archive_read_free(archive) }

    /// The filter's name as libarchive has it: `gzip`, `zstd`, `none`.
    public var filter: String { archive_filter_name(archive, 0).map { String(cString: $0) } ?? "none" }

    public func nextBlock() throws -> UnsafeRawBufferPointer {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        while !isAtEnd {
            var start: UnsafeRawPointer?
            var size = 0
            var offset: Int64 = 0
            let result = archive_read_data_block(archive, &start, &size, &offset)
            if result == ARCHIVE_EOF {
                isAtEnd = true
                return none
            }
            guard result == ARCHIVE_OK else { throw failure() }
            produced += Int64(size)
            try limits.check(uncompressed: produced, compressed: archive_filter_bytes(archive, -1), of: name)
            if size > 0 { return UnsafeRawBufferPointer(start: start, count: size) }
        }
        return none
    }

    private func failure() -> EngineError {
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "unknown fault"
        let number = archive_errno(archive)
        let code: EngineError.Code = number == EIO || number == ENOMEM ? .internal : .invalidArgument
        return EngineError(code, "archive \(name) cannot be uncompressed: \(text)")
    }
}
