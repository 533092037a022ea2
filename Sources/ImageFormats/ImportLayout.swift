import Archive
import ContentStore
import Glibc
import LinuxHost
import Model
import OCI

extension ImageImporter {
    /// Imports an OCI layout in a folder. Paths are resolved below the folder and links are not followed, so a layout
    /// cannot hand out files of the host.
    func importLayout(folder path: String) async throws -> [ImportedImage] {
        let root = try await runBlocking { try RootDirectory(path: path, confinement: .beneath) }
        let read = { (name: String) in
            try await runBlocking { () throws -> [UInt8] in
                let file = try Self.openMember(name, in: root)
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 65536)
                while true {
                    let count = Glibc.read(file.raw, &buffer, buffer.count)
                    guard count >= 0 else { throw EngineError.system(errno, "read \(name)") }
                    if count == 0 { return bytes }
                    bytes += buffer[..<count]
                    guard bytes.count <= ManifestDocument.Bounds.documentBytes else {
                        throw EngineError(.invalidArgument, "\(name) of the OCI layout is too long")
                    }
                }
            }
        }
        let documents: LayoutDocuments
        do {
            documents = try LayoutDocuments(marker: try await read("oci-layout"), index: try await read("index.json"))
        } catch let error as EngineError where error.code == .notFound {
            throw EngineError(
                .unsupported, "the folder \(Names.quoted(path)) is not an OCI layout",
                hint: "it has no oci-layout or index.json")
        }
        return try await importLayout(documents) { descriptor in
            guard let writer = try await store.writer(for: descriptor.digest, size: descriptor.size) else { return }
            defer { writer.release() }
            try await writer.restart()
            let flag = CancelFlag()
            try await withTaskCancellationHandler {
                try await runBlocking {
                    let file = try Self.openMember("blobs/sha256/" + descriptor.digest.hex, in: root)
                    try Self.copy(file, to: writer, flag: flag)
                }
            } onCancel: {
                flag.set()
            }
            try await writer.commit()
        }
    }

    /// Imports an OCI layout in a tar: a second pass brings every blob in under its verified digest, then the graph is
    /// walked in the store. Blobs that no image needs go with the next prune.
    func importLayout(
        tar path: String, _ survey: ArchiveSurvey, _ progress: ImportProgress?
    ) async throws -> [ImportedImage] {
        let archive = try await runBlocking { try ArchiveFile(path, progress: progress) }
        while let entry = try await archive.next() {
            guard entry.kind == .file, let name = ArchiveFile.normalized(entry.path), let digest = Self.digest(of: name)
            else { continue }
            try await bringIn(digest, entry, of: archive)
        }
        return try await importLayout(survey, archive: path)
    }

    /// Walks the graph of a layout whose blobs were brought in.
    func importLayout(_ survey: ArchiveSurvey, archive path: String) async throws -> [ImportedImage] {
        let documents = try LayoutDocuments(
            marker: survey.documents["oci-layout"] ?? [], index: survey.documents["index.json"] ?? [])
        return try await importLayout(documents) { descriptor in
            guard try await store.has(descriptor.digest) else {
                throw EngineError(
                    .invalidArgument, "archive \(Names.quoted(path)) does not hold \(descriptor.digest), which it names"
                )
            }
        }
    }

    /// The digest that a member's name states (image-spec, "image-layout").
    static func digest(of name: String) -> ContentDigest? {
        let folder = "blobs/sha256/"
        return name.hasPrefix(folder) ? try? ContentDigest(hex: String(name.dropFirst(folder.count))) : nil
    }

    /// Stores the present member under its verified digest, unless it is there.
    func bringIn(_ digest: ContentDigest, _ entry: TarEntry, of archive: ArchiveFile) async throws {
        guard let writer = try await store.writer(for: digest, size: entry.size) else { return }
        defer { writer.release() }
        try await writer.restart()
        try await archive.copy(to: writer)
        try await writer.commit()
    }

    /// Walks from the entries down; `fetch` sees to it that what a descriptor names is in the store.
    private func importLayout(
        _ documents: LayoutDocuments, fetch: (Descriptor) async throws -> Void
    ) async throws -> [ImportedImage] {
        var images: [ImportedImage] = []
        for entry in try documents.chosen(platform) {
            try await collect(entry.descriptor, depth: 0, fetch)
            images.append(
                ImportedImage(
                    image: try await store.image(entry.descriptor.digest, platform: platform), names: entry.names))
        }
        return images
    }

    private func collect(
        _ descriptor: Descriptor, depth: Int, _ fetch: (Descriptor) async throws -> Void
    ) async throws {
        guard depth < ImageGraph.maxDepth else { throw ImageGraph.tooDeep(descriptor.digest) }
        try await fetch(descriptor)
        guard try await store.size(descriptor.digest) == descriptor.size else {
            throw EngineError(.invalidArgument, "\(descriptor.digest) has another size than the OCI layout says")
        }
        switch try await store.document(descriptor.digest, mediaType: descriptor.mediaType) {
        case .index(let index):
            try await collect(index.choose(platform, what: "the OCI layout"), depth: depth + 1, fetch)
        case .image(let manifest):
            _ = try StoredImage.content(of: manifest, descriptor.digest)
            for blob in [manifest.config] + manifest.layers {
                try await fetch(blob)
                guard try await store.size(blob.digest) == blob.size else {
                    throw EngineError(.invalidArgument, "\(blob.digest) has another size than its manifest says")
                }
            }
        }
    }

    /// Opens a regular file; a link in its place is refused.
    private static func openMember(_ name: String, in root: RootDirectory) throws -> OwnedDescriptor {
        let file = try root.open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        var status = stat()
        guard fstat(file.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw EngineError(.invalidArgument, "\(name) of the OCI layout is not a regular file")
        }
        return file
    }

    private static func copy(_ file: OwnedDescriptor, to writer: any ContentWriter, flag: CancelFlag) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            if flag.isSet { throw CancellationError() }
            let count = Glibc.read(file.raw, &buffer, buffer.count)
            guard count >= 0 else { throw EngineError.system(errno, "read a blob of the OCI layout") }
            if count == 0 { return }
            try buffer.withUnsafeBytes { try writer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
