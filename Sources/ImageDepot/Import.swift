public import DriverKit
import ImageFormats
import LinuxHost
import Model
import OCI

extension ImageDepot {
    public func importFile(
        _ path: String, architecture: String, progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        let importer = ImageImporter(store: store, platform: try Platform(parsing: architecture))
        return try await guarded.sparing {
            let images = try await importer.importFile(path) {
                progress(DriverKit.TransferProgress(stage: "importing", done: $0, total: nil))
            }
            return images.map { imported in
                // Short names mean Docker Hub, as `docker load` has it.
                let names = imported.names.compactMap { try? ImageReference(parsing: $0).description }
                return incoming(imported.image, names: names)
            }
        }
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
