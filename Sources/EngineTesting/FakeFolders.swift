public import DriverKit
import FoundationEssentials
public import Model

/// Removes folders for real, without the care of the real thing.
public struct FakeFolders: FolderStore {
    public init() {}
    public func remove(_ path: String) async throws {
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
    }
    public func usage(_ path: String) async throws -> Int64 { 4096 }
}

/// Disks that exist in name only.
public struct FakeDiskMaker: DiskMaker {
    public init() {}
    public func prepareDisk(_ id: InstanceID, layers: [String], directory: String, size: Int64?) async throws
        -> DiskRoot
    { DiskRoot(path: directory + "/root.qcow2", format: .qcow2, boot: .kernel) }
    public func prepareDisk(_ id: InstanceID, image: String, format: DiskRoot.Format, directory: String, size: Int64?)
        async throws -> DiskRoot
    { DiskRoot(path: directory + "/root.qcow2", format: .qcow2, boot: .bios) }
    public func prepareDisk(_ id: InstanceID, directory: String, size: Int64?) async throws -> DiskRoot {
        DiskRoot(path: directory + "/root.qcow2", format: .qcow2, boot: .bios)
    }
    public func prune(keeping layersInUse: [[String]]) async throws {}
}

/// Fills volumes with one file that says what they were filled from.
public struct FakeFiller: VolumeFiller {
    public init() {}
    public func fill(_ folder: String, from path: String, layers: [String], staging: String) async throws -> Bool {
        try Data("\(path) of \(layers.count)".utf8).write(to: URL(filePath: folder + "/content"))
        return true
    }
}
