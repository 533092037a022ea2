import Archive
import ContentStore
import Glibc
import LinuxHost
import Model
import OCI

/// What a tar is as a layer: its compression, and the digest of its uncompressed bytes.
struct LayerProbe: Sendable {
    /// nil if it is compressed in a way that images do not know.
    var mediaType: String?
    var diffID: ContentDigest
    /// Uncompressed bytes.
    var size: Int64

    /// Reads the whole file; blocks.
    /// - Parameter mustHold: refuse a tar without members, and check that it is one.
    init(_ path: String, mustHold: Bool, flag: CancelFlag) throws {
        let source = try DecompressedSource(ArchiveFile.open(path), name: path)
        let hashing = HashingSource(StoppableSource(source, flag: flag))
        if mustHold {
            let reader = TarReader(hashing, name: path)
            var members = 0
            while try reader.next() != nil { members += 1 }
            guard members > 0 else { throw EngineError(.invalidArgument, "archive \(Names.quoted(path)) is empty") }
        }
        diffID = try ContentDigest(hashing.digest())
        size = hashing.count
        mediaType = Self.mediaType(filter: source.filter)
    }

    static func mediaType(filter: String) -> String? {
        switch filter {
        case "none": MediaType.layer
        case "gzip": MediaType.layerGzip
        case "zstd": MediaType.layerZstd
        default: nil
        }
    }

    /// Writes the uncompressed bytes of the file into `writer`; blocks.
    static func copy(_ path: String, to writer: any ContentWriter, flag: CancelFlag, progress: ImportProgress?) throws {
        let source = StoppableSource(try DecompressedSource(ArchiveFile.open(path), name: path), flag: flag)
        var done: Int64 = 0
        var reported: Int64 = 0
        while true {
            let block = try source.nextBlock()
            if block.isEmpty { return }
            try writer.append(block)
            done += Int64(block.count)
            if done - reported > 8 << 20 {
                reported = done
                progress?(done)
            }
        }
    }
}

/// Passes a stream on until the task that wants it is cancelled.
final class StoppableSource: BlockSource {
    private let base: any BlockSource
    private let flag: CancelFlag

    init(_ base: any BlockSource, flag: CancelFlag) {
        self.base = base
        self.flag = flag
    }

    func nextBlock() throws -> UnsafeRawBufferPointer {
        if flag.isSet { throw CancellationError() }
        return try base.nextBlock()
    }
}
