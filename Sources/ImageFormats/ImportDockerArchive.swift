import Archive
import ContentStore
import LinuxHost
import Model
import OCI

extension ImageImporter {
    /// Imports a docker archive: a second pass brings in the configurations and layers that its table names, then a
    /// manifest is made for each image, since the archive has none.
    func importDockerArchive(
        _ path: String, _ survey: ArchiveSurvey, _ progress: ImportProgress?
    ) async throws -> [ImportedImage] {
        let table = try DockerArchiveDocument(parsing: survey.documents["manifest.json"] ?? [])
        let configNames = Set(table.images.map(\.config))
        let layerNames = Set(table.images.flatMap { $0.layers.map(survey.resolve) })
        var configs: [String: [UInt8]] = [:]
        var layers: [String: Descriptor] = [:]
        let archive = try await runBlocking { try ArchiveFile(path, progress: progress) }
        while let entry = try await archive.next() {
            guard entry.kind == .file, let name = ArchiveFile.normalized(entry.path) else { continue }
            if configNames.contains(name) {
                configs[name] = try await archive.bytes(limit: ManifestDocument.Bounds.configBytes)
            } else if layerNames.contains(name) {
                let writer = try await store.writer()
                defer { writer.release() }
                try await archive.copy(to: writer)
                let (digest, size) = try await writer.commit()
                layers[name] = Descriptor(
                    mediaType: try await compression(of: digest), digest: digest, size: size)
            }
        }
        return try await images(of: table, archive: path) { name in
            configs[name]
        } layer: { name in
            layers[survey.resolve(name)]
        }
    }

    /// Makes the images of a table from what was brought in; `config` and `layer` find it by its name in the archive.
    func images(
        of table: DockerArchiveDocument, archive path: String, config: (String) async throws -> [UInt8]?,
        layer: (String) async throws -> Descriptor?
    ) async throws -> [ImportedImage] {
        var images: [ImportedImage] = []
        for entry in table.images {
            guard let config = try await config(entry.config) else { throw missing(entry.config, path) }
            var descriptors: [Descriptor] = []
            for name in entry.layers {
                guard let layer = try await layer(name) else { throw missing(name, path) }
                descriptors.append(layer)
            }
            try check(descriptors, against: ImageConfiguration(parsing: config), path)
            let image = try await finish(config, MediaType.config, descriptors)
            let names = (entry.repoTags ?? []).filter { (try? ImageReference(parsing: $0)) != nil }
            images.append(ImportedImage(image: image, names: names))
        }
        return images
    }

    /// The media type of a stored layer, by the bytes that it begins with (RFC 1952, RFC 8878).
    func compression(of digest: ContentDigest) async throws -> String {
        let head = try await store.reader(digest).read(4)
        if head.starts(with: [0x1f, 0x8b]) { return MediaType.layerGzip }
        if head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return MediaType.layerZstd }
        return MediaType.layer
    }

    /// Plain layers can be checked here; compressed ones are when they are unpacked.
    private func check(_ layers: [Descriptor], against configuration: ImageConfiguration, _ path: String) throws {
        for (layer, diffID) in zip(layers, configuration.rootfs.diffIDs)
        where layer.mediaType == MediaType.layer && layer.digest != diffID {
            throw EngineError(
                .invalidArgument, "archive \(Names.quoted(path)) is damaged: layer \(diffID) is \(layer.digest)")
        }
    }

    private func missing(_ name: String, _ path: String) -> EngineError {
        EngineError(
            .invalidArgument, "archive \(Names.quoted(path)) does not hold \(Names.quoted(name)), which it names")
    }
}
