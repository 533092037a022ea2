import LinuxHost
import Model

/// The text that describes a VMDK disk (VMware "Virtual Disk Format 5.0"): its files, and what it lies over.
struct VMDKDescriptor: Sendable, Hashable {
    /// Names of the files that hold the data, as the text has them.
    var extents: [String] = []
    /// Bytes that all extents have together.
    var size: UInt64 = 0

    /// - Throws: `invalidArgument` for a parent, a file that is not beside the description, or a text that is none.
    init(_ text: String, name: String) throws {
        for line in text.split(whereSeparator: \.isNewline).prefix(10_000) {
            let line = line.drop { $0 == " " || $0 == "\t" }
            let key = line.prefix { $0 != "=" && $0 != " " }.lowercased()
            switch key {
            case "parentcid":
                let value = line.split(separator: "=", maxSplits: 1).last.map { $0.filter { $0 != " " }.lowercased() }
                guard value == "ffffffff" else { throw Self.parent(name) }
            case "parentfilenamehint": throw Self.parent(name)
            case "rw", "rdonly", "noaccess": try addExtent(line, name: name)
            default: break
            }
        }
        try DiskSize.check(max(size, 1), name: name)
    }

    /// `RW 4192256 SPARSE "disk-s001.vmdk" [offset]`: sectors of 512 bytes, kind, file.
    private mutating func addExtent(_ line: Substring, name: String) throws {
        let words = line.split(separator: " ", maxSplits: 3)
        guard words.count >= 3, let sectors = UInt64(words[1]), sectors <= DiskSize.maximum / 512 else {
            throw EngineError(.invalidArgument, "VMDK disk \(name) has a malformed extent")
        }
        size += sectors * 512
        if words[2] == "ZERO" { return }
        guard ["SPARSE", "FLAT", "VMFS", "VMFSSPARSE"].contains(words[2]), words.count == 4,
            words[3].first == "\"", let end = words[3].dropFirst().firstIndex(of: "\"")
        else {
            throw EngineError(
                .unsupported, "VMDK disk \(name) has an extent of the kind \(Names.quoted(String(words[2])))")
        }
        let file = String(words[3][words[3].index(after: words[3].startIndex)..<end])
        let isPlain = !file.isEmpty && file.utf8.count <= 255 && file != "." && file != ".."
        guard isPlain, !file.utf8.contains(UInt8(ascii: "/")), !file.utf8.contains(UInt8(ascii: ":")),
            !file.utf8.contains(0)
        else {
            throw EngineError(
                .invalidArgument,
                "VMDK disk \(name) names the file \(Names.quoted(file)), which is not beside it and is not followed")
        }
        extents.append(file)
        guard extents.count <= 1024 else {
            throw EngineError(.invalidArgument, "VMDK disk \(name) has too many extents")
        }
    }

    private static func parent(_ name: String) -> EngineError {
        EngineError(
            .invalidArgument, "VMDK disk \(name) lies over another disk, which is not followed",
            hint: "remove its snapshots where it comes from, or export it as OVA")
    }
}

/// The header of a VMDK file that holds sectors itself (monolithicSparse, streamOptimized and the parts of a split disk).
struct VMDKHeader {
    /// Bytes that the guest sees.
    var size: UInt64
    /// Where the description stands in the file, in bytes.
    var descriptor: (offset: UInt64, count: UInt64)
    /// The table of grains is at the end, and a copy of this header before it.
    var hasFooter: Bool

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 512, bytes.starts(with: Array("KDMV".utf8)) else { return nil }
        func number(_ offset: Int) -> UInt64 {
            bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        let (size, overflow) = number(12).multipliedReportingOverflow(by: 512)
        self.size = overflow ? .max : size
        descriptor = (number(28) &* 512, number(36) &* 512)
        hasFooter = number(56) == .max
    }
}
