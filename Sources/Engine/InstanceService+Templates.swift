import DriverKit
import Model

extension InstanceMetadata {
    /// What `metadata.yaml` of an image of LXD's says, as far as instances heed it.
    init(_ metadata: Metadata, architecture: String) {
        func number(_ key: String) -> Int64 { if case .integer(let value)? = metadata[key] { value } else { 0 } }
        self.init(
            architecture: architecture, creationDate: number("creation_date"), expiryDate: number("expiry_date"),
            properties: Self.texts(metadata["properties"]))
        guard case .object(let files)? = metadata["templates"] else { return }
        for (path, file) in files {
            guard let name = file["template"]?.string else { continue }
            var moments: [String] = []
            if case .array(let values)? = file["when"] { moments = values.compactMap(\.string) }
            let isOnce = if case .bool(true)? = file["create_only"] { true } else { false }
            templates[path] = Template(
                when: moments, createOnly: isOnce, template: name, properties: Self.texts(file["properties"]))
        }
    }

    private static func texts(_ value: Metadata?) -> [String: String] {
        guard case .object(let members)? = value else { return [:] }
        return members.compactMapValues { member in
            switch member {
            case .string(let text): text
            case .integer(let number): String(number)
            case .bool(let flag): flag ? "true" : "false"
            default: nil
            }
        }
    }
}

extension InstanceService {
    /// Gives a new instance metadata and templates of its image; its first start applies them.
    func takeTemplates(of image: ImageRecord, to id: InstanceID) async throws {
        guard let found = try await services.images.templates(of: image.digest) else { return }
        let folder = MetadataFolder(folder: parts.layout.state(of: id))
        try folder.write(InstanceMetadata(found.metadata, architecture: image.architecture))
        for (name, content) in found.files { try folder.setTemplate(name, content) }
    }
}
