import DriverKit
import Engine
import Model
import WireTypes

extension API.Image {
    /// What a PUT may change, for the ETag.
    var changeable: API.ImagePut {
        var put = API.ImagePut()
        put.properties = properties
        put.isPublic = isPublic
        put.autoUpdate = autoUpdate
        put.expiresAt = expiresAt
        put.profiles = profiles
        return put
    }

    init(_ view: ImageView, project: String = "default") {
        self.init()
        let record = view.record
        let details = record.details ?? ImageDetails()
        self.project = project
        fingerprint = record.fingerprint
        isPublic = details.isPublic
        autoUpdate = details.autoUpdate
        cached = details.isCached
        profiles = details.profiles
        filename = details.filename
        architecture = record.architecture
        createdAt = WireTypes.Timestamp.string(record.createdAt ?? record.addedAt)
        uploadedAt = WireTypes.Timestamp.string(record.addedAt)
        lastUsedAt =
            record.lastUsedAt > record.addedAt
            ? WireTypes.Timestamp.string(record.lastUsedAt) : WireTypes.Timestamp.unset
        expiresAt = details.expiresAt.map(WireTypes.Timestamp.string) ?? WireTypes.Timestamp.never
        properties = record.properties
        size = record.bundle?.size ?? record.size
        type = record.content == .disk ? "virtual-machine" : "container"
        aliases =
            view.aliases.map { API.ImageAlias(name: $0.name, description: $0.description) }
            + view.references.map { API.ImageAlias(name: $0) }
        references = view.references
        content = record.content.rawValue
        kinds = record.kinds.map(\.rawValue)
        usedBy = view.usedBy
        layers = record.layers.map { layer in
            var rendered = API.ImageLayer()
            rendered.digest = layer.digest
            rendered.size = layer.size
            rendered.mediaType = layer.mediaType
            rendered.diffID = layer.diffID
            return rendered
        }
        config = API.ImageRunConfig(record.config)
        updateSource =
            record.origin.flatMap { API.ImageSource($0) }
            ?? view.references.first.map { API.ImageSource(reference: $0) }
    }
}

extension API.ImageSource {
    /// A registry.
    init(reference: String) {
        self.init()
        alias = reference
        self.protocol = "oci"
    }

    /// nil for a web address, which LXD does not show.
    init?(_ origin: ImageOrigin) {
        guard origin.access != .url else { return nil }
        self.init()
        alias = origin.alias
        self.protocol = origin.access.rawValue
        server = origin.server
        certificate = origin.certificate
        imageType = origin.isMachine.map { $0 ? "virtual-machine" : "container" } ?? ""
    }
}

extension API.ImageRunConfig {
    init(_ config: ImageConfig) {
        self.init()
        user = config.user
        exposedPorts = config.exposedPorts
        env = config.env
        entrypoint = config.entrypoint
        cmd = config.cmd
        volumes = config.volumes
        workingDirectory = config.workingDirectory
        labels = config.labels
        stopSignal = config.stopSignal
    }
}

extension API.ImageHistoryEntry {
    init(_ entry: ImageHistoryEntry) {
        self.init()
        createdAt = entry.created ?? ""
        createdBy = entry.createdBy
        comment = entry.comment
        size = entry.size
        emptyLayer = entry.size == 0
    }
}

extension ImageRecord {
    /// The kinds of instance it can become; the first unless another is asked for.
    var kinds: [InstanceKind] {
        switch content {
        case .rootFilesystem: hasInit ? [.system, .application, .machine] : [.application, .system, .machine]
        case .disk: [.machine]
        case .module: [.module]
        }
    }
}

/// Progress of a transfer as the metadata of an operation.
extension TransferProgress {
    var metadata: Metadata {
        var members: [String: Metadata] = ["stage": .string(stage), "done": .integer(done)]
        if let total, total > 0 {
            members["total"] = .integer(total)
            members["percent"] = .string(String(min(100, done * 100 / total)))
        }
        return .object(members)
    }
}
