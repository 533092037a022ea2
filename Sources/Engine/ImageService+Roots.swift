import StateStore
import DriverKit
import Model

extension ImageService {
    /// The record of an image that an instance was made from.
    func record(digest: String, for instance: String) async throws -> ImageRecord {
        guard let record = try await parts.store.image(digest: digest) else {
            throw EngineError(
                .notFound, "the image \(digest) of instance \(Names.quoted(instance)) is gone from the store",
                hint: "pull or import it again", resource: "instance \(instance)")
        }
        return record
    }

    /// Makes the files of a new instance.
    func makeRoot(for instance: InstanceRecord, image: ImageRecord?, merged: MergedConfig) async throws {
        if image == nil, instance.kind == .application || instance.kind == .system {
            _ = try await pools.pool(of: instance).prepare(instance.id, over: parts.snapshotter.stack([]))
            return
        }
        if image == nil, instance.kind == .machine {
            _ = try await emptyDisk(for: instance, merged: merged)
            return
        }
        guard let image else {
            throw EngineError(
                .invalidArgument, "instance \(Names.quoted(instance.name)) has no image",
                hint: "name an image to make it from")
        }
        let layers = image.layers.map(\.diffID)
        switch instance.kind {
        case .application, .system:
            _ = try await pools.pool(of: instance).prepare(instance.id, over: parts.snapshotter.stack(layers))
        case .machine: _ = try await disk(for: instance, image: image, merged: merged)
        case .module: break
        }
    }

    /// The files of an instance that was made before.
    func root(for instance: InstanceRecord, image: ImageRecord?, merged: MergedConfig) async throws -> RootSource {
        if image == nil, instance.kind == .application || instance.kind == .system {
            let layers = try await parts.snapshotter.stack([])
            return .overlay(try await pools.pool(of: instance).root(instance.id, over: layers))
        }
        if image == nil, instance.kind == .machine { return .disk(try await emptyDisk(for: instance, merged: merged)) }
        guard let image else {
            throw EngineError(.invalidArgument, "instance \(Names.quoted(instance.name)) has no image")
        }
        switch instance.kind {
        case .application, .system:
            let layers = try await parts.snapshotter.stack(image.layers.map(\.diffID))
            return .overlay(try await pools.pool(of: instance).root(instance.id, over: layers))
        case .machine:
            return .disk(try await disk(for: instance, image: image, merged: merged))
        case .module:
            guard let layer = image.layers.first else {
                throw EngineError(.invalidArgument, "image \(image.digest) holds no module")
            }
            return .module(path: try await parts.source.blob(layer.digest), digest: layer.digest)
        }
    }

    private func emptyDisk(for instance: InstanceRecord, merged: MergedConfig) async throws -> DiskRoot {
        let directory = try await pools.pool(of: instance).diskFolder(instance.id)
        var disk = try await parts.disks.prepareDisk(
            instance.id, directory: directory, size: try Devices(merged.devices).rootSize)
        disk.boot = merged.config["machine.firmware"] == "uefi" ? .uefi : .bios
        return disk
    }

    private func disk(for instance: InstanceRecord, image: ImageRecord, merged: MergedConfig) async throws -> DiskRoot {
        let directory = try await pools.pool(of: instance).diskFolder(instance.id)
        let size = try Devices(merged.devices).rootSize
        if image.content == .disk {
            guard let layer = image.layers.first else {
                throw EngineError(.invalidArgument, "image \(image.digest) holds no disk")
            }
            var disk = try await parts.disks.prepareDisk(
                instance.id, image: try await parts.source.blob(layer.digest),
                format: layer.mediaType.hasSuffix("qcow2") ? .qcow2 : .raw, directory: directory, size: size)
            let firmware = merged.config["machine.firmware"] ?? image.properties["firmware"]
            disk.boot = firmware == "uefi" ? .uefi : .bios
            return disk
        }
        return try await parts.disks.prepareDisk(
            instance.id, layers: image.layers.map(\.diffID), directory: directory, size: size)
    }

    /// Removes what `makeRoot` and drivers made for an instance, its snapshots and logs included.
    func removeFiles(of instance: InstanceRecord) async throws {
        let pool = try await pools.pool(of: instance)
        for snapshot in try await parts.store.snapshots().records where snapshot.instance.id == instance.id {
            try await pool.discard(.snapshot(snapshot.id))
        }
        try await pool.discard(.instance(instance.id))
        try await parts.folders.remove(parts.layout.run(of: instance.id))
        try await parts.folders.remove(parts.layout.state(of: instance.id))
    }
}
