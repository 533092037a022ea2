public import DriverKit
import Glibc
public import Model
import StateStore

// Images in LXD's form.
extension ImageService {
    /// Whether the file is an image in LXD's form.
    public func isBundle(_ path: String) async throws -> Bool {
        try await parts.imaging.bundles?.isBundle(path) ?? false
    }

    /// Brings in an image in LXD's form.
    ///
    /// - Parameter fingerprint: what it must have, in hexadecimal digits; nil: whatever it is.
    public func importBundle(
        _ files: BundleFiles, fingerprint: String? = nil, _ addition: ImageAddition,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let bundles = try parts.imaging(\.bundles, for: "take images in LXD's form")
        try await checkFree(addition.aliases, project: addition.project)
        return try await withLease(files.metadata) {
            let incoming = try await bundles.importBundle(files, progress: progress)
            if let fingerprint, incoming.bundle?.fingerprint != fingerprint {
                throw EngineError(
                    .invalidArgument,
                    "the image's fingerprint is \(incoming.bundle?.fingerprint ?? "-"), not \(Names.quoted(fingerprint))"
                )
            }
            var addition = addition
            addition.properties = incoming.properties.merging(addition.properties) { $1 }
            return try await add(incoming, references: [], addition, progress: progress)
        }
    }

    /// Gives an image what LXD's clients need to export it: metadata, and a fingerprint of its whole content. Nothing
    /// if it has that.
    public func makeBundle(_ name: String, project: String = "default") async throws -> ImageRecord {
        let record = try await get(name, project: project).record
        guard record.bundle == nil else { return record }
        return try await makeBundle(record, from: nil, progress: { _ in })
    }

    /// - Parameter base: the image whose templates it takes over.
    func makeBundle(
        _ record: ImageRecord, from base: ImageRecord?, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let bundles = try parts.imaging(\.bundles, for: "make images in LXD's form")
        guard record.content != .module else {
            throw EngineError(.unsupported, "LXD has no form for images that hold a WASM module")
        }
        var templates: [String: [UInt8]] = [:]
        var metadata: [String: Metadata] = [
            "architecture": .string(record.architecture),
            "creation_date": .integer(Int64(record.createdAt ?? Clock.now)),
            "properties": .object(record.properties.mapValues { .string($0) }),
        ]
        if let bundle = base?.bundle {
            metadata["templates"] = bundle.metadata["templates"]
            for member in try await bundles.members(of: bundle) where member.path.hasPrefix("templates/") {
                templates[String(member.path.dropFirst("templates/".utf8.count))] = member.content
            }
        }
        let disk = record.content == .disk ? record.layers.first : nil
        var bundle = try await bundles.makeBundle(metadata: .object(metadata), templates: templates, disk: disk)
        if bundle.files.isEmpty {
            progress(TransferProgress(stage: "working out the fingerprint", done: 0, total: nil))
            let packed = try await pack(bundle, record, to: nil)
            bundle.fingerprint = String(packed.digest.dropFirst("sha256:".utf8.count))
            bundle.size = packed.size
        }
        var record = record
        record.bundle = bundle
        try await parts.store.save(record, references: [])
        return record
    }

    /// The files of an image in LXD's form, for export. Those that are not blobs of the store are written below
    /// `folder`. `unsupported` for an image that has no such form yet.
    public func bundleFiles(_ name: String, project: String = "default", folder: String) async throws
        -> [(name: String, path: String)]
    {
        let record = try await get(name, project: project).record
        guard let bundle = record.bundle else {
            throw EngineError(
                .unsupported,
                "image \(Names.quoted(name)) is an OCI image, whose fingerprint is that of its manifest and not of a tarball",
                hint: "give it LXD's form first with isle image convert, or save it with isle image save")
        }
        guard bundle.files.isEmpty else {
            var found: [(name: String, path: String)] = []
            for file in bundle.files { found.append((file.name, try await parts.source.blob(file.digest))) }
            return found
        }
        let path = "\(folder)/\(bundle.fingerprint).tar"
        let packed = try await pack(bundle, record, to: path)
        guard packed.digest == "sha256:" + bundle.fingerprint else {
            unlink(path)
            throw EngineError(
                .internal, "image \(bundle.fingerprint) was packed as \(packed.digest): its layers have changed",
                hint: "publish it again")
        }
        return [("\(bundle.fingerprint).tar", path)]
    }

    /// What the image gives to instances made from it: `metadata.yaml` and the content of its templates, by name; nil
    /// if it is no image in LXD's form.
    public func templates(of digest: String) async throws -> (metadata: Metadata, files: [String: [UInt8]])? {
        guard let bundle = try await parts.store.image(digest: digest)?.bundle, let bundles = parts.imaging.bundles
        else { return nil }
        var files: [String: [UInt8]] = [:]
        for member in try await bundles.members(of: bundle) where member.path.hasPrefix("templates/") {
            files[String(member.path.dropFirst("templates/".utf8.count))] = member.content
        }
        return (bundle.metadata, files)
    }

    private func pack(_ bundle: ImageBundle, _ record: ImageRecord, to path: String?) async throws -> PackedArchive {
        let bundles = try parts.imaging(\.bundles, for: "export images in LXD's form")
        let archiver = try parts.imaging(\.archiver, for: "export images in LXD's form")
        let created: Int64 = if case .integer(let value)? = bundle.metadata["creation_date"] { value } else { 0 }
        let form = RootArchiveForm(
            folder: "rootfs", leading: try await bundles.members(of: bundle), leadingTime: created)
        let layers = try await parts.snapshotter.stack(record.layers.map(\.diffID))
        return try await archiver.packRoot(nil, over: layers, form: form, to: path)
    }
}
