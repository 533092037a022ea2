import Engine
import Model
import WireTypes

extension API.InstanceSnapshot {
    /// - Parameters:
    ///   - expanded: with profiles merged; nil: the snapshot's own.
    ///   - size: bytes on disk; nil: not counted.
    init(_ snapshot: SnapshotRecord, expanded: MergedConfig? = nil, size: Int64? = nil) {
        self.init()
        let instance = snapshot.instance
        name = snapshot.name
        stateful = instance.hasSavedState == true
        createdAt = WireTypes.Timestamp.string(snapshot.createdAt)
        lastUsedAt =
            instance.lastUsedAt > 0 ? WireTypes.Timestamp.string(instance.lastUsedAt) : WireTypes.Timestamp.unset
        expiresAt = Expiry.text(snapshot.expiresAt)
        self.size = size ?? -1
        architecture = instance.architecture
        ephemeral = instance.ephemeral
        profiles = instance.profiles
        config = instance.config
        devices = instance.devices
        expandedConfig = expanded?.config ?? instance.config
        expandedDevices = expanded?.devices ?? instance.devices
        if let image = instance.image, config["volatile.base_image"] == nil {
            config["volatile.base_image"] = String(image.dropFirst("sha256:".count))
            expandedConfig["volatile.base_image"] = config["volatile.base_image"]
        }
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.SnapshotPut {
        var put = API.SnapshotPut()
        put.expiresAt = expiresAt
        return put
    }
}

/// `expires_at`, in which LXD writes Go's zero time for never.
enum Expiry {
    static func text(_ seconds: Double?) -> String {
        seconds.map { WireTypes.Timestamp.string($0) } ?? WireTypes.Timestamp.unset
    }

    /// Seconds since 1970; nil: never.
    static func seconds(_ text: String) throws -> Double? {
        guard let seconds = WireTypes.Timestamp.seconds(text) else {
            throw EngineError(
                .invalidArgument, "expires_at \(Names.quoted(text)) is not a time", hint: "as 2030-01-31T12:00:00Z")
        }
        return seconds > 0 ? seconds : nil
    }

    /// What a request to make something says.
    static func asked(_ text: String?) throws -> SnapshotRequest.Expiry {
        guard let text, !text.isEmpty else { return .standard }
        return try seconds(text).map { .at($0) } ?? .never
    }
}
