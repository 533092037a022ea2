/// A path inside an instance, byte for byte as Linux has it: not necessarily UTF-8. Resolved below the instance's root,
/// never outside; a leading `/` means nothing.
public struct GuestPath: Sendable, Hashable, CustomStringConvertible {
    /// Without NUL: what follows one is left out.
    public let bytes: [UInt8]

    public init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes.prefix { $0 != 0 }) }
    public init(_ text: String) { self.init(bytes: text.utf8) }

    /// For messages and for names known to be UTF-8; other bytes show as U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
    public var description: String { text }

    /// The names between slashes, without empty ones and `.`.
    public var names: [GuestPath] {
        bytes.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }.map { GuestPath(bytes: $0) }
    }

    /// The folder above; the root is above itself.
    public var parent: GuestPath {
        GuestPath(bytes: Array(names.dropLast().map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
    }

    /// This path with `name` below it.
    public func appending(_ name: GuestPath) -> GuestPath {
        GuestPath(bytes: bytes + [UInt8(ascii: "/")] + name.bytes)
    }
}

/// What stat(2) says about a file of an instance; ids are those inside.
public struct FileFacts: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case regular, directory, symbolicLink, characterDevice, blockDevice, fifo, socket, unknown
    }

    public var kind: Kind
    /// Permissions with set-user-id, set-group-id and sticky bits, without the type.
    public var permissions: UInt32
    /// An id of the host that the instance does not have is 65534, as it is shown inside.
    public var user: UInt32
    public var group: UInt32
    public var size: Int64
    /// Seconds since 1970.
    public var modified: Int64

    public init(kind: Kind, permissions: UInt32, user: UInt32, group: UInt32, size: Int64, modified: Int64) {
        self.kind = kind
        self.permissions = permissions
        self.user = user
        self.group = group
        self.size = size
        self.modified = modified
    }
}

/// What is to change about a file; nil stays.
public struct FileChange: Sendable, Hashable {
    public var permissions: UInt32?
    /// Ids inside.
    public var user: UInt32?
    public var group: UInt32?
    public var size: Int64?
    /// Seconds since 1970.
    public var modified: Int64?

    public init(
        permissions: UInt32? = nil, user: UInt32? = nil, group: UInt32? = nil, size: Int64? = nil,
        modified: Int64? = nil
    ) {
        self.permissions = permissions
        self.user = user
        self.group = group
        self.size = size
        self.modified = modified
    }
}

/// How a file is opened, as open(2) has it.
public struct FileOpening: Sendable, Hashable {
    public var writes: Bool
    public var creates: Bool
    public var truncates: Bool
    /// Refuse a name that is taken; with `creates` only.
    public var exclusive: Bool
    /// What a file that is created is given; without, it is root's own and has mode 0644.
    public var attributes: FileChange

    public init(
        writes: Bool = false, creates: Bool = false, truncates: Bool = false, exclusive: Bool = false,
        attributes: FileChange = FileChange()
    ) {
        self.writes = writes
        self.creates = creates
        self.truncates = truncates
        self.exclusive = exclusive
        self.attributes = attributes
    }
}

/// An open regular file of an instance.
public protocol GuestFile: Sendable {
    func facts() async throws -> FileFacts
    /// At most `count` bytes at `offset`; empty at the end.
    func read(at offset: Int64, count: Int) async throws -> [UInt8]
    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: [UInt8], at offset: Int64) async throws
    func change(_ change: FileChange) async throws
    /// Writes what is in memory to the disk.
    func synchronize() async throws
    func close()
}

/// The files of one instance as it sees them itself, with what is mounted in it while it runs.
///
/// Every path is resolved by the kernel below the instance's root, links too, while nothing that is done inside can lead
/// out of it. Files are made with the instance's own ids. Only regular files are opened: a device, pipe or socket is
/// `invalidArgument`. A file on a folder of the host that the instance is shown without its ids is for all that may
/// touch it inside: others' permission bits count.
///
/// After `close`, and once the state of the instance changes, every call is `conflict`; open files are closed.
public protocol FileTree: AnyObject, Sendable {
    /// nil if there is nothing. With `following` a link stands for what it leads to.
    func facts(_ path: GuestPath, following: Bool) async throws -> FileFacts?
    /// Names with what they are, in no order; links are themselves.
    func list(_ path: GuestPath) async throws -> [(name: GuestPath, facts: FileFacts)]
    func readLink(_ path: GuestPath) async throws -> GuestPath
    /// Opens a regular file; links are followed inside.
    func open(_ path: GuestPath, _ opening: FileOpening) async throws -> any GuestFile
    /// `alreadyExists` if the name is taken. Without attributes it is root's own and has mode 0755.
    func makeDirectory(_ path: GuestPath, _ attributes: FileChange) async throws
    /// Makes a symbolic link that holds `target`, which is not checked in any way.
    func makeLink(_ path: GuestPath, target: GuestPath, _ attributes: FileChange) async throws
    func makeHardLink(_ path: GuestPath, to existing: GuestPath) async throws
    /// Removes a file, a link or an empty folder.
    func remove(_ path: GuestPath) async throws
    /// `alreadyExists` for a name that is taken, unless `replacing`.
    func rename(_ path: GuestPath, to newPath: GuestPath, replacing: Bool) async throws
    func change(_ path: GuestPath, _ change: FileChange, following: Bool) async throws
    /// Ends every use of the tree; returns when the last call is over.
    func close() async
    var isClosed: Bool { get }
}

/// The files of a running instance.
public protocol FilesFacet: Sendable {
    func tree() async throws -> any FileTree
}
