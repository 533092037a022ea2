import DoorKit
import DriverKit
import Model
import NIOCore

/// The server's side of one session of SFTP, version 3, over the files of an instance.
///
/// Requests are answered in their order, one at a time. Understood extensions: `posix-rename@openssh.com`,
/// `hardlink@openssh.com`, `fsync@openssh.com` (OpenSSH's PROTOCOL, section 4).
actor SFTPServer {
    private enum Handle {
        case file(any GuestFile, appends: Bool)
        /// Entries that were not told yet.
        case folder([(name: GuestPath, facts: FileFacts)])
    }

    /// Bytes of a packet at most: what OpenSSH's server takes.
    private static let longest = 256 << 10
    private static let mostHandles = 256

    private let files: SessionFiles
    private var handles: [UInt32: Handle] = [:]
    private var nextHandle: UInt32 = 1

    init(files: SessionFiles) { self.files = files }

    /// Answers until the client has no more to say.
    func serve(_ stream: UpgradedStream) async throws {
        var pending: [UInt8] = []
        while let bytes = try await stream.read() {
            pending += bytes.readableBytesView
            var start = 0
            while pending.count - start >= 4 {
                let length = pending[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
                guard (1...Self.longest).contains(length) else { throw SFTP.Malformed() }
                guard pending.count - start >= 4 + length else { break }
                let answer = try await answer(pending[start + 4..<start + 4 + length])
                try await stream.write(ByteBuffer(bytes: answer))
                start += 4 + length
            }
            pending.removeFirst(start)
        }
    }

    /// Closes what the client left open.
    func end() async {
        for case .file(let file, _) in handles.values { file.close() }
        handles = [:]
        await files.end()
    }

    /// The answer to one packet without its length.
    func answer(_ packet: ArraySlice<UInt8>) async throws -> [UInt8] {
        var reader = SFTPReader(packet)
        let kind = try reader.byte()
        if kind == SFTP.Request.start.rawValue {
            _ = try reader.number()
            var writer = SFTPWriter(.version, id: nil)
            writer.number(3)
            for name in ["posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com"] {
                writer.string(name.utf8)
                writer.string("1".utf8)
            }
            return writer.finished
        }
        let id = try reader.number()
        guard let request = SFTP.Request(rawValue: kind) else {
            return Self.status(id, .unsupported, "request \(kind) is not known")
        }
        do {
            return try await perform(request, id, &reader)
        } catch let error as EngineError {
            return Self.status(id, Self.code(error), error.message)
        } catch is SFTP.Malformed {
            return Self.status(id, .badMessage, "the packet is damaged")
        }
    }

    private func perform(_ request: SFTP.Request, _ id: UInt32, _ reader: inout SFTPReader) async throws -> [UInt8] {
        switch request {
        case .start: throw SFTP.Malformed()
        case .open, .close, .read, .write, .fstat, .fsetstat, .opendir, .readdir:
            return try await handleCall(request, id, &reader)
        case .lstat, .stat:
            let path = try reader.path()
            let facts = try await files.run { try await $0.facts(path, following: request == .stat) }
            guard let facts else { return Self.status(id, .noSuchFile, "no such file") }
            return Self.attributes(id, facts)
        case .realpath: return Self.names(id, [(Self.absolute(try reader.path()), nil)])
        case .readlink:
            let path = try reader.path()
            return Self.names(id, [(try await files.run { try await $0.readLink(path) }, nil)])
        case .setstat:
            let (path, change) = (try reader.path(), try reader.attributes())
            try await files.run { try await $0.change(path, change, following: true) }
        case .remove, .rmdir:
            let path = try reader.path()
            try await files.run { tree in
                guard let facts = try await tree.facts(path, following: false) else {
                    throw EngineError(.notFound, "no such file")
                }
                guard (facts.kind == .directory) == (request == .rmdir) else {
                    throw EngineError(.invalidArgument, "it is \(request == .rmdir ? "no" : "a") folder")
                }
                try await tree.remove(path)
            }
        case .mkdir:
            let (path, attributes) = (try reader.path(), try reader.attributes())
            try await files.run { try await $0.makeDirectory(path, attributes) }
        case .rename:
            let (old, new) = (try reader.path(), try reader.path())
            try await files.run { try await $0.rename(old, to: new, replacing: false) }
        case .symlink:
            // OpenSSH's order: what the link holds first (its PROTOCOL, section 4.1).
            let (target, path) = (try reader.path(), try reader.path())
            try await files.run { try await $0.makeLink(path, target: target, FileChange()) }
        case .extended: return try await extended(id, &reader)
        }
        return Self.status(id, .ok, "")
    }

    private func extended(_ id: UInt32, _ reader: inout SFTPReader) async throws -> [UInt8] {
        switch try reader.text() {
        case "posix-rename@openssh.com":
            let (old, new) = (try reader.path(), try reader.path())
            try await files.run { try await $0.rename(old, to: new, replacing: true) }
        case "hardlink@openssh.com":
            let (old, new) = (try reader.path(), try reader.path())
            try await files.run { try await $0.makeHardLink(new, to: old) }
        case "fsync@openssh.com":
            guard case .file(let file, _) = try find(&reader) else { throw Self.wrongHandle }
            try await file.synchronize()
        case let name: return Self.status(id, .unsupported, "the extension \(name) is not known")
        }
        return Self.status(id, .ok, "")
    }

    // MARK: handles

    private func handleCall(_ request: SFTP.Request, _ id: UInt32, _ reader: inout SFTPReader) async throws -> [UInt8] {
        switch request {
        case .open:
            let (path, flags, attributes) = (try reader.path(), try reader.number(), try reader.attributes())
            let opening = FileOpening(
                writes: flags & SFTP.Flag.write != 0, creates: flags & SFTP.Flag.create != 0,
                truncates: flags & SFTP.Flag.truncate != 0, exclusive: flags & SFTP.Flag.exclusive != 0,
                attributes: attributes)
            let file = try await files.run { try await $0.open(path, opening) }
            return try keep(.file(file, appends: flags & SFTP.Flag.append != 0), id)
        case .opendir:
            let path = try reader.path()
            let entries = try await files.run { tree in
                guard let own = try await tree.facts(path, following: true) else {
                    throw EngineError(.notFound, "no such folder")
                }
                let above = try await tree.facts(path.appending(GuestPath("..")), following: true) ?? own
                return [(name: GuestPath("."), facts: own), (name: GuestPath(".."), facts: above)]
                    + (try await tree.list(path))
            }
            return try keep(.folder(entries), id)
        case .close:
            let number = try handleNumber(&reader)
            guard let handle = handles.removeValue(forKey: number) else { throw Self.wrongHandle }
            if case .file(let file, _) = handle { file.close() }
        case .readdir:
            let number = try handleNumber(&reader)
            guard case .folder(let entries)? = handles[number] else { throw Self.wrongHandle }
            guard !entries.isEmpty else { return Self.status(id, .end, "that was all") }
            handles[number] = .folder(Array(entries.dropFirst(100)))
            return Self.names(id, entries.prefix(100).map { ($0.name, $0.facts) })
        case .fstat:
            guard case .file(let file, _) = try find(&reader) else { throw Self.wrongHandle }
            return Self.attributes(id, try await file.facts())
        case .fsetstat:
            guard case .file(let file, _) = try find(&reader) else { throw Self.wrongHandle }
            try await file.change(try reader.attributes())
        case .read:
            guard case .file(let file, _) = try find(&reader) else { throw Self.wrongHandle }
            let (offset, count) = (Int64(clamping: try reader.long()), Int(try reader.number()))
            let bytes = try await file.read(at: offset, count: min(count, Self.longest - 1024))
            guard !bytes.isEmpty else { return Self.status(id, .end, "the file ends here") }
            var writer = SFTPWriter(.data, id: id)
            writer.string(bytes)
            return writer.finished
        case .write:
            guard case .file(let file, let appends) = try find(&reader) else { throw Self.wrongHandle }
            var offset = Int64(clamping: try reader.long())
            if appends { offset = try await file.facts().size }
            try await file.write(Array(try reader.bytes()), at: offset)
        default: throw SFTP.Malformed()
        }
        return Self.status(id, .ok, "")
    }

    private func keep(_ handle: Handle, _ id: UInt32) throws -> [UInt8] {
        guard handles.count < Self.mostHandles else {
            if case .file(let file, _) = handle { file.close() }
            throw EngineError(.resourceExhausted, "more than \(Self.mostHandles) files are open")
        }
        handles[nextHandle] = handle
        var writer = SFTPWriter(.handle, id: id)
        writer.string([24, 16, 8, 0].map { UInt8(truncatingIfNeeded: nextHandle >> $0) })
        nextHandle &+= 1
        return writer.finished
    }

    private func handleNumber(_ reader: inout SFTPReader) throws -> UInt32 {
        let bytes = try reader.bytes()
        guard bytes.count == 4 else { throw Self.wrongHandle }
        return bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    private func find(_ reader: inout SFTPReader) throws -> Handle {
        guard let handle = handles[try handleNumber(&reader)] else { throw Self.wrongHandle }
        return handle
    }

    private static var wrongHandle: EngineError { EngineError(.invalidArgument, "the handle is not open") }

    // MARK: answers

    private static func status(_ id: UInt32, _ code: SFTP.Status, _ text: String) -> [UInt8] {
        var writer = SFTPWriter(.status, id: id)
        writer.number(code.rawValue)
        writer.string(text.utf8)
        writer.string("en".utf8)
        return writer.finished
    }

    private static func attributes(_ id: UInt32, _ facts: FileFacts) -> [UInt8] {
        var writer = SFTPWriter(.attributes, id: id)
        writer.attributes(facts)
        return writer.finished
    }

    private static func names(_ id: UInt32, _ entries: [(GuestPath, FileFacts?)]) -> [UInt8] {
        var writer = SFTPWriter(.name, id: id)
        writer.number(UInt32(entries.count))
        for (name, facts) in entries {
            writer.string(name.bytes)
            // The long form is for people only; clients of version 3 show it as it is.
            writer.string(name.bytes)
            if let facts { writer.attributes(facts) } else { writer.number(0) }
        }
        return writer.finished
    }

    /// The path from the root without `.`, `..` and empty names; links are left to whoever uses it.
    static func absolute(_ path: GuestPath) -> GuestPath {
        var names: [GuestPath] = []
        for name in path.names {
            if name == GuestPath("..") { _ = names.popLast() } else { names.append(name) }
        }
        return GuestPath(bytes: [UInt8(ascii: "/")] + names.map(\.bytes).joined(separator: [UInt8(ascii: "/")]))
    }

    private static func code(_ error: EngineError) -> SFTP.Status {
        switch error.code {
        case .notFound: .noSuchFile
        case .permissionDenied: .permissionDenied
        case .unsupported: .unsupported
        case .invalidArgument, .alreadyExists, .conflict, .busy, .resourceExhausted, .cancelled, .timeout,
            .unavailable, .internal:
            .failure
        }
    }
}
