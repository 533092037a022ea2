public import DriverKit
import ImageFormats
import LinuxHost
public import Model

extension ImageDepot: BundleStore {
    private var bundleImporter: BundleImporter { BundleImporter(store: store, temporary: temporary) }

    public func isBundle(_ path: String) async throws -> Bool {
        try await runBlocking { try BundleImporter.looksRight(path) }
    }

    public func importBundle(
        _ files: BundleFiles, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage {
        try await guarded.sparing {
            let reported = ProgressSteps()
            let imported = try await bundleImporter.importBundle(
                files.metadata, root: files.root, names: files.names
            ) { done in
                guard reported.isNew(done) else { return }
                progress(TransferProgress(stage: "importing", done: done, total: nil))
            }
            var image = incoming(imported.image, properties: imported.document.properties)
            image.bundle = imported.bundle
            image.createdAt = imported.document.createdAt ?? image.createdAt
            return [image]
        }[0]
    }

    public func makeBundle(metadata: Metadata, templates: [String: [UInt8]], disk: ImageRecord.Layer?) async throws
        -> ImageBundle
    {
        try await bundleImporter.make(metadata: metadata, templates: templates, disk: disk)
    }

    public func members(of bundle: ImageBundle) async throws -> [(path: String, content: [UInt8])] {
        try await bundleImporter.members(of: bundle)
    }
}
