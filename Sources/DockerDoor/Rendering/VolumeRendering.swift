import Engine
import Model

/// Volumes in Docker's shape. Labels are the `user.` keys.
enum VolumeRendering {
    static func render(_ volume: VolumeRecord, layout: HostLayout) -> JSON {
        let labels = labels(volume)
        return [
            "CreatedAt": .string(Timestamp.text(volume.createdAt)), "Driver": "local",
            "Labels": labels.isEmpty ? nil : .map(labels),
            "Mountpoint": .string(layout.volume(volume.name, project: volume.project)), "Name": .string(volume.name),
            "Options": options(volume), "Scope": "local",
        ]
    }

    /// Of the driver; null if there are none.
    private static func options(_ volume: VolumeRecord) -> JSON {
        guard let options = try? VolumeDriverOptions(of: volume) else { return .null }
        return .map(options.all)
    }

    static func labels(_ volume: VolumeRecord) -> [String: String] {
        var labels: [String: String] = [:]
        for (key, value) in volume.config where key.hasPrefix("user.") { labels[String(key.dropFirst(5))] = value }
        return labels
    }

    /// Names of the instances that mount it.
    static func users(of volume: String, in views: [InstanceView]) -> [String] {
        views.filter { view in
            view.expanded.devices.values.contains {
                $0["type"] == "disk"
                    && ($0["pool"] != nil && $0["source"] == volume || $0[VolumeDriverOptions.note] == volume)
            }
        }.map(\.record.name)
    }
}
