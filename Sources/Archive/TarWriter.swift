import LinuxHost
import Model

/// Writes a tar archive in the pax form (POSIX.1-2001): ustar headers, and extended ones for what does not fit there.
/// The same members give the same bytes. To be used from one thread.
public final class TarWriter {
    private let sink: (UnsafeRawBufferPointer) throws -> Void
    /// Bytes of the present member that are still to come.
    private var missing: Int64 = 0
    private var filling = 0

    /// `sink` gets the archive piece by piece.
    public init(_ sink: @escaping (UnsafeRawBufferPointer) throws -> Void) { self.sink = sink }

    /// Begins a member; for a file, `entry.size` bytes are to be written next. Sparse maps are not written: a hole is
    /// stored as zeros.
    public func begin(_ entry: TarEntry) throws {
        try finishMember(of: entry.name)
        var header = TarHeader(type: Self.type(entry.kind))
        var pax = PaxRecords()
        var path = entry.path.bytes
        if entry.kind == .directory && path.last != UInt8(ascii: "/") { path.append(UInt8(ascii: "/")) }
        if !Self.isPlain(path) || !Self.setPath(&header, path) { pax.add("path", path) }
        let target = entry.linkTarget.bytes
        if !Self.isPlain(target) || !header.set(157..<257, target) { pax.add("linkpath", target) }
        _ = header.set(100..<108, number: Int64(entry.permissions & 0o7777))
        if !header.set(108..<116, number: Int64(entry.user)) { pax.add("uid", String(entry.user)) }
        if !header.set(116..<124, number: Int64(entry.group)) { pax.add("gid", String(entry.group)) }
        let size = entry.kind == .file ? entry.size : 0
        if !header.set(124..<136, number: size) { pax.add("size", String(size)) }
        if !header.set(136..<148, number: entry.modified.seconds) || entry.modified.nanoseconds != 0 {
            pax.add("mtime", Self.time(entry.modified))
        }
        if entry.kind == .characterDevice || entry.kind == .blockDevice {
            guard header.set(329..<337, number: Int64(entry.major)), header.set(337..<345, number: Int64(entry.minor))
            else { throw EngineError(.invalidArgument, "device numbers of \(entry.name) do not fit into a tar header") }
        }
        for (name, value) in entry.attributes.sorted(by: { $0.key < $1.key }) {
            pax.add("SCHILY.xattr." + name, value)
        }
        if !pax.list.isEmpty { try writeExtension(pax) }
        header.setChecksum()
        try header.bytes.withUnsafeBytes(sink)
        missing = size
        filling = Int((512 - size % 512) % 512)
    }

    /// More bytes of the present file.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard Int64(bytes.count) <= missing else {
            throw EngineError(.invalidArgument, "more bytes were written into a member of an archive than it has")
        }
        missing -= Int64(bytes.count)
        if !bytes.isEmpty { try sink(bytes) }
    }

    /// A whole file at once.
    public func add(_ entry: TarEntry, content: [UInt8] = []) throws {
        var entry = entry
        if entry.kind == .file { entry.size = Int64(content.count) }
        try begin(entry)
        try content.withUnsafeBytes { try write($0) }
    }

    /// Ends the archive: two blocks of zeros.
    public func finish() throws {
        try finishMember(of: "the last one")
        try zeros(1024)
    }

    private func finishMember(of name: String) throws {
        guard missing == 0 else {
            throw EngineError(
                .conflict, "\(missing) bytes of the member before \(name) are missing: its file has become shorter")
        }
        try zeros(filling)
        filling = 0
    }

    private func zeros(_ count: Int) throws {
        if count > 0 { try [UInt8](repeating: 0, count: count).withUnsafeBytes(sink) }
    }

    private func writeExtension(_ pax: PaxRecords) throws {
        let body = pax.encoded
        var header = TarHeader(type: UInt8(ascii: "x"))
        _ = header.set(0..<100, Array("PaxHeaders.0/member".utf8))
        _ = header.set(100..<108, number: 0o644)
        _ = header.set(108..<116, number: 0)
        _ = header.set(116..<124, number: 0)
        _ = header.set(124..<136, number: Int64(body.count))
        _ = header.set(136..<148, number: 0)
        header.setChecksum()
        try header.bytes.withUnsafeBytes(sink)
        try body.withUnsafeBytes(sink)
        try zeros((512 - body.count % 512) % 512)
    }

    private static func type(_ kind: TarEntry.Kind) -> UInt8 {
        switch kind {
        case .file: UInt8(ascii: "0")
        case .hardLink: UInt8(ascii: "1")
        case .symbolicLink: UInt8(ascii: "2")
        case .characterDevice: UInt8(ascii: "3")
        case .blockDevice: UInt8(ascii: "4")
        case .directory: UInt8(ascii: "5")
        case .fifo: UInt8(ascii: "6")
        }
    }

    /// Names in other than ASCII go into the extended header, which has no doubt about their encoding.
    private static func isPlain(_ name: [UInt8]) -> Bool { name.allSatisfy { $0 < 0x80 } }

    /// Puts a path into name and prefix; false if it does not fit.
    private static func setPath(_ header: inout TarHeader, _ path: [UInt8]) -> Bool {
        if header.set(0..<100, path) { return true }
        // The slash between the two is not stored.
        for index in path.indices.dropLast() where path[index] == UInt8(ascii: "/") && index > 0 {
            let name = Array(path[(index + 1)...])
            if name.count <= 100 && index <= 155 {
                return header.set(0..<100, name) && header.set(345..<500, Array(path[..<index]))
            }
        }
        _ = header.set(0..<100, Array(path.prefix(100)))
        return false
    }

    private static func time(_ time: FileTime) -> String {
        guard time.nanoseconds > 0 else { return String(time.seconds) }
        let isNegative = time.seconds < 0
        let seconds = isNegative ? -(time.seconds + 1) : time.seconds
        let nanoseconds = isNegative ? 1_000_000_000 - time.nanoseconds : time.nanoseconds
        let digits = String(nanoseconds)
        return (isNegative ? "-" : "") + "\(seconds)." + String(repeating: "0", count: 9 - digits.utf8.count) + digits
    }
}
