import DriverKit
import Engine
import Model
import WireTypes

extension API.Image {
    init(_ view: ImageView) {
        self.init()
        let record = view.record
        fingerprint = String(record.digest.dropFirst("sha256:".count))
        architecture = record.architecture
        createdAt = WireTypes.Timestamp.string(record.createdAt ?? record.addedAt)
        uploadedAt = WireTypes.Timestamp.string(record.addedAt)
        lastUsedAt = WireTypes.Timestamp.string(record.lastUsedAt)
        expiresAt = WireTypes.Timestamp.never
        properties = record.properties
        size = record.size
        type = record.content == .disk ? "virtual-machine" : "container"
        aliases = view.references.map { API.ImageAlias(name: $0) }
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
        if let reference = view.references.first {
            var source = API.ImageSource()
            source.alias = reference
            source.protocol = "oci"
            updateSource = source
        }
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
