import DriverKit
import Glibc
public import Model
import StateStore

/// Named folders that outlive instances. They keep the ids of the instances inside them (0 is root in each).
public actor VolumeService {
    private let store: StateStore
    private let events: EventBus
    private let layout: HostLayout
    private let folders: any FolderStore
    private var volumes: [String: VolumeRecord] = [:]

    init(store: StateStore, events: EventBus, layout: HostLayout, folders: any FolderStore) {
        self.store = store
        self.events = events
        self.layout = layout
        self.folders = folders
    }

    func load() async throws {
        for volume in try await store.volumes() { volumes[key(volume.project, volume.name)] = volume }
    }

    public func list(project: String = "default") -> [VolumeRecord] {
        volumes.values.filter { $0.project == project }.sorted { $0.name < $1.name }
    }

    public func get(_ name: String, project: String = "default") throws -> VolumeRecord {
        guard let volume = volumes[key(project, name)] else {
            throw EngineError(.notFound, "volume \(Names.quoted(name)) does not exist", hint: "isle volume list")
        }
        return volume
    }

    /// `alreadyExists` if the name is taken.
    @discardableResult
    public func create(_ volume: VolumeRecord) async throws -> VolumeRecord {
        try Names.checkResource(volume.name, "volume")
        guard volumes[key(volume.project, volume.name)] == nil else {
            throw EngineError(.alreadyExists, "volume \(Names.quoted(volume.name)) exists already")
        }
        guard let unknown = volume.config.keys.sorted().first(where: { !$0.hasPrefix("user.") }) else {
            let path = layout.volume(volume.name, project: volume.project)
            // The folder first: a folder without a record is found by name and used; the reverse would be an error.
            if mkdir(path, 0o755) != 0, errno != EEXIST {
                throw EngineError(
                    .internal, "the folder \(path) of volume \(volume.name) cannot be made: errno \(errno)")
            }
            try await store.save(volume)
            volumes[key(volume.project, volume.name)] = volume
            events.lifecycle("storage-volume-created", source(volume.name), project: volume.project)
            return volume
        }
        throw EngineError(
            .invalidArgument, "unknown volume key \(Names.quoted(unknown))", hint: "own keys begin with 'user.'")
    }

    /// - Parameter usedBy: names of the instances that use it; must be empty.
    public func delete(_ name: String, project: String = "default", usedBy: [String]) async throws {
        _ = try get(name, project: project)
        guard usedBy.isEmpty else {
            throw EngineError(
                .conflict, "volume \(Names.quoted(name)) is used by \(usedBy.joined(separator: ", "))",
                hint: "remove the device from those instances first")
        }
        let path = layout.volume(name, project: project)
        let trash = "\(layout.temporary)/volume-\(UUIDText.random())"
        if rename(path, trash) != 0, errno != ENOENT {
            throw EngineError(.internal, "the folder \(path) cannot be removed: errno \(errno)")
        }
        try await store.deleteVolume(project: project, pool: "default", name: name)
        volumes[key(project, name)] = nil
        events.lifecycle("storage-volume-deleted", source(name), project: project)
        try await folders.remove(trash)
    }

    /// Bytes the volume occupies on disk.
    public func usage(_ name: String, project: String = "default") async throws -> Int64 {
        _ = try get(name, project: project)
        return try await folders.usage(layout.volume(name, project: project))
    }

    /// The mounts of disk devices; a named volume that is missing is made, as Docker does.
    func mounts(_ disks: [Devices.Disk], project: String) async throws -> [MountSpec] {
        var mounts: [MountSpec] = []
        for disk in disks {
            if disk.pool != nil {
                if volumes[key(project, disk.source)] == nil {
                    try await create(VolumeRecord(project: project, name: disk.source, createdAt: Clock.now))
                }
                mounts.append(
                    MountSpec(
                        source: layout.volume(disk.source, project: project), target: disk.target,
                        readOnly: disk.readOnly, idMapped: true))
            } else {
                guard access(disk.source, F_OK) == 0 else {
                    if !disk.required { continue }
                    throw EngineError(
                        .notFound,
                        "the path \(Names.quoted(disk.source)) of disk device \(Names.quoted(disk.device)) does not exist on the host",
                        hint: "make it first, or use a named volume")
                }
                mounts.append(
                    MountSpec(
                        source: disk.source, target: disk.target, readOnly: disk.readOnly, idMapped: disk.shift,
                        recursive: disk.recursive, propagation: disk.propagation))
            }
        }
        return mounts
    }

    private func key(_ project: String, _ name: String) -> String { project + "/" + name }
    private func source(_ name: String) -> String { "/1.0/storage-pools/default/volumes/custom/\(name)" }
}
