import CHost
import DiskImages
public import DriverKit
import Glibc
import LinuxHost
public import Model

/// Disks of machines: copy-on-write layers of their own (`disk.qcow2` in the machine's folder) over a shared base made
/// of layers, or over an imported disk image.
///
/// The base is linked into the machine's folder as `base`: it lives as long as the machine does, whatever becomes of
/// the image meanwhile, and its bytes never change under a disk that lies over them.
public final class OverlayDisks: DiskMaker {
    private let bases: BaseDisks

    /// - Parameter stateDirectory: absolute; bases are kept in `disks` below it.
    public init(stateDirectory: String, storage: OverlayStorage) throws {
        let state = try RootDirectory(path: stateDirectory, create: true)
        // A hypervisor that runs as another user has to reach the bases.
        try state.makeDirectories("disks", mode: 0o711)
        bases = BaseDisks(disks: try state.subdirectory("disks"), storage: storage)
        try bases.recover()
    }

    public func prepareDisk(_ id: InstanceID, layers: [String], directory: String, size: Int64?) async throws
        -> DiskRoot
    {
        let folder = try RootDirectory(path: directory)
        let backing: DiskBacking
        let smallest: UInt64
        if let there = try existingBase(in: folder, format: .raw) {
            (backing, smallest) = there
        } else {
            let base = try await bases.base(for: layers)
            backing = DiskBacking(path: try link(base.path, into: folder, format: .raw), format: .raw)
            smallest = base.size
        }
        return try await overlay(in: folder, over: backing, size: max(smallest, try wanted(size, id)), boot: .kernel)
    }

    public func prepareDisk(
        _ id: InstanceID, image: String, format: DiskRoot.Format, directory: String, size: Int64?
    ) async throws -> DiskRoot {
        let folder = try RootDirectory(path: directory)
        let backing: DiskBacking
        let smallest: UInt64
        if let there = try existingBase(in: folder, format: format) {
            (backing, smallest) = there
        } else {
            // Before the link: an image that is refused must not leave a base behind.
            smallest = try Self.virtualSize(image, format)
            backing = DiskBacking(path: try link(image, into: folder, format: format), format: format)
        }
        return try await overlay(in: folder, over: backing, size: max(smallest, try wanted(size, id)), boot: .bios)
    }

    public func prepareDisk(_ id: InstanceID, directory: String, size: Int64?) async throws -> DiskRoot {
        let path = directory + "/disk.qcow2"
        let size = size == nil ? Self.standardSize : try wanted(size, id)
        try await OverlayDisk(path: path).prepare(size: size, backing: nil)
        return DiskRoot(path: path, format: .qcow2, boot: .bios)
    }

    /// Of a disk that nobody gave a size, as LXD's.
    private static let standardSize: UInt64 = 10 << 30

    public func prune(keeping layersInUse: [[String]]) async throws { try await bases.prune(keeping: layersInUse) }

    private func overlay(in folder: RootDirectory, over backing: DiskBacking, size: UInt64, boot: DiskRoot.Boot)
        async throws -> DiskRoot
    {
        let path = "\(folder.path)/disk.qcow2"
        try await OverlayDisk(path: path).prepare(size: size, backing: (backing.path, backing.format.rawValue))
        return DiskRoot(path: path, format: .qcow2, boot: boot, backing: backing)
    }

    private func wanted(_ size: Int64?, _ id: InstanceID) throws -> UInt64 {
        guard let size else { return 0 }
        guard size > 0 else { throw EngineError(.invalidArgument, "the disk of instance \(id) has the size \(size)") }
        return UInt64(size)
    }

    /// What the machine's disk lies over since it was made.
    private func existingBase(in folder: RootDirectory, format: DiskRoot.Format) throws -> (DiskBacking, UInt64)? {
        let name = "base.\(format.rawValue)"
        guard try folder.exists("disk.qcow2"), try folder.exists(name) else { return nil }
        let path = "\(folder.path)/\(name)"
        return (DiskBacking(path: path, format: format), try Self.virtualSize(path, format))
    }

    /// Gives the base a name in the machine's folder. On another filesystem it is used where it is.
    private func link(_ path: String, into folder: RootDirectory, format: DiskRoot.Format) throws -> String {
        let name = "base.\(format.rawValue)"
        try folder.removeTree(name)
        guard Glibc.link(path, "\(folder.path)/\(name)") == 0 else {
            let number = errno
            if number == EXDEV || number == EMLINK { return path }
            throw EngineError.system(number, "link base disk \(path) to \(folder.path)/\(name)")
        }
        return "\(folder.path)/\(name)"
    }

    private static func virtualSize(_ path: String, _ format: DiskRoot.Format) throws -> UInt64 {
        switch format {
        case .qcow2:
            let header = try Qcow2Header(path: path)
            try header.checkStandsAlone(name: path)
            return header.virtualSize
        case .raw:
            var status = stat()
            guard stat(path, &status) == 0 else { throw EngineError.system(errno, "open disk \(path)") }
            return UInt64(status.st_size)
        }
    }
}
