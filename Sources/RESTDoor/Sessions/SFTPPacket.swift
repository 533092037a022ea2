import DriverKit

/// Numbers of the SSH file transfer protocol, version 3 (draft-ietf-secsh-filexfer-02).
enum SFTP {
    enum Request: UInt8 {
        case start = 1
        case open = 3
        case close, read, write, lstat, fstat, setstat, fsetstat, opendir, readdir, remove, mkdir, rmdir, realpath
        case stat, rename, readlink, symlink
        case extended = 200
    }

    enum Answer: UInt8 {
        case version = 2
        case status = 101
        case handle, data, name, attributes
    }

    enum Status: UInt32 {
        case ok, end, noSuchFile, permissionDenied, failure, badMessage, noConnection, connectionLost, unsupported
    }

    /// Bits of an open.
    enum Flag {
        static let write: UInt32 = 2
        static let append: UInt32 = 4
        static let create: UInt32 = 8
        static let truncate: UInt32 = 16
        static let exclusive: UInt32 = 32
    }

    /// Bits of what attributes there are.
    enum Attribute {
        static let size: UInt32 = 1
        static let owner: UInt32 = 2
        static let permissions: UInt32 = 4
        static let times: UInt32 = 8
        static let extended: UInt32 = 0x8000_0000
    }

    /// A packet that cannot be read.
    struct Malformed: Error {}
}

/// Reads the fields of a packet one after the other.
struct SFTPReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func byte() throws -> UInt8 {
        guard let byte = rest.popFirst() else { throw SFTP.Malformed() }
        return byte
    }

    mutating func number() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 { value = value << 8 | UInt32(try byte()) }
        return value
    }

    mutating func long() throws -> UInt64 { UInt64(try number()) << 32 | UInt64(try number()) }

    mutating func bytes() throws -> ArraySlice<UInt8> {
        let count = Int(try number())
        guard count <= rest.count else { throw SFTP.Malformed() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func path() throws -> GuestPath { GuestPath(bytes: try bytes()) }

    mutating func text() throws -> String { String(decoding: try bytes(), as: UTF8.self) }

    mutating func attributes() throws -> FileChange {
        let flags = try number()
        var change = FileChange()
        if flags & SFTP.Attribute.size != 0 { change.size = Int64(clamping: try long()) }
        if flags & SFTP.Attribute.owner != 0 { (change.user, change.group) = (try number(), try number()) }
        if flags & SFTP.Attribute.permissions != 0 { change.permissions = try number() & 0o7777 }
        if flags & SFTP.Attribute.times != 0 {
            _ = try number()
            change.modified = Int64(try number())
        }
        if flags & SFTP.Attribute.extended != 0 {
            for _ in 0..<(try number()) { _ = (try bytes(), try bytes()) }
        }
        return change
    }
}

/// Writes the fields of a packet.
struct SFTPWriter {
    private(set) var bytes: [UInt8]

    /// The length in front is put in by `finished`.
    init(_ kind: SFTP.Answer, id: UInt32?) {
        bytes = [0, 0, 0, 0, kind.rawValue]
        if let id { number(id) }
    }

    mutating func number(_ value: UInt32) {
        bytes += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    mutating func long(_ value: UInt64) {
        number(UInt32(truncatingIfNeeded: value >> 32))
        number(UInt32(truncatingIfNeeded: value))
    }

    mutating func string(_ value: some Collection<UInt8>) {
        number(UInt32(value.count))
        bytes += value
    }

    mutating func attributes(_ facts: FileFacts) {
        number(SFTP.Attribute.size | SFTP.Attribute.owner | SFTP.Attribute.permissions | SFTP.Attribute.times)
        long(UInt64(clamping: facts.size))
        number(facts.user)
        number(facts.group)
        number(facts.kind.modeBits | facts.permissions)
        number(UInt32(clamping: facts.modified))
        number(UInt32(clamping: facts.modified))
    }

    /// The packet with its length in front.
    var finished: [UInt8] {
        var packet = bytes
        let length = UInt32(bytes.count - 4)
        for (index, shift) in [24, 16, 8, 0].enumerated() { packet[index] = UInt8(truncatingIfNeeded: length >> shift) }
        return packet
    }
}

extension FileFacts.Kind {
    /// Type bits of a mode (inode(7)).
    var modeBits: UInt32 {
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
}
