public import LinuxHost
import Model

/// A member of a tar archive.
public struct TarEntry: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case file, directory, symbolicLink, hardLink, characterDevice, blockDevice, fifo
    }

    public var kind: Kind
    /// As the archive has it, `./` and a leading or trailing slash too.
    public var path: HostPath
    /// Of a link: as the archive has it.
    public var linkTarget: HostPath
    /// Permissions with set-user-id, set-group-id and sticky bits.
    public var permissions: UInt32
    public var user: UInt32
    public var group: UInt32
    /// Bytes of the file as it will be, holes included.
    public var size: Int64
    public var modified: FileTime
    public var major: UInt32
    public var minor: UInt32
    /// Extended attributes by their full names.
    public var attributes: [String: [UInt8]]
    /// Where the stored bytes of a sparse file belong; nil: it is stored whole.
    public var sparse: [SparseRegion]?

    public init(
        _ kind: Kind, path: HostPath, linkTarget: HostPath = HostPath(""), permissions: UInt32 = 0o644,
        user: UInt32 = 0,
        group: UInt32 = 0, size: Int64 = 0, modified: FileTime = FileTime(seconds: 0), major: UInt32 = 0,
        minor: UInt32 = 0, attributes: [String: [UInt8]] = [:], sparse: [SparseRegion]? = nil
    ) {
        self.kind = kind
        self.path = path
        self.linkTarget = linkTarget
        self.permissions = permissions
        self.user = user
        self.group = group
        self.size = size
        self.modified = modified
        self.major = major
        self.minor = minor
        self.attributes = attributes
        self.sparse = sparse
    }

    /// The path's text for messages, without control characters.
    public var name: String { Names.quoted(path.text) }
}

/// A part of a sparse file that has bytes.
public struct SparseRegion: Sendable, Hashable {
    public var offset: Int64
    public var length: Int64

    public init(offset: Int64, length: Int64) {
        self.offset = offset
        self.length = length
    }

    /// Checks a map: in order, without overlap, inside a file of `size`, and `stored` bytes in all.
    static func check(_ map: [SparseRegion], size: Int64, stored: Int64) -> Bool {
        var position: Int64 = 0
        var sum: Int64 = 0
        for region in map {
            let (end, overflow) = region.offset.addingReportingOverflow(region.length)
            guard region.offset >= position, region.length >= 0, !overflow, end <= size else { return false }
            position = end
            sum += region.length
        }
        return sum == stored
    }
}
