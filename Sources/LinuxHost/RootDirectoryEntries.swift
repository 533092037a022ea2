import CHost
import Glibc
import Model

extension RootDirectory {
    /// Makes one folder. `alreadyExists` if the name is taken.
    public func makeDirectory(_ path: some HostPathConvertible, mode: UInt32 = 0o755) throws {
        try perform("create folder", path) { isle_mkdirat($0, $1, mode) }
    }

    /// Makes the folder and those above it that are missing. A link on the way is followed inside the root, and the
    /// folder that it names is made if it is missing.
    public func makeDirectories(_ path: some HostPathConvertible, mode: UInt32 = 0o755) throws {
        try makeDirectories(path.hostPath, mode: mode, linksLeft: 40)
    }

    private func makeDirectories(_ path: HostPath, mode: UInt32, linksLeft: Int) throws {
        let existing = resolve(path, flags: Int32(ISLE_O_PATH) | O_DIRECTORY)
        if existing >= 0 {
            Glibc.close(existing)
            return
        }
        guard existing == -ENOENT else { throw failure(-existing, "create folder", path) }
        guard linksLeft > 0 else { throw failure(ELOOP, "create folder", path) }
        let names = path.components
        guard !names.isEmpty else { throw failure(ENOENT, "create folder", path) }
        let parent = HostPath(bytes: Array(names.dropLast().map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
        if names.count > 1 { try makeDirectories(parent, mode: mode, linksLeft: linksLeft) }
        do {
            try makeDirectory(path, mode: mode)
        } catch let error as EngineError where error.code == .alreadyExists {
            // A link to a folder that is not there yet, or a folder that another thread made.
            guard try status(path)?.kind == .symbolicLink else { return }
            let target = try readLink(path)
            let isAbsolute = target.bytes.first == UInt8(ascii: "/")
            guard !isAbsolute || confinement == .inRoot else { throw failure(EXDEV, "create folder", path) }
            let next = isAbsolute ? target : parent.appending(target)
            try makeDirectories(next, mode: mode, linksLeft: linksLeft - 1)
        }
    }

    /// Makes a symbolic link at `path` that holds `target`, which is not checked in any way.
    public func makeSymbolicLink(_ path: some HostPathConvertible, target: some HostPathConvertible) throws {
        let target = target.hostPath
        try perform("create link", path) { folder, name in target.withCString { isle_symlinkat($0, folder, name) } }
    }

    /// Makes `path` another name of the file at `existing`; a link as the last name of either is not followed.
    public func makeHardLink(_ path: some HostPathConvertible, to existing: some HostPathConvertible) throws {
        let source = try locate(existing.hostPath, "link")
        let result = try locate(path.hostPath, "create hard link").with { folder, name in
            source.with { isle_linkat($0, $1, folder, name) }
        }
        guard result == 0 else {
            throw failure(-result, "create hard link to \(self.name(of: existing.hostPath)) as", path.hostPath)
        }
    }

    /// Makes a device node, FIFO or socket: mknod(2). A character device 0:0 is overlayfs's mark of a removed name.
    public func makeNode(
        _ path: some HostPathConvertible, _ kind: FileStatus.Kind, permissions: UInt32 = 0o600, major: UInt32 = 0,
        minor: UInt32 = 0
    ) throws {
        try perform("create node", path) { isle_mknodat($0, $1, kind.typeBits | permissions, major, minor) }
    }

    /// The target of a link, as it is stored.
    public func readLink(_ path: some HostPathConvertible) throws -> HostPath {
        let path = path.hostPath
        let location = try locate(path, "read link")
        var buffer = [CChar](repeating: 0, count: 4097)
        let count = location.with { isle_readlinkat($0, $1, &buffer, 4096) }
        guard count >= 0 else { throw failure(Int32(-count), "read link", path) }
        return HostPath(bytes: buffer.prefix(count).map { UInt8(bitPattern: $0) })
    }

    /// Removes a file, link or node. `notFound` if it is not there.
    public func removeFile(_ path: some HostPathConvertible) throws {
        try perform("remove", path) { isle_unlinkat($0, $1, 0) }
    }

    /// Removes an empty folder.
    public func removeDirectory(_ path: some HostPathConvertible) throws {
        try perform("remove folder", path) { isle_unlinkat($0, $1, 1) }
    }

    /// Gives what is at `old` the name `new`: rename(2). With `replacing` false, `alreadyExists` if that is taken.
    public func rename(
        _ old: some HostPathConvertible, to new: some HostPathConvertible, replacing: Bool = true
    ) throws {
        try rename(old, to: new, in: self, replacing: replacing)
    }

    /// As `rename(_:to:replacing:)`, with the new name below `other`, on the same filesystem.
    public func rename(
        _ old: some HostPathConvertible, to new: some HostPathConvertible, in other: RootDirectory,
        replacing: Bool = true
    ) throws {
        let source = try locate(old.hostPath, "rename")
        let result = try other.locate(new.hostPath, "rename to").with { folder, name in
            source.with { isle_renameat2($0, $1, folder, name, replacing ? 0 : UInt32(ISLE_RENAME_NOREPLACE)) }
        }
        guard result == 0 else {
            throw failure(-result, "rename to \(other.name(of: new.hostPath))", old.hostPath)
        }
    }

    /// What a folder holds, in no order, without `.` and `..`.
    public func list(_ path: some HostPathConvertible = HostPath(".")) throws -> [DirectoryEntry] {
        let path = path.hostPath
        let result = resolve(path, flags: O_RDONLY | O_DIRECTORY)
        guard result >= 0 else { throw failure(-result, "list", path) }
        return try DirectoryEntry.read(result) { failure($0, "list", path) }
    }
}

/// One name in a folder.
public struct DirectoryEntry: Sendable, Hashable {
    public var name: HostPath
    public var kind: FileStatus.Kind

    /// Reads the folder of `descriptor`, which is closed.
    static func read(_ descriptor: Int32, failure: (Int32) -> EngineError) throws -> [DirectoryEntry] {
        guard let stream = fdopendir(descriptor) else {
            let number = errno
            Glibc.close(descriptor)
            throw failure(number)
        }
        defer { closedir(stream) }
        var entries: [DirectoryEntry] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw failure(errno) }
                return entries
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { HostPath(cString: $0) }
            }
            if name == .current || name == .parent { continue }
            entries.append(DirectoryEntry(name: name, kind: .init(directoryType: entry.pointee.d_type)))
        }
    }
}
