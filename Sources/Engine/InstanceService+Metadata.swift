import Model

// Metadata and templates of instances.
extension InstanceService {
    /// What was stored, else what the image says.
    public func metadata(_ name: String, project: String = "default") async throws -> InstanceMetadata {
        try await find(name, project).metadata()
    }

    public func setMetadata(_ name: String, project: String = "default", _ metadata: InstanceMetadata) async throws {
        try await find(name, project).setMetadata(metadata)
    }

    /// Names, sorted.
    public func templates(_ name: String, project: String = "default") async throws -> [String] {
        try find(name, project).metadataFolder.list()
    }

    public func template(_ name: String, project: String = "default", file: String) async throws -> [UInt8] {
        try find(name, project).metadataFolder.template(file)
    }

    /// Makes the template or replaces it.
    public func setTemplate(_ name: String, project: String = "default", file: String, content: [UInt8]) async throws {
        let actor = try find(name, project)
        try actor.metadataFolder.setTemplate(file, content)
        await actor.lifecycleEvent("instance-metadata-template-created", ["path": .string(file)])
    }

    public func deleteTemplate(_ name: String, project: String = "default", file: String) async throws {
        let actor = try find(name, project)
        try actor.metadataFolder.deleteTemplate(file)
        await actor.lifecycleEvent("instance-metadata-template-deleted", ["path": .string(file)])
    }
}

extension InstanceActor {
    nonisolated var metadataFolder: MetadataFolder { MetadataFolder(folder: parts.layout.state(of: id)) }

    func metadata() async throws -> InstanceMetadata {
        if let stored = try metadataFolder.read() { return stored }
        guard let digest = record.image else { return InstanceMetadata(architecture: record.architecture) }
        let image = try await services.images.record(digest: digest, for: record.name)
        return InstanceMetadata(
            architecture: record.architecture, creationDate: Int64(image.createdAt ?? image.addedAt),
            properties: image.properties)
    }

    func setMetadata(_ metadata: InstanceMetadata) throws {
        try metadataFolder.write(metadata)
        lifecycleEvent("instance-metadata-updated")
    }
}
