import Archive
public import DriverKit
import Glibc
import ImageFormats
import LinuxHost
public import Model

extension OverlayStorage: BackupArchiver {
    private static let index = "backup/index.yaml"
    /// Bytes of an index at most: it tells of every snapshot.
    private static let indexLimit = 8 << 20

    public func checkCompression(_ compression: String) throws { _ = try Self.compressor(compression) }

    public func writeBackup(_ content: BackupContent, compression: String, to path: String) async throws {
        let (compression, level) = try Self.compressor(compression)
        var parts: [(path: HostPath, content: Opened)] = []
        for part in content.parts { parts.append((HostPath(part.path), try await opened(part.source))) }
        let raw = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard raw >= 0 else { throw EngineError.system(errno, "create \(path)") }
        let file = OwnedDescriptor(raw)
        var texts = [(HostPath(Self.index), Array(try YAMLTree.text(content.index).utf8))]
        for text in content.files {
            switch text.content {
            case .bytes(let bytes): texts.append((HostPath(text.path), bytes))
            case .yaml(let value): texts.append((HostPath(text.path), Array(try YAMLTree.text(value).utf8)))
            }
        }
        let cancelled = CancelFlag()
        do {
            try await withTaskCancellationHandler {
                try await runBlocking { [parts, texts] in
                    let tar = try PackedTar(file, name: path, compression: compression, level: level)
                    let now = FileTime(seconds: Int64(time(nil)))
                    for (name, bytes) in texts {
                        try tar.writer.add(
                            TarEntry(.file, path: name, permissions: 0o600, modified: now), content: bytes)
                    }
                    for part in parts { try Self.write(part.content, at: part.path, to: tar, cancelled) }
                    _ = try tar.finish()
                }
            } onCancel: {
                cancelled.set()
            }
        } catch {
            unlink(path)
            throw error
        }
    }

    public func backupIndex(_ path: String) async throws -> Metadata {
        let file = try Self.input(path)
        let limits = limits
        let bytes: [UInt8]? = try await runBlocking {
            let reader = TarReader(
                try DecompressedSource(file, name: "of the backup", limits: limits), name: "of the backup",
                limits: limits)
            // First in every such archive; a few members before it do no harm.
            for _ in 0..<16 {
                guard let entry = try reader.next() else { return nil }
                guard entry.path.components == HostPath(Self.index).components, entry.kind == .file else { continue }
                return try reader.readAll(limit: Self.indexLimit)
            }
            return nil
        }
        guard let bytes else {
            throw EngineError(
                .invalidArgument, "the file is no backup: it has no \(Self.index)",
                hint: "isle export and lxc export make such files; images are imported with isle image import")
        }
        return try YAMLTree.parse(bytes, named: "\(Self.index) of the backup", maxBytes: Self.indexLimit)
    }

    public func unpackBackup(_ path: String, into targets: [String: BackupTarget]) async throws {
        var sorted: [SortedUnpacker.Target] = []
        for (name, target) in targets {
            switch target {
            case .folder(let folder):
                sorted.append(.init(folder: HostPath(name), root: try RootDirectory(path: folder)))
            case .file(let file):
                let slash = file.lastIndex(of: "/") ?? file.startIndex
                sorted.append(
                    .init(
                        folder: HostPath(name), root: try RootDirectory(path: String(file[..<slash])),
                        file: String(file[slash...].dropFirst())))
            }
        }
        let found = Set(
            try await SortedUnpacker.unpack(
                try Self.input(path), named: "of the backup", into: sorted, limits: limits))
        if let missing = sorted.first(where: { !found.contains($0.folder) }) {
            throw EngineError(.invalidArgument, "the backup is not whole: it has no \(missing.folder.text)")
        }
    }

    // MARK: -

    /// A part whose source is open, so that it can be read on any thread.
    private enum Opened: Sendable {
        case tree(RootDirectory)
        case file(OwnedDescriptor, String)
    }

    private func opened(_ source: BackupContent.Part.Source) async throws -> Opened {
        switch source {
        case .root(let files, let layers): return .tree(try await merged(files, layers))
        case .folder(let path): return .tree(try RootDirectory(path: path))
        case .file(let path): return .file(try Self.input(path), path)
        }
    }

    private static func write(_ content: Opened, at path: HostPath, to tar: PackedTar, _ cancelled: CancelFlag) throws {
        switch content {
        case .tree(let root):
            let options = PackOptions(compression: .none, translatesWhiteouts: false, prefix: path)
            _ = try tar.add(root, options: options, cancelled: cancelled)
        case .file(let file, let name):
            let size = lseek(file.raw, 0, SEEK_END)
            guard size >= 0, lseek(file.raw, 0, SEEK_SET) == 0 else {
                throw EngineError.system(errno, "look at \(name)")
            }
            try tar.writer.begin(TarEntry(.file, path: path, permissions: 0o600, size: Int64(size)))
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            var left = Int64(size)
            while left > 0 {
                try cancelled.check()
                let count = read(file.raw, &buffer, Int(min(left, Int64(buffer.count))))
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else {
                    throw count < 0
                        ? EngineError.system(errno, "read \(name)")
                        : EngineError(.conflict, "\(name) became shorter while it was read")
                }
                try buffer.withUnsafeBytes { try tar.writer.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                left -= Int64(count)
            }
        }
    }

    private static func input(_ path: String) throws -> OwnedDescriptor {
        let raw = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(path)") }
        return OwnedDescriptor(raw)
    }

    /// `zstd -9` as algorithm and level. No program is started, so that nothing else can be meant.
    private static func compressor(_ text: String) throws -> (Compression, Int?) {
        let words = text.split(separator: " ")
        let refusal = EngineError(
            .invalidArgument, "\(Names.quoted(text)) is not a compression",
            hint: "\(Compression.allCases.map(\.rawValue).joined(separator: ", ")); with a level as 'zstd -9'")
        guard (1...2).contains(words.count), let compression = Compression(rawValue: String(words[0])) else {
            throw refusal
        }
        guard words.count == 2 else { return (compression, nil) }
        guard words[1].hasPrefix("-"), let level = Int(words[1].dropFirst()), compression != .none,
            (1...(compression == .zstd ? 19 : 9)).contains(level)
        else { throw refusal }
        return (compression, level)
    }
}
