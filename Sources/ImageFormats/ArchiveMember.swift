import Archive
import Glibc
import LinuxHost
import Model
import OCI

/// One file of an archive that is to be written.
struct ArchiveMember: Sendable {
    enum Content: Sendable {
        case bytes([UInt8])
        /// A file as it is.
        case file(String)
        /// The uncompressed bytes of a file, which have this digest.
        case uncompressed(String, ContentDigest)
    }

    var name: String
    var content: Content

    init(name: String, bytes: [UInt8]) {
        self.name = name
        content = .bytes(bytes)
    }

    init(name: String, blob path: String, diffID: ContentDigest?) {
        self.name = name
        content = diffID.map { .uncompressed(path, $0) } ?? .file(path)
    }

    /// Writes a tar; blocks. The file appears under its name when it is whole and on the disk.
    static func write(_ members: [ArchiveMember], to path: String, flag: CancelFlag) throws {
        let temporary = path + ".part-" + String(UInt32.random(in: 0 ... .max), radix: 16)
        let raw = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard raw >= 0 else { throw EngineError.system(errno, "create \(Names.quoted(temporary))") }
        let file = OwnedDescriptor(raw)
        do {
            let writer = TarWriter { try writeAll(file, $0, path) }
            for member in members { try member.add(to: writer, flag) }
            try writer.finish()
            guard fsync(file.raw) == 0 else { throw EngineError.system(errno, "sync \(Names.quoted(path))") }
            guard rename(temporary, path) == 0 else {
                throw EngineError.system(errno, "rename to \(Names.quoted(path))")
            }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    private func add(to writer: TarWriter, _ flag: CancelFlag) throws {
        var entry = TarEntry(.file, path: HostPath(name), permissions: 0o644)
        switch content {
        case .bytes(let bytes): try writer.add(entry, content: bytes)
        case .file(let path):
            let file = try ArchiveFile.open(path)
            var status = stat()
            guard fstat(file.raw, &status) == 0 else { throw EngineError.system(errno, "look at \(path)") }
            entry.size = Int64(status.st_size)
            try writer.begin(entry)
            try Self.pump(StoppableSource(FileSource(file, name: path), flag: flag), writer)
        case .uncompressed(let path, let digest):
            // A tar states a member's size before its bytes, and a compressed file does not tell it.
            let probe = try LayerProbe(path, mustHold: false, flag: flag)
            guard probe.diffID == digest else {
                throw EngineError(.internal, "layer \(digest) is \(probe.diffID) once it is uncompressed")
            }
            entry.size = probe.size
            try writer.begin(entry)
            let source = try DecompressedSource(ArchiveFile.open(path), name: path)
            try Self.pump(StoppableSource(source, flag: flag), writer)
        }
    }

    private static func pump(_ source: any BlockSource, _ writer: TarWriter) throws {
        while true {
            let block = try source.nextBlock()
            if block.isEmpty { return }
            try writer.write(block)
        }
    }

    private static func writeAll(_ file: OwnedDescriptor, _ bytes: UnsafeRawBufferPointer, _ path: String) throws {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(file.raw, bytes.baseAddress?.advanced(by: done), bytes.count - done)
            if count < 0 {
                if errno == EINTR { continue }
                throw EngineError.system(errno, "write \(Names.quoted(path))")
            }
            done += count
        }
    }
}
