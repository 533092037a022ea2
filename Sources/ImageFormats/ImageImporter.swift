import Archive
public import ContentStore
import DiskImages
import FoundationEssentials
import Glibc
import LinuxHost
public import Model
public import OCI

/// Brings images out of files into a content store. Whatever the form was, the result is an image with a manifest.
///
/// Names and digests in archives are the archive's claims: digests are verified, names checked, links followed within
/// the archive only, and nothing of the host is read through them.
public struct ImageImporter: Sendable {
    public var store: any ContentStoring
    /// Which image is taken where an archive has one for each of several platforms; and what an archive is said to be
    /// for that does not say it itself.
    public var platform: Platform

    public init(store: any ContentStoring, platform: Platform = .host) {
        self.store = store
        self.platform = platform
    }

    /// Imports an OCI layout (folder or tar), a docker archive, a root filesystem tar, or a WASM file, told apart by
    /// content.
    /// - Throws: `invalidArgument` if the content is damaged, `unsupported` if it is something else (disks, which have to
    ///   be converted first: `importDisk`).
    public func importFile(_ path: String, progress: ImportProgress? = nil) async throws -> [ImportedImage] {
        if try await runBlocking({ try Self.isFolder(path) }) { return try await importLayout(folder: path) }
        let kind = try await runBlocking { try ImageFileKind.detect(path: path) }
        switch kind.content {
        case .wasmModule, .wasmComponent:
            guard !kind.isCompressed else {
                throw EngineError(
                    .unsupported, "\(Names.quoted(path)) is a compressed WASM file", hint: "uncompress it first")
            }
            let image = try await importModule(path, isComponent: kind.content == .wasmComponent)
            return [ImportedImage(image: image, names: [])]
        case .disk(let format):
            throw EngineError(
                .unsupported, "\(Names.quoted(path)) is a disk in format \(format.rawValue), not an image archive")
        case .ova: throw EngineError(.unsupported, "\(Names.quoted(path)) is an OVA, not an image archive")
        case .ociLayout, .dockerArchive, .rootFilesystem: break
        }
        let survey = try await ArchiveSurvey.make(path, progress: progress)
        switch survey.kind {
        case .layout: return try await importLayout(tar: path, survey, progress)
        case .dockerArchive: return try await importDockerArchive(path, survey, progress)
        case .rootFilesystem:
            return [ImportedImage(image: try await importRootFilesystem(path, progress: progress), names: [])]
        }
    }

    /// Imports a tar of a whole root filesystem as an image of one layer.
    ///
    /// A gzip, zstd or plain tar is kept as it is; one that is compressed otherwise is kept uncompressed, since images
    /// know no other compression.
    /// - Parameter config: what the image shall say about running it.
    public func importRootFilesystem(
        _ path: String, config: ImageConfig? = nil, progress: ImportProgress? = nil
    ) async throws -> StoredImage {
        let flag = CancelFlag()
        let probe = try await runBlocking { try LayerProbe(path, mustHold: true, flag: CancelFlag()) }
        let layer: Descriptor
        if let mediaType = probe.mediaType {
            layer = try await store.add(file: path, mediaType: mediaType)
        } else {
            let writer = try await store.writer()
            defer { writer.release() }
            try await withTaskCancellationHandler {
                try await runBlocking { try LayerProbe.copy(path, to: writer, flag: flag, progress: progress) }
            } onCancel: {
                flag.set()
            }
            let (digest, size) = try await writer.commit()
            layer = Descriptor(mediaType: MediaType.layer, digest: digest, size: size)
        }
        guard layer.mediaType != MediaType.layer || layer.digest == probe.diffID else {
            throw EngineError(.conflict, "\(Names.quoted(path)) changed while it was imported")
        }
        let created = Date.now.formatted(.iso8601)
        let history = ImageConfiguration.History(
            created: created, createdBy: "isle image import", comment: "root filesystem")
        let configuration = ImageConfiguration(
            platform: platform, created: created, config: config.map(ImageConfiguration.Execution.init),
            diffIDs: [probe.diffID], history: [history])
        return try await finish(CanonicalJSON.bytes(configuration), MediaType.config, [layer])
    }

    /// Imports a WASM module or component (CNCF TAG Runtime, "WASM OCI artifact layout").
    func importModule(_ path: String, isComponent: Bool) async throws -> StoredImage {
        let layer = try await store.add(file: path, mediaType: MediaType.wasm)
        let configuration = ModuleConfiguration(os: isComponent ? "wasip2" : "wasip1", layer: layer.digest)
        return try await finish(CanonicalJSON.bytes(configuration), MediaType.wasmConfig, [layer])
    }

    /// Imports a disk that is already in one of the formats that machines run from.
    /// - Parameters:
    ///   - format: what the file is; checked, never probed. A qcow2 file that names another file is refused.
    ///   - virtualSize: bytes that the guest will see.
    ///   - firmware: `bios` or `uefi`.
    ///   - importedFrom: format of the file that it was converted from.
    public func importDisk(
        _ path: String, isQcow2: Bool, virtualSize: Int64, firmware: String, importedFrom: String? = nil
    ) async throws -> StoredImage {
        if isQcow2 { try await runBlocking { try Qcow2Header(path: path).checkStandsAlone(name: Names.quoted(path)) } }
        let layer = try await store.add(file: path, mediaType: isQcow2 ? MediaType.diskQcow2 : MediaType.diskRaw)
        let configuration = DiskConfiguration(
            platform: platform, firmware: firmware, virtualSize: virtualSize, importedFrom: importedFrom)
        return try await finish(CanonicalJSON.bytes(configuration), MediaType.diskConfig, [layer])
    }

    private static func isFolder(_ path: String) throws -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { throw EngineError.system(errno, "look at \(Names.quoted(path))") }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    /// Stores configuration and manifest over layers that are stored already.
    func finish(_ config: [UInt8], _ configType: String, _ layers: [Descriptor]) async throws -> StoredImage {
        let descriptor = Descriptor(mediaType: configType, bytes: config)
        let manifest = ImageManifest(config: descriptor, layers: layers)
        let bytes = try CanonicalJSON.bytes(manifest)
        let image = try StoredImage(
            target: nil, manifest: ContentDigest(of: bytes), manifestSize: Int64(bytes.count), manifest, config: config)
        try await store.add(config, mediaType: configType)
        try await store.add(bytes, mediaType: MediaType.manifest)
        return image
    }
}
