import Archive
import Glibc
import LinuxHost
import Model

/// Takes an image of LXD's apart: metadata, templates, and the root filesystem as a layer or the disk as a file.
///
/// Names are checked one by one. `metadata.yaml`, `templates` and `rootfs` must be what they are called and no links;
/// what else lies beside them is passed over.
struct BundleReader {
    /// What was found.
    struct Content {
        var document: BundleDocument?
        /// `metadata.yaml` as it came.
        var text: [UInt8] = []
        var templates: [String: [UInt8]] = [:]
        /// Digest of the uncompressed layer, digest and size of the file at `layerPath`; nil if there is none.
        var layer: (plain: String, packed: String, size: Int64)?
        var hasDisk = false
    }

    private static let maxTemplates = 256

    let name: String
    /// Files that are written: the layer, and the disk.
    let layerPath: String
    let diskPath: String
    let flag: CancelFlag
    let progress: ImportProgress?

    /// Reads the tarball at `path`; blocks.
    /// - Parameter hasRoot: the tarball holds the root filesystem or the disk too.
    func read(_ path: String, hasRoot: Bool) throws -> Content {
        let source = StoppableSource(try DecompressedSource(ArchiveFile.open(path), name: name), flag: flag)
        let reader = TarReader(source, name: name)
        var content = Content()
        var layer: PackedTar?
        while let entry = try reader.next() {
            progress?(reader.offset)
            let names = entry.path.components
            guard !names.contains("..") else { throw refused(entry, "its path has '..' in it") }
            switch (names.first?.text, names.count) {
            case ("metadata.yaml", 1): try readDocument(entry, reader, &content)
            case ("templates", _): try readTemplate(entry, names, reader, &content)
            case ("rootfs", let count) where hasRoot:
                guard count > 1 || entry.kind == .directory else { throw refused(entry, "it is not a folder") }
                if layer == nil { layer = try begin(layerPath) }
                try layer?.writer.copy(try inside(entry, names), from: reader)
            case ("rootfs.img", 1) where hasRoot: try readDisk(entry, reader, &content)
            default: break
            }
        }
        content.layer = try layer?.finish()
        guard content.document != nil else {
            throw EngineError(.invalidArgument, "archive \(name) is no image of LXD: it has no metadata.yaml")
        }
        return content
    }

    /// Writes a root filesystem tar of any compression as a layer; blocks.
    func convert(rootTar path: String) throws -> (plain: String, packed: String, size: Int64) {
        let source = StoppableSource(try DecompressedSource(ArchiveFile.open(path), name: name), flag: flag)
        let reader = TarReader(source, name: name)
        let layer = try begin(layerPath)
        while let entry = try reader.next() {
            progress?(reader.offset)
            try layer.writer.copy(entry, from: reader)
        }
        return try layer.finish()
    }

    private func begin(_ path: String) throws -> PackedTar {
        try PackedTar(Self.create(path), name: name, compression: .zstd)
    }

    private static func create(_ path: String) throws -> OwnedDescriptor {
        let raw = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard raw >= 0 else { throw EngineError.system(errno, "create \(path)") }
        return OwnedDescriptor(raw)
    }

    private func readDocument(_ entry: TarEntry, _ reader: TarReader, _ content: inout Content) throws {
        guard entry.kind == .file, entry.sparse == nil else { throw refused(entry, "it is not a regular file") }
        guard content.document == nil else { throw refused(entry, "it is there twice") }
        content.text = try reader.readAll(limit: BundleDocument.maxBytes)
        content.document = try BundleDocument(parsing: content.text)
    }

    private func readTemplate(
        _ entry: TarEntry, _ names: [HostPath], _ reader: TarReader, _ content: inout Content
    ) throws {
        guard names.count > 1 else {
            guard entry.kind == .directory else { throw refused(entry, "it is not a folder") }
            return
        }
        guard names.count == 2, entry.kind == .file, entry.sparse == nil else {
            throw refused(entry, "templates are regular files in one folder")
        }
        let name = names[1].text
        try BundleDocument.checkTemplate(name)
        guard content.templates.count < Self.maxTemplates else { throw refused(entry, "there are too many templates") }
        content.templates[name] = try reader.readAll(limit: 1 << 20)
    }

    private func readDisk(_ entry: TarEntry, _ reader: TarReader, _ content: inout Content) throws {
        guard entry.kind == .file, entry.sparse == nil, !content.hasDisk else {
            throw refused(entry, "it is not one regular file")
        }
        content.hasDisk = true
        let file = try Self.create(diskPath)
        try reader.readData { piece in
            var rest = piece
            while !rest.isEmpty {
                let count = write(file.raw, rest.baseAddress, rest.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { throw EngineError.system(errno, "write \(diskPath)") }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }

    /// The member as one of the root filesystem; hard links within `rootfs` only.
    private func inside(_ entry: TarEntry, _ names: [HostPath]) throws -> TarEntry {
        var inner = entry
        inner.path = names.count == 1 ? "./" : Self.joined(names.dropFirst())
        if entry.kind == .hardLink {
            let target = entry.linkTarget.components
            guard target.first == "rootfs", target.count > 1, !target.contains("..") else {
                throw refused(
                    entry, "it links to \(Names.quoted(entry.linkTarget.text)), which is outside of the root filesystem"
                )
            }
            inner.linkTarget = Self.joined(target.dropFirst())
        }
        return inner
    }

    private static func joined(_ names: ArraySlice<HostPath>) -> HostPath {
        HostPath(bytes: Array(names.map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
    }

    private func refused(_ entry: TarEntry, _ why: String) -> EngineError {
        EngineError(.invalidArgument, "member \(entry.name) of archive \(name) is refused: \(why)")
    }

    /// Whether the tarball begins as images of LXD do.
    static func looksRight(_ path: String) throws -> Bool {
        let source = try DecompressedSource(ArchiveFile.open(path), name: path)
        let reader = TarReader(source, name: path)
        while let entry = try reader.next() {
            guard let first = entry.path.components.first else { continue }
            return ["metadata.yaml", "templates", "rootfs", "rootfs.img"].contains(first.text)
        }
        return false
    }
}
