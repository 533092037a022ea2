import CHost
import Glibc
import Model

/// What lstat(2) says about a file.
public struct FileStatus: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case regular, directory, symbolicLink, characterDevice, blockDevice, fifo, socket, unknown

        /// The kind that the type bits of a mode (`S_IFMT`, inode(7)) stand for.
        public init(mode: UInt32) {
            switch mode & 0o170000 {
            case 0o100000: self = .regular
            case 0o040000: self = .directory
            case 0o120000: self = .symbolicLink
            case 0o020000: self = .characterDevice
            case 0o060000: self = .blockDevice
            case 0o010000: self = .fifo
            case 0o140000: self = .socket
            default: self = .unknown
            }
        }

        /// The type bits of a mode; 0 for `unknown`.
        public var typeBits: UInt32 {
            switch self {
            case .regular: 0o100000
            case .directory: 0o040000
            case .symbolicLink: 0o120000
            case .characterDevice: 0o020000
            case .blockDevice: 0o060000
            case .fifo: 0o010000
            case .socket: 0o140000
            case .unknown: 0
            }
        }

        init(directoryType: UInt8) { self.init(mode: UInt32(directoryType) << 12) }
    }

    public var kind: Kind
    /// Permissions with set-user-id, set-group-id and sticky bits, without the type.
    public var permissions: UInt32
    public var user: UInt32
    public var group: UInt32
    public var size: Int64
    /// Bytes that it occupies on disk.
    public var allocated: Int64
    /// Device and inode number: the same for two names of one file.
    public var device: UInt64
    public var inode: UInt64
    public var links: UInt64
    /// Of a device node.
    public var major: UInt32
    public var minor: UInt32
    public var modified: FileTime

    init(_ raw: stat) {
        kind = Kind(mode: raw.st_mode)
        permissions = raw.st_mode & 0o7777
        user = raw.st_uid
        group = raw.st_gid
        size = Int64(raw.st_size)
        allocated = Int64(raw.st_blocks) * 512
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        links = UInt64(raw.st_nlink)
        major = isle_major(UInt64(raw.st_rdev))
        minor = isle_minor(UInt64(raw.st_rdev))
        modified = FileTime(seconds: Int64(raw.st_mtim.tv_sec), nanoseconds: Int(raw.st_mtim.tv_nsec))
    }
}

/// Seconds and nanoseconds since 1970-01-01T00:00:00Z.
public struct FileTime: Sendable, Hashable, Comparable {
    public var seconds: Int64
    public var nanoseconds: Int

    public init(seconds: Int64, nanoseconds: Int = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static func < (left: FileTime, right: FileTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

extension RootDirectory {
    /// What is at `path`, a link itself and not what it leads to; nil if there is nothing.
    public func status(_ path: some HostPathConvertible = HostPath(".")) throws -> FileStatus? {
        let path = path.hostPath
        var raw = stat()
        let result: Int32
        if path.components.isEmpty {
            result = isle_statat(descriptor, "", &raw)
        } else {
            do {
                result = try locate(path, "look at").with { isle_statat($0, $1, &raw) }
            } catch let error as EngineError where error.code == .notFound {
                return nil
            }
        }
        if result == -ENOENT { return nil }
        guard result == 0 else { throw failure(-result, "look at", path) }
        return FileStatus(raw)
    }

    /// Whether there is anything at `path`, a link that leads nowhere too.
    public func exists(_ path: some HostPathConvertible) throws -> Bool { try status(path) != nil }

    /// Sets owner and group of what is at `path`, of a link itself. The kernel clears set-user-id bits.
    public func setOwner(_ path: some HostPathConvertible, user: UInt32, group: UInt32) throws {
        try change("set the owner of", path) { isle_chownat($0, $1, user, group) }
    }

    /// Sets the permissions of what is at `path`, which is not a link.
    public func setPermissions(_ path: some HostPathConvertible, _ mode: UInt32) throws {
        let path = path.hostPath
        let file = try open(path, Int32(ISLE_O_PATH) | O_NOFOLLOW)
        let result = isle_chmod_path(file.raw, mode)
        guard result == 0 else { throw failure(-result, "set the mode of", path) }
    }

    /// Sets the modification time (and the access time to the same) of what is at `path`, of a link itself.
    public func setModified(_ path: some HostPathConvertible, _ time: FileTime) throws {
        let nanoseconds = time.nanoseconds
        try change("set the time of", path) {
            isle_utimensat($0, $1, time.seconds, nanoseconds, time.seconds, nanoseconds)
        }
    }

    /// Sets an extended attribute of what is at `path`, of a link itself: setxattr(2).
    public func setAttribute(_ path: some HostPathConvertible, _ attribute: String, _ value: [UInt8]) throws {
        try change("set attribute \(attribute) of", path) {
            isle_setxattrat($0, $1, attribute, value, value.count)
        }
    }

    /// The value of an extended attribute; nil if the file or the filesystem does not have it.
    public func attribute(_ path: some HostPathConvertible, _ attribute: String) throws -> [UInt8]? {
        let path = path.hostPath
        let location = try locateOrSelf(path, "read attribute \(attribute) of")
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = location.with { isle_getxattrat($0, $1, attribute, &buffer, buffer.count) }
        if count == -Int(ENODATA) || count == -Int(EOPNOTSUPP) { return nil }
        guard count >= 0 else { throw failure(Int32(-count), "read attribute \(attribute) of", path) }
        return Array(buffer.prefix(count))
    }

    /// The names of the extended attributes of what is at `path`, sorted.
    public func attributeNames(_ path: some HostPathConvertible) throws -> [String] {
        let path = path.hostPath
        let location = try locateOrSelf(path, "list the attributes of")
        var buffer = [CChar](repeating: 0, count: 65536)
        let count = location.with { isle_listxattrat($0, $1, &buffer, buffer.count) }
        if count == -Int(EOPNOTSUPP) { return [] }
        guard count >= 0 else { throw failure(Int32(-count), "list the attributes of", path) }
        return buffer.prefix(count).split(separator: 0)
            .map { String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self) }.sorted()
    }

    /// Removes an extended attribute; no error if it is not there.
    public func removeAttribute(_ path: some HostPathConvertible, _ attribute: String) throws {
        try change("remove attribute \(attribute) of", path) {
            let result = isle_removexattrat($0, $1, attribute)
            return result == -ENODATA ? 0 : result
        }
    }

    /// As `locate`, but a path without a name means the folder itself, whose attributes may be read and set.
    private func locateOrSelf(_ path: HostPath, _ action: String) throws -> Location {
        if path.components.isEmpty { return Location(folder: try open(path, O_RDONLY | O_DIRECTORY), name: .current) }
        return try locate(path, action)
    }

    private func change(
        _ action: String, _ path: some HostPathConvertible, _ call: (Int32, UnsafePointer<CChar>) -> Int32
    ) throws {
        let path = path.hostPath
        let result = try locateOrSelf(path, action).with(call)
        guard result >= 0 else { throw failure(-result, action, path) }
    }

    /// Writes out the whole filesystem that the folder is on: syncfs(2). Takes as long as the disk needs.
    public func syncFilesystem() throws {
        let result = isle_syncfs(descriptor)
        guard result == 0 else { throw EngineError.system(-result, "sync the filesystem of \(path)") }
    }
}
