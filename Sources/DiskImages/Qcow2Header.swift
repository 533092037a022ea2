import CHost
import Glibc
import LinuxHost
import Model

/// The fixed part of a qcow2 file (QEMU, docs/interop/qcow2.txt), read by ourselves: what a disk says of itself is not
/// to be believed before it is checked, and QEMU would act on it.
public struct Qcow2Header: Sendable, Hashable {
    public var version: UInt32
    /// Bytes that the guest sees.
    public var virtualSize: UInt64
    public var clusterBits: UInt32
    /// The name of a file that lies below this one, if it has one; cut after 1,023 bytes.
    public var backingFile: String?
    public var isEncrypted: Bool
    /// Features that a reader must know; bits of the specification.
    public var incompatibleFeatures: UInt64

    public static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xfb]

    /// Reads the header of the file at `path`. `invalidArgument` if there is none.
    public init(path: String) throws {
        let raw = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard raw >= 0 else { throw EngineError.system(errno, "open disk \(path)") }
        let file = OwnedDescriptor(raw)
        try self.init(FilePrefix.read(file, count: 4096), name: path)
    }

    init(_ bytes: [UInt8], name: String) throws {
        guard bytes.count >= 72, bytes.starts(with: Self.magic) else {
            throw EngineError(.invalidArgument, "\(name) is not a qcow2 disk")
        }
        let fields = BigEndianBytes(bytes)
        version = fields.uint32(4)
        guard version == 2 || version == 3, version == 2 || bytes.count >= 104 else {
            throw EngineError(.invalidArgument, "qcow2 disk \(name) has the unknown version \(version)")
        }
        clusterBits = fields.uint32(20)
        virtualSize = fields.uint64(24)
        isEncrypted = fields.uint32(32) != 0
        incompatibleFeatures = version == 3 ? fields.uint64(72) : 0
        let offset = fields.uint64(8)
        let size = Int(min(fields.uint32(16), 1023))
        if offset != 0 {
            let isHere = offset < UInt64(bytes.count) && Int(offset) + size <= bytes.count
            backingFile = isHere ? String(decoding: bytes[Int(offset)..<Int(offset) + size], as: UTF8.self) : "?"
        }
    }

    /// Refuses what a disk from outside may not have: another file below it or beside it, encryption, damage, features
    /// that are not known, a size that is none.
    public func checkStandsAlone(name: String) throws {
        if let backingFile {
            throw EngineError(
                .invalidArgument,
                "qcow2 disk \(name) lies over another file, \(Names.quoted(backingFile)), which is not followed",
                hint: "make one file of it where it comes from: qemu-img convert -O qcow2")
        }
        try checkFeatures(name: name)
    }

    /// As `checkStandsAlone`, but a backing file may be named: for disks of our own, whose lower file is stated.
    public func checkFeatures(name: String) throws {
        guard incompatibleFeatures & 4 == 0 else {
            throw EngineError(
                .invalidArgument, "qcow2 disk \(name) keeps its data in another file, which is not followed")
        }
        guard incompatibleFeatures & 2 == 0 else {
            throw EngineError(
                .invalidArgument, "qcow2 disk \(name) is marked as damaged", hint: "repair it: qemu-img check -r all")
        }
        // Dirty, compression type and extended L2 entries are known.
        guard incompatibleFeatures & ~(1 | 8 | 16) == 0 else {
            throw EngineError(.unsupported, "qcow2 disk \(name) needs a feature that is not known")
        }
        guard !isEncrypted else { throw EngineError(.unsupported, "qcow2 disk \(name) is encrypted") }
        guard (9...21).contains(clusterBits) else {
            throw EngineError(.invalidArgument, "qcow2 disk \(name) has clusters of 2^\(clusterBits) bytes")
        }
        try DiskSize.check(virtualSize, name: name)
    }
}

/// How large a disk may be.
public enum DiskSize {
    /// 64 TiB.
    public static let maximum: UInt64 = 64 << 40

    static func check(_ size: UInt64, name: String) throws {
        guard size > 0 else { throw EngineError(.invalidArgument, "disk \(name) has no bytes") }
        guard size <= maximum else {
            throw EngineError(.resourceExhausted, "disk \(name) has \(size) bytes; at most \(maximum) are accepted")
        }
    }
}

/// Numbers in a file's header, most significant byte first. Offsets are checked by the caller's length check.
struct BigEndianBytes {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func uint32(_ offset: Int) -> UInt32 { UInt32(number(offset, 4)) }
    func uint64(_ offset: Int) -> UInt64 { number(offset, 8) }

    private func number(_ offset: Int, _ count: Int) -> UInt64 {
        guard offset >= 0, offset + count <= bytes.count else { return 0 }
        return bytes[offset..<offset + count].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Parts of a file, read where they stand.
enum FilePrefix {
    /// Up to `count` bytes from `offset`; fewer at the end.
    static func read(_ file: OwnedDescriptor, offset: Int64 = 0, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes {
                pread(file.raw, $0.baseAddress?.advanced(by: filled), count - filled, off_t(offset) + filled)
            }
            if got < 0 {
                if errno == EINTR { continue }
                throw EngineError.system(errno, "read a disk's header")
            }
            if got == 0 { break }
            filled += got
        }
        return Array(bytes.prefix(filled))
    }

    static func size(_ file: OwnedDescriptor) -> Int64 {
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { return 0 }
        return Int64(status.st_size)
    }
}
