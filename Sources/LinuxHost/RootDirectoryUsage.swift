import CHost
import Glibc
import Model

extension RootDirectory {
    /// Bytes that all below `path` occupies on disk, as du(1) counts: folders too, a file with several names once,
    /// holes not. Goes by descriptors and stays on one filesystem. What vanishes meanwhile is passed over.
    public func diskUsage(_ path: some HostPathConvertible = HostPath(".")) throws -> Int64 { try measure(path).bytes }

    /// As `diskUsage`, with the number of files, folders and other things there, names of one file counted once.
    public func measure(_ path: some HostPathConvertible = HostPath(".")) throws -> (bytes: Int64, files: Int) {
        let path = path.hostPath
        guard let top = try status(path) else { throw failure(ENOENT, "measure", path) }
        guard top.kind == .directory else { return (top.allocated, 1) }
        var total = top.allocated
        var files = 1
        var seen: Set<FileIdentity> = []
        // Folders to be read, by a path from one that is open: so a deep tree costs few descriptors.
        var waiting: [(base: RootDirectory, path: HostPath)] = [(try subdirectory(path), ".")]
        while let (base, path) = waiting.popLast() {
            guard let folder = try base.subdirectoryUnlessGone(path) else { continue }
            let isLong = path.bytes.count > 2048
            for entry in try folder.list() {
                guard let status = try folder.status(entry.name), status.device == top.device else { continue }
                if status.kind != .directory && status.links > 1 {
                    guard seen.insert(FileIdentity(device: status.device, inode: status.inode)).inserted else {
                        continue
                    }
                }
                total += status.allocated
                files += 1
                if status.kind == .directory {
                    waiting.append(isLong ? (folder, entry.name) : (base, path.appending(entry.name)))
                }
            }
        }
        return (total, files)
    }

    private func subdirectoryUnlessGone(_ path: HostPath) throws -> RootDirectory? {
        let result = resolve(path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, extra: UInt64(ISLE_RESOLVE_NO_SYMLINKS))
        switch result {
        case 0...: return RootDirectory(descriptor: OwnedDescriptor(result), path: name(of: path))
        case -ENOENT, -ENOTDIR, -ELOOP: return nil
        default: throw failure(-result, "measure", path)
        }
    }

    /// Writes out the folder's own names: fsync(2) of the folder.
    public func syncNames() throws {
        let result = isle_fsync(descriptor)
        guard result == 0 else { throw EngineError.system(-result, "sync folder \(path)") }
    }
}

private struct FileIdentity: Hashable {
    var device: UInt64
    var inode: UInt64
}
