import Archive
public import ContentStore
import DiskImages
import FoundationEssentials
import Glibc
import LinuxHost
public import Model
public import OCI

/// Brings images of LXD and Incus into a content store: as an image that runs like any other, with what they have
/// beyond it and their files as they came in a second manifest.
public struct BundleImporter: Sendable {
    public static let configType = "application/vnd.isle.bundle.config.v1+json"
    public static let fileType = "application/vnd.isle.bundle.file.v1"

    public var store: any ContentStoring
    /// A folder for work in progress.
    public var temporary: String

    public init(store: any ContentStoring, temporary: String) {
        self.store = store
        self.temporary = temporary
    }

    /// An image that was brought in.
    public struct Imported: Sendable {
        public var image: StoredImage
        public var bundle: ImageBundle
        public var document: BundleDocument
    }

    /// Whether the file at `path` is a tarball that begins as LXD's images do; blocks.
    public static func looksRight(_ path: String) throws -> Bool {
        // What is no tar at all is told by those who know what it is.
        (try? BundleReader.looksRight(path)) ?? false
    }

    /// - Parameters:
    ///   - path: the tarball; with `root`, the one that holds the metadata.
    ///   - root: tar, squashfs or disk.
    ///   - names: what the files are called.
    public func importBundle(_ path: String, root: String?, names: [String], progress: ImportProgress?) async throws
        -> Imported
    {
        let work = "\(temporary)/bundle-\(UInt64.random(in: .min ... .max))"
        let paths = (layer: work + ".layer", disk: work + ".img", tar: work + ".tar", qcow2: work + ".qcow2")
        defer { for file in [paths.layer, paths.disk, paths.tar, paths.qcow2] { unlink(file) } }
        let flag = CancelFlag()
        let reader = BundleReader(
            name: names.first.map(Names.quoted) ?? "of the image", layerPath: paths.layer, diskPath: paths.disk,
            flag: flag, progress: progress)
        var content = try await Self.cancellable(flag) { try reader.read(path, hasRoot: root == nil) }
        guard let document = content.document else { throw BundleDocument.wrong("is missing") }
        let importer = ImageImporter(store: store, platform: try Platform(parsing: document.architecture))
        let image: StoredImage
        if let root, try await Self.isDisk(root) {
            image = try await importDisk(root, to: paths.qcow2, importer)
        } else if content.hasDisk {
            image = try await importDisk(paths.disk, to: paths.qcow2, importer)
        } else {
            if let root { content.layer = try await layer(of: root, tar: paths.tar, reader, flag) }
            guard let layer = content.layer else {
                throw EngineError(.invalidArgument, "the image has neither a root filesystem nor a disk")
            }
            image = try await store(layer, at: paths.layer, document, importer)
        }
        var files: [ImageBundle.File] = []
        for (index, file) in ([path] + (root.map { [$0] } ?? [])).enumerated() {
            let blob = try await store.add(file: file, mediaType: Self.fileType)
            let name = index < names.count ? names[index] : "image"
            files.append(ImageBundle.File(name: name, digest: blob.digest.description, size: blob.size))
        }
        let bundle = try await keep(
            metadata: document.metadata, text: content.text, templates: content.templates, files: files)
        return Imported(image: image, bundle: bundle, document: document)
    }

    private static func cancellable<T>(_ flag: CancelFlag, _ body: @escaping @Sendable () throws -> sending T)
        async throws -> sending T
    {
        let box = try await withTaskCancellationHandler {
            try await runBlocking { Box(try body()) }
        } onCancel: {
            flag.set()
        }
        return box.value
    }

    /// Carries a value out of a thread that has ended its work on it.
    private struct Box<T>: @unchecked Sendable {
        var value: T
        init(_ value: T) { self.value = value }
    }

    private static func isDisk(_ path: String) async throws -> Bool {
        try await runBlocking {
            if try SquashfsConversion.isSquashfs(path) { return false }
            if case .disk = try ImageFileKind.detect(path: path).content { return true }
            return false
        }
    }

    private func importDisk(_ path: String, to qcow2: String, _ importer: ImageImporter) async throws -> StoredImage {
        let disk = try await DiskImport().convert(path, to: qcow2)
        // Images of LXD's boot by UEFI unless their disk says otherwise.
        return try await importer.importDisk(
            qcow2, isQcow2: true, virtualSize: Int64(disk.virtualSize), firmware: "uefi",
            importedFrom: disk.format.rawValue)
    }

    private func layer(of root: String, tar: String, _ reader: BundleReader, _ flag: CancelFlag) async throws
        -> (plain: String, packed: String, size: Int64)
    {
        var source = root
        if try await runBlocking({ try SquashfsConversion.isSquashfs(root) }) {
            try await SquashfsConversion.convert(root, toTar: tar)
            source = tar
        }
        let path = source
        return try await Self.cancellable(flag) { try reader.convert(rootTar: path) }
    }

    private func store(
        _ layer: (plain: String, packed: String, size: Int64), at path: String, _ document: BundleDocument,
        _ importer: ImageImporter
    ) async throws -> StoredImage {
        let blob = try await store.add(file: path, mediaType: MediaType.layerZstd)
        guard blob.digest.description == layer.packed else {
            throw EngineError(.internal, "the layer \(path) changed while it was stored")
        }
        let created = Date(timeIntervalSince1970: document.createdAt ?? 0).formatted(.iso8601)
        let configuration = ImageConfiguration(
            platform: importer.platform, created: created, diffIDs: [try ContentDigest(layer.plain)],
            history: [.init(created: created, createdBy: "lxd image", comment: "root filesystem")])
        return try await importer.finish(CanonicalJSON.bytes(configuration), MediaType.config, [blob])
    }
}
