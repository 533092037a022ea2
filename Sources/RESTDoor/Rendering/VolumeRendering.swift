import Engine
import Model
import WireTypes

extension API.StorageVolume {
    init(_ volume: VolumeRecord, path: String?, usedBy: [String]) {
        self.init()
        name = volume.name
        description = volume.description
        contentType = volume.contentType.rawValue
        createdAt = WireTypes.Timestamp.string(volume.createdAt)
        config = volume.config
        project = volume.project
        self.path = path
        if volume.isAnonymous { anonymous = true }
        self.usedBy = usedBy
    }

    /// A snapshot as LXD lists it among volumes: `VOLUME/SNAPSHOT`.
    init(_ snapshot: VolumeSnapshotRecord, of volume: VolumeRecord) {
        self.init()
        name = "\(volume.name)/\(snapshot.name)"
        description = snapshot.description
        contentType = volume.contentType.rawValue
        createdAt = WireTypes.Timestamp.string(snapshot.createdAt)
        config = snapshot.config
        project = volume.project
    }

    /// The files of an instance and its snapshots as volumes; modules have none.
    static func all(of view: InstanceView) -> [API.StorageVolume] {
        guard view.record.kind != .module else { return [] }
        func volume(_ name: String, _ createdAt: Double) -> API.StorageVolume {
            var volume = API.StorageVolume()
            volume.name = name
            volume.type = view.record.kind.lxdType
            volume.contentType = view.record.kind == .machine ? "block" : "filesystem"
            volume.createdAt = WireTypes.Timestamp.string(createdAt)
            volume.project = view.record.project
            volume.usedBy = ["/1.0/instances/\(view.record.name)"]
            return volume
        }
        return [volume(view.record.name, view.record.createdAt)]
            + view.snapshots.map { volume("\(view.record.name)/\($0.name)", $0.createdAt) }
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.StorageVolumePut {
        var put = API.StorageVolumePut()
        put.config = config
        put.description = description
        return put
    }
}

extension API.VolumeSnapshot {
    init(_ snapshot: VolumeSnapshotRecord) {
        self.init()
        name = snapshot.name
        description = snapshot.description
        config = snapshot.config
        createdAt = WireTypes.Timestamp.string(snapshot.createdAt)
        expiresAt = Expiry.text(snapshot.expiresAt)
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.SnapshotPut {
        var put = API.SnapshotPut()
        put.description = description
        put.expiresAt = expiresAt
        return put
    }
}
