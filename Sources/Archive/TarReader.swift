import LinuxHost
import Model

/// Reads a tar archive member by member: ustar, pax, GNU (long names, base-256 numbers, sparse files), V7.
///
/// Names are kept byte for byte. Everything that an archive states is bounded and checked; what is damaged or not
/// understood is refused with the offset at which it stands. To be used from one thread.
public final class TarReader {
    private let source: any BlockSource
    private let archive: String
    private let limits: ArchiveLimits
    private var block = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Bytes of the uncompressed stream that were used.
    public private(set) var offset: Int64 = 0
    /// Stored bytes of the present member that were not read yet, and the filling after them.
    var unread: Int64 = 0
    private var filling: Int64 = 0
    private var entries = 0
    private var global: [String: [UInt8]] = [:]
    private var isAtEnd = false

    /// `name` is for messages.
    public init(_ source: any BlockSource, name: String, limits: ArchiveLimits = ArchiveLimits()) {
        self.source = source
        self.archive = name
        self.limits = limits
    }

    /// The next member, nil at the end. What was not read of the one before is passed over.
    public func next() throws -> TarEntry? {
        try skip(unread + filling)
        (unread, filling) = (0, 0)
        guard !isAtEnd else { return nil }
        var pending = PendingHeaders()
        while true {
            guard let header = try readHeader() else {
                guard pending.isEmpty else { throw damaged("it ends after an extended header") }
                isAtEnd = true
                return nil
            }
            let stored = try size(header)
            switch header.type {
            case UInt8(ascii: "x"), UInt8(ascii: "X"):
                guard let records = PaxRecords(try readExtension(stored)) else {
                    throw damaged("a pax header is malformed")
                }
                pending.pax = records
            case UInt8(ascii: "g"):
                guard let records = PaxRecords(try readExtension(stored)) else {
                    throw damaged("a pax header is malformed")
                }
                for (key, value) in records.list { global[key] = value }
            case UInt8(ascii: "L"): pending.longName = try readExtension(stored).prefix { $0 != 0 }
            case UInt8(ascii: "K"): pending.longLink = try readExtension(stored).prefix { $0 != 0 }
            case UInt8(ascii: "V"): try skip(padded(stored))
            default:
                entries += 1
                guard entries <= limits.entries else {
                    throw EngineError(
                        .resourceExhausted,
                        "archive \(archive) has more than \(limits.entries) members, the most that is accepted")
                }
                return try member(header, stored: stored, pending)
            }
        }
    }

    /// Gives the stored bytes of the present member to `body`, piece by piece.
    public func readData(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        while unread > 0 {
            let piece = try take(unread)
            unread -= Int64(piece.count)
            try body(piece)
        }
    }

    /// All bytes of the present member; `resourceExhausted` if they are more than `limit`.
    public func readAll(limit: Int = 16 << 20) throws -> [UInt8] {
        guard unread <= limit else {
            throw EngineError(
                .resourceExhausted,
                "a member of archive \(archive) has \(unread) bytes, more than the \(limit) that are accepted there")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(unread))
        try readData { bytes.append(contentsOf: $0) }
        return bytes
    }

    // MARK: - Headers

    /// What stands before a member's own header.
    private struct PendingHeaders {
        var pax = PaxRecords()
        var longName: [UInt8]?
        var longLink: [UInt8]?
        var isEmpty: Bool { pax.list.isEmpty && longName == nil && longLink == nil }
    }

    /// Nil at the end of the archive: a block of zeros, or the end of the stream between two members.
    private func readHeader() throws -> TarHeader? {
        guard try !peekIsEmpty() else { return nil }
        let header = TarHeader(bytes: try read(TarHeader.size))
        if header.isZero { return nil }
        guard header.hasRightChecksum else { throw damaged("a header's checksum is wrong") }
        return header
    }

    private func size(_ header: TarHeader) throws -> Int64 {
        guard let size = header.number(124..<136), size >= 0, size <= Int64.max / 4 else {
            throw damaged("a size is not a number")
        }
        return size
    }

    private func readExtension(_ size: Int64) throws -> [UInt8] {
        guard size <= 1 << 20 else { throw damaged("an extended header of \(size) bytes is too long") }
        let bytes = try read(Int(size))
        try skip(padded(size) - size)
        return bytes
    }

    private func member(_ header: TarHeader, stored: Int64, _ pending: PendingHeaders) throws -> TarEntry {
        let pax = merged(pending.pax)
        let path = try HostPath(bytes: name(pax.value("path"), pending.longName, header.path))
        var entry = TarEntry(try kind(header, path), path: path)
        entry.linkTarget = try HostPath(bytes: name(pax.value("linkpath"), pending.longLink, header.text(157..<257)))
        entry.permissions = UInt32(truncatingIfNeeded: try number(header, 100..<108, "mode")) & 0o7777
        entry.user = try owner(pax.text("uid"), header, 108..<116, "user id")
        entry.group = try owner(pax.text("gid"), header, 116..<124, "group id")
        entry.modified =
            try pax.text("mtime").map(time) ?? FileTime(seconds: number(header, 136..<148, "modification time"))
        if entry.kind == .characterDevice || entry.kind == .blockDevice {
            entry.major = UInt32(truncatingIfNeeded: try number(header, 329..<337, "device number"))
            entry.minor = UInt32(truncatingIfNeeded: try number(header, 337..<345, "device number"))
        }
        for (key, value) in pax.list {
            if let name = attributeName(key) { entry.attributes[name] = value }
        }
        guard entry.kind == .file || header.type == UInt8(ascii: "D") else { return entry }

        var size = stored
        if let text = pax.text("size") {
            guard let value = Int64(text), value >= 0, value <= Int64.max / 4 else {
                throw damaged("a size is not a number")
            }
            size = value
        }
        unread = size
        filling = padded(size) - size
        entry.size = size
        if header.type != UInt8(ascii: "D") { try readSparse(header, pax, &entry) }
        guard entry.size <= limits.fileSize else {
            throw EngineError(
                .resourceExhausted,
                "\(entry.name) in archive \(archive) has \(entry.size) bytes, more than the \(limits.fileSize) accepted"
            )
        }
        return entry
    }

    private func merged(_ local: PaxRecords) -> PaxRecords {
        guard !global.isEmpty else { return local }
        var records = PaxRecords()
        for (key, value) in global where local.value(key) == nil { records.add(key, value) }
        records.list += local.list
        return records
    }

    private func kind(_ header: TarHeader, _ path: HostPath) throws -> TarEntry.Kind {
        switch header.type {
        // A V7 folder is a file whose name ends in a slash.
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): path.bytes.last == UInt8(ascii: "/") ? .directory : .file
        case UInt8(ascii: "S"): .file
        case UInt8(ascii: "1"): .hardLink
        case UInt8(ascii: "2"): .symbolicLink
        case UInt8(ascii: "3"): .characterDevice
        case UInt8(ascii: "4"): .blockDevice
        case UInt8(ascii: "5"), UInt8(ascii: "D"): .directory
        case UInt8(ascii: "6"): .fifo
        default: throw damaged("member \(Names.quoted(path.text)) is of the unknown type \(header.type)")
        }
    }

    /// The first that is there; a NUL inside would make another name of it.
    private func name(_ pax: [UInt8]?, _ long: [UInt8]?, _ short: [UInt8]) throws -> [UInt8] {
        let name = pax ?? long ?? short
        guard !name.contains(0) else {
            throw damaged("the name \(Names.quoted(String(decoding: name, as: UTF8.self))) has a NUL in it")
        }
        return name
    }

    private func number(_ header: TarHeader, _ range: Range<Int>, _ what: String) throws -> Int64 {
        guard let value = header.number(range) else { throw damaged("a \(what) is not a number") }
        return value
    }

    private func owner(_ pax: String?, _ header: TarHeader, _ range: Range<Int>, _ what: String) throws -> UInt32 {
        let value: Int64
        if let pax {
            guard let stated = Int64(pax) else { throw damaged("a \(what) is not a number") }
            value = stated
        } else {
            value = try number(header, range, what)
        }
        // 2^32 - 1 is "no change" to chown(2).
        guard (0..<Int64(UInt32.max)).contains(value) else { throw damaged("\(what) \(value) is out of range") }
        return UInt32(value)
    }

    /// Seconds with a decimal fraction.
    private func time(_ text: String) throws -> FileTime {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let seconds = Int64(first == "-" || first == "" ? "0" : first),
            seconds.magnitude < 1 << 60
        else {
            throw damaged("a modification time is not a number")
        }
        guard parts.count == 2 else { return FileTime(seconds: seconds) }
        let digits = parts[1].prefix(9)
        guard var nanoseconds = Int(digits.isEmpty ? "0" : digits), digits.utf8.allSatisfy({ (48...57).contains($0) })
        else {
            throw damaged("a modification time is not a number")
        }
        for _ in digits.utf8.count..<9 { nanoseconds *= 10 }
        guard text.hasPrefix("-"), nanoseconds > 0 else { return FileTime(seconds: seconds, nanoseconds: nanoseconds) }
        return FileTime(seconds: seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds)
    }

    private func attributeName(_ key: String) -> String? {
        let prefix = "SCHILY.xattr."
        return key.hasPrefix(prefix) ? String(key.dropFirst(prefix.utf8.count)) : nil
    }

    // MARK: - Bytes

    func damaged(_ what: String) -> EngineError {
        EngineError(.invalidArgument, "archive \(archive) is damaged at offset \(offset): \(what)")
    }

    func padded(_ size: Int64) -> Int64 { (size + 511) & ~511 }

    private func peekIsEmpty() throws -> Bool {
        if block.isEmpty { block = try source.nextBlock() }
        return block.isEmpty
    }

    /// At least one and at most `count` bytes, valid until the next call.
    private func take(_ count: Int64) throws -> UnsafeRawBufferPointer {
        guard try !peekIsEmpty() else { throw damaged("it is cut off") }
        let size = Int(min(count, Int64(block.count)))
        let piece = UnsafeRawBufferPointer(rebasing: block[..<size])
        block = UnsafeRawBufferPointer(rebasing: block[size...])
        offset += Int64(size)
        return piece
    }

    /// Reads stored bytes of the present member that describe it.
    func readStored(_ count: Int) throws -> [UInt8] {
        guard Int64(count) <= unread else { throw damaged("a sparse map is cut off") }
        unread -= Int64(count)
        return try read(count)
    }

    func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count { bytes.append(contentsOf: try take(Int64(count - bytes.count))) }
        return bytes
    }

    private func skip(_ count: Int64) throws {
        var left = count
        while left > 0 { left -= Int64(try take(left).count) }
    }
}
