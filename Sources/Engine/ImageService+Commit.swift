import DriverKit
import Glibc
import Model
import StateStore

extension ImageService {
    /// Makes and records an image of an instance.
    func make(
        from source: CommitSource, _ request: CommitRequest,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> ImageRecord {
        let references = try request.reference.map { [try localName($0)] } ?? []
        let maker = try parts.imaging(\.maker, for: "make images of instances")
        let file = "\(parts.layout.temporary)/commit-\(UInt64.random(in: .min ... .max))"
        defer { unlink(file) }
        var config = try request.config ?? source.config()
        request.adjust?(&config)
        let change = ImageChange(
            config: config, architecture: source.record.architecture,
            author: request.author, comment: request.comment, createdBy: source.image.config.cmd.joined(separator: " "),
            createdAt: Clock.now)
        return try await withLease(source.image.digest) {
            let incoming: IncomingImage
            switch source.record.kind {
            case .application, .system:
                let archiver = try parts.imaging(\.archiver, for: "make images of instances")
                progress(TransferProgress(stage: "packing changes", done: 0, total: nil))
                let (files, layers) = try await files(of: source)
                let layer = try await archiver.packChanges(
                    files, over: layers, placeholders: source.placeholders, to: file)
                incoming = try await maker.makeImage(over: source.image.digest, layer: layer, at: file, change)
            case .machine:
                incoming = try await copyDisk(source, maker, change, to: file, progress)
            case .module:
                throw EngineError(
                    .unsupported, "instance \(Names.quoted(source.record.name)) is a module: it has nothing of its own",
                    hint: "its image says all about it")
            }
            var addition = request.addition
            // As LXD publishes: properties that are given are all that the image has, else it has those of its base.
            if addition.properties.isEmpty { addition.properties = source.image.properties }
            let record = try await add(incoming, references: references, addition, progress: progress)
            return request.isBundle ? try await makeBundle(record, from: source.image, progress: progress) : record
        }
    }

    private func copyDisk(
        _ source: CommitSource, _ maker: any ImageMaker, _ change: ImageChange, to file: String,
        _ progress: @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage {
        let disks = try parts.imaging(\.disks, for: "make images of machines")
        progress(TransferProgress(stage: "copying the disk", done: 0, total: nil))
        try await disks.flatten(try await pools.pool(of: source.record).files(of: source.root), to: file)
        let firmware = source.merged.config["machine.firmware"] ?? source.image.properties["firmware"]
        let boot: DiskRoot.Boot = source.image.content == .disk ? (firmware == "uefi" ? .uefi : .bios) : .kernel
        return try await maker.makeDiskImage(file, boot: boot, change)
    }

    /// The trees of an instance or snapshot and the layers below them; `unsupported` unless it is made of such.
    func files(of source: CommitSource) async throws -> (RootFiles, LayerStack) {
        guard source.record.kind == .application || source.record.kind == .system else {
            throw EngineError(
                .unsupported,
                "instance \(Names.quoted(source.record.name)) is a \(source.record.kind.rawValue), whose files cannot be seen from outside"
            )
        }
        return (
            try await pools.pool(of: source.record).files(of: source.root),
            try await parts.snapshotter.stack(source.image.layers.map(\.diffID))
        )
    }
}
