import Archive
import DriverKit
import Glibc
import LinuxHost
import Model
import NIOCore

/// Files of an instance as a tar archive, in both directions. Every path is resolved by the tree, below its root.
struct FileArchive {
    let tree: any FileTree
    /// Folders, by the names on the way to them, that are written without what is in them.
    var bare: Set<[GuestPath]> = []
    /// Bytes that are read or written at a time.
    private static let piece = 1 << 18
    /// A member of at most this many bytes is not put aside on its way in.
    private static let small = 1 << 22

    // MARK: out

    /// Writes what stands at `path` under the name `base`, folders with all below them.
    func write(_ path: String, as base: String, _ facts: FileFacts, _ send: (ByteBuffer) async throws -> Void)
        async throws
    {
        let buffer = Collected()
        let writer = TarWriter { buffer.bytes.writeBytes($0) }
        try await add(GuestPath(path), as: GuestPath(base), facts, writer, buffer, send)
        try writer.finish()
        try await send(buffer.take())
    }

    /// Where the writer leaves what is to be sent.
    private final class Collected {
        var bytes = ByteBuffer()
        func take() -> ByteBuffer {
            defer { bytes = ByteBuffer() }
            return bytes
        }
    }

    private func add(
        _ path: GuestPath, as name: GuestPath, _ facts: FileFacts, _ writer: TarWriter, _ buffer: Collected,
        _ send: (ByteBuffer) async throws -> Void
    ) async throws {
        try Task.checkCancellation()
        var entry = TarEntry(
            .file, path: HostPath(bytes: name.bytes), permissions: facts.permissions, user: facts.user,
            group: facts.group, modified: FileTime(seconds: facts.modified))
        switch facts.kind {
        case .regular:
            let file = try await tree.open(path, FileOpening())
            defer { file.close() }
            // What it is now: the length of the member is fixed with its header.
            entry.size = try await file.facts().size
            try writer.begin(entry)
            var offset: Int64 = 0
            while offset < entry.size {
                let most = Int(min(entry.size - offset, Int64(Self.piece)))
                var bytes = try await file.read(at: offset, count: most)
                // A file that became shorter meanwhile is filled up.
                if bytes.isEmpty { bytes = [UInt8](repeating: 0, count: most) }
                try bytes.withUnsafeBytes { try writer.write($0) }
                offset += Int64(bytes.count)
                if buffer.bytes.readableBytes >= Self.piece { try await send(buffer.take()) }
            }
        case .directory:
            entry.kind = .directory
            if !name.bytes.isEmpty { try writer.add(entry) }
            guard !bare.contains(path.names) else { break }
            let children = try await tree.list(path).sorted { $0.name.text < $1.name.text }
            for child in children {
                let inner = name.bytes.isEmpty ? child.name : name.appending(child.name)
                try await add(path.appending(child.name), as: inner, child.facts, writer, buffer, send)
            }
        case .symbolicLink:
            entry.kind = .symbolicLink
            entry.linkTarget = HostPath(bytes: try await tree.readLink(path).bytes)
            try writer.add(entry)
        case .characterDevice, .blockDevice, .fifo, .socket, .unknown:
            // Nothing that could be copied.
            return
        }
        if buffer.bytes.readableBytes >= Self.piece { try await send(buffer.take()) }
    }

    // MARK: in

    /// Unpacks the archive at `archive`, a file of the host, below `folder`.
    ///
    /// - Parameters:
    ///   - keepsKinds: a folder is not replaced by a file, nor the other way round.
    ///   - scratch: a path for large members on their way.
    func extract(_ archive: String, into folder: GuestPath, keepsKinds: Bool, scratch: String) async throws {
        let descriptor = OwnedDescriptor(open(archive, O_RDONLY | O_CLOEXEC))
        guard descriptor.raw >= 0 else {
            throw EngineError(.internal, "the file \(archive) cannot be read: \(String(errno: errno))")
        }
        let reader = TarReader(
            try DecompressedSource(descriptor, name: "of the request"), name: "of the request")
        while let entry = try reader.next() {
            try Task.checkCancellation()
            let names = GuestPath(bytes: entry.path.bytes).names
            guard !names.contains(GuestPath("..")) else {
                throw EngineError(.invalidArgument, "the archive's member \(entry.name) has '..' in its path")
            }
            guard !names.isEmpty else { continue }
            var path = folder
            for name in names.dropLast() {
                path = path.appending(name)
                if try await tree.facts(path, following: true) == nil {
                    try await tree.makeDirectory(path, FileChange(permissions: 0o755))
                }
            }
            try await place(entry, reader, at: path.appending(names[names.count - 1]), folder, keepsKinds, scratch)
        }
    }

    private func place(
        _ entry: TarEntry, _ reader: TarReader, at path: GuestPath, _ folder: GuestPath, _ keepsKinds: Bool,
        _ scratch: String
    ) async throws {
        let attributes = FileChange(
            permissions: entry.permissions, user: entry.user < 65_534 ? entry.user : 0,
            group: entry.group < 65_534 ? entry.group : 0, modified: entry.modified.seconds)
        let there = try await tree.facts(path, following: false)
        let isFolder = entry.kind == .directory
        if let there, (there.kind == .directory) != isFolder {
            guard !keepsKinds else {
                throw EngineError(
                    .invalidArgument,
                    isFolder
                        ? "cannot overwrite non-directory \(Names.quoted(path.text)) with directory"
                        : "cannot overwrite directory \(Names.quoted(path.text)) with non-directory")
            }
            try await tree.remove(path)
        }
        switch entry.kind {
        case .directory:
            if there?.kind == .directory {
                try await tree.change(path, attributes, following: false)
            } else {
                try await tree.makeDirectory(path, attributes)
            }
        case .file:
            if there?.kind == .symbolicLink { try await tree.remove(path) }
            try await fill(path, entry, reader, attributes, scratch)
        case .symbolicLink:
            if there != nil, there?.kind != .directory { try await tree.remove(path) }
            try await tree.makeLink(path, target: GuestPath(bytes: entry.linkTarget.bytes), attributes)
        case .hardLink:
            if there != nil, there?.kind != .directory { try await tree.remove(path) }
            try await tree.makeHardLink(path, to: folder.appending(GuestPath(bytes: entry.linkTarget.bytes)))
        default:
            throw EngineError(
                .unsupported, "the archive's member \(entry.name) is neither a file, a folder nor a link")
        }
    }

    private func fill(
        _ path: GuestPath, _ entry: TarEntry, _ reader: TarReader, _ attributes: FileChange, _ scratch: String
    ) async throws {
        let file = try await tree.open(
            path, FileOpening(writes: true, creates: true, truncates: true, attributes: attributes))
        defer { file.close() }
        if entry.size <= Int64(Self.small) {
            let bytes = try reader.readAll(limit: Self.small)
            if !bytes.isEmpty { try await file.write(bytes, at: 0) }
        } else {
            try await copy(reader, to: file, scratch)
        }
        try await file.change(attributes)
    }

    /// By way of a file on the host, since an archive is read in one go.
    private func copy(_ reader: TarReader, to file: any GuestFile, _ scratch: String) async throws {
        let aside = OwnedDescriptor(open(scratch, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
        guard aside.raw >= 0 else {
            throw EngineError(.internal, "the file \(scratch) cannot be made: \(String(errno: errno))")
        }
        unlink(scratch)
        try reader.readData { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(aside.raw, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                guard count > 0 || errno == EINTR else {
                    throw EngineError(
                        errno == ENOSPC ? .resourceExhausted : .internal, "copying a file: \(String(errno: errno))")
                }
                rest = rest.dropFirst(max(0, count))
            }
        }
        var offset: Int64 = 0
        while true {
            var bytes = [UInt8](repeating: 0, count: Self.piece)
            let count = pread(aside.raw, &bytes, bytes.count, off_t(offset))
            guard count > 0 else { return }
            try await file.write(Array(bytes[..<count]), at: offset)
            offset += Int64(count)
        }
    }

    // MARK: names and modes

    /// The last part of a path as a client wrote it: `/etc/.` is `.`, the root `/`.
    static func baseName(_ path: String) -> String {
        if path.hasSuffix("/.") { return "." }
        return path.split(separator: "/").last.map(String.init) ?? "/"
    }

    /// Go's `os.FileMode`, which has bits of its own for the type.
    static func goMode(_ facts: FileFacts) -> Int64 {
        var mode = Int64(facts.permissions & 0o777)
        if facts.permissions & 0o4000 != 0 { mode |= 1 << 23 }
        if facts.permissions & 0o2000 != 0 { mode |= 1 << 22 }
        if facts.permissions & 0o1000 != 0 { mode |= 1 << 20 }
        switch facts.kind {
        case .directory: mode |= 1 << 31
        case .symbolicLink: mode |= 1 << 27
        case .blockDevice: mode |= 1 << 26
        case .characterDevice: mode |= 1 << 26 | 1 << 21
        case .fifo: mode |= 1 << 25
        case .socket: mode |= 1 << 24
        case .regular, .unknown: break
        }
        return mode
    }
}
