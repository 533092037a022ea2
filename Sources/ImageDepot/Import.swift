import Archive
import DiskImages
public import DriverKit
import Glibc
import ImageFormats
import LinuxHost
public import Model
import OCI

extension ImageDepot {
    public func importFile(
        _ path: String, architecture: String, progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        let importer = ImageImporter(store: store, platform: try Platform(parsing: architecture))
        if try await runBlocking({ try Self.isDisk(path) }) {
            return try await guarded.sparing { [try await importDisk(path, importer, progress)] }
        }
        return try await guarded.sparing {
            let images = try await importer.importFile(path) {
                progress(DriverKit.TransferProgress(stage: "importing", done: $0, total: nil))
            }
            return images.map(incoming)
        }
    }

    public func importStream(
        _ descriptor: OwnedDescriptor, name: String, architecture: String,
        progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        let importer = ImageImporter(store: store, platform: try Platform(parsing: architecture))
        return try await guarded.sparing {
            try await importer.importStream(descriptor, name: name) {
                progress(DriverKit.TransferProgress(stage: "importing", done: $0, total: nil))
            }.map(incoming)
        }
    }

    private func incoming(_ imported: ImportedImage) -> IncomingImage {
        // Short names mean Docker Hub, as `docker load` has it.
        let names = imported.names.compactMap { try? ImageReference(parsing: $0).description }
        return incoming(imported.image, names: names)
    }

    private static func isDisk(_ path: String) throws -> Bool {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return false }
        switch try ImageFileKind.detect(path: path).content {
        case .disk, .ova: return true
        case .wasmModule, .wasmComponent, .ociLayout, .dockerArchive, .rootFilesystem: return false
        }
    }

    /// Converts a disk of any format to qcow2 and stores that.
    private func importDisk(
        _ path: String, _ importer: ImageImporter,
        _ progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> IncomingImage {
        let file = "\(temporary)/disk-\(UInt64.random(in: .min ... .max)).qcow2"
        defer { unlink(file) }
        let disk = try await DiskImport().convert(path, to: file) { fraction in
            progress(DriverKit.TransferProgress(stage: "converting", done: Int64(fraction * 100), total: 100))
        }
        let image = try await importer.importDisk(
            file, isQcow2: true, virtualSize: Int64(disk.virtualSize), firmware: disk.needsUEFI ? "uefi" : "bios",
            importedFrom: disk.format.rawValue)
        var properties = ["imported-from": disk.format.rawValue]
        if !disk.otherDisks.isEmpty { properties["disks-left-out"] = disk.otherDisks.joined(separator: ", ") }
        return incoming(image, properties: properties)
    }

    public func export(
        _ images: [(digest: String, names: [String])], format: ImageArchiveFormat, to path: String
    ) async throws {
        let parsed = try images.map { image in
            (digest: try ContentDigest(image.digest), names: try image.names.map { try ImageReference(parsing: $0) })
        }
        try await ImageExporter(store: store).export(
            parsed, format: format == .oci ? .layout : .dockerArchive, to: path)
    }

    /// Stores a tar of a root filesystem as an image that runs `command`.
    func bringIn(
        rootFilesystem file: String, architecture: String, command: [String], properties: [String: String],
        progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> IncomingImage {
        let importer = ImageImporter(store: store, platform: try Platform(parsing: architecture))
        return try await guarded.sparing {
            let image = try await importer.importRootFilesystem(file, config: ImageConfig(cmd: command)) {
                progress(DriverKit.TransferProgress(stage: "storing", done: $0, total: nil))
            }
            return [incoming(image, properties: properties)]
        }[0]
    }
}
