public import DriverKit
import Glibc
import LinuxHost
public import Model
import PoolTrees

extension FolderPool {
    public func makeVolume(_ volume: VolumeName, _ content: VolumeContent, size: Int64?) async throws {
        try await trees.make(volume, content, size: size)
    }

    public func folder(of volume: VolumeName) -> String { trees.folder(volume) }

    public func cloneVolume(_ source: String, to copy: VolumeName) async throws {
        try await trees.clone(source, to: copy)
    }

    public func restoreVolume(_ volume: VolumeName, from snapshot: VolumeName) async throws {
        try await trees.restore(volume, from: snapshot)
    }

    public func renameVolume(_ volume: VolumeName, to new: VolumeName) async throws {
        try await trees.rename(volume, to: new)
    }

    public func removeVolume(_ volume: VolumeName) async throws { try await trees.remove(volume) }

    public func volumeUsage(_ volume: VolumeName) async throws -> Int64 { try await trees.usage(volume) }

    public func limitVolume(_ volume: VolumeName, _ content: VolumeContent, bytes: Int64?) async throws {
        try await trees.limit(volume, content, bytes: bytes)
    }

    public func limit(_ id: InstanceID, bytes: Int64?) async throws {
        try await trees.maker.limit("\(instances.path)/\(id.raw)", bytes: bytes)
    }

    public func space() async throws -> PoolSpace { try PoolSpace.of(folder.path) }
}
