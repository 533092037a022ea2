import CHost
import Glibc
import LinuxHost
import Model

/// The format of a disk image, as qemu-img(1) names it for what it reads.
public enum DiskFileFormat: String, Sendable, Codable, CaseIterable {
    case raw, qcow2, vmdk, vdi, vpc, vhdx
}

/// What a file is that somebody wants to import, told by its content alone.
public struct ImageFileKind: Sendable, Hashable {
    public enum Content: Sendable, Hashable {
        /// A WASM core module, or a component.
        case wasmModule, wasmComponent
        case disk(DiskFileFormat)
        /// A tar with an OVF description and disks.
        case ova
        /// A tar of an OCI image layout.
        case ociLayout
        /// A tar as `docker save` writes it, without an OCI layout in it.
        case dockerArchive
        /// Any other tar.
        case rootFilesystem
    }

    public var content: Content
    /// Whether the content is compressed as a whole.
    public var isCompressed: Bool

    /// Looks into the file at `path`. A compressed tar may have to be read to its end.
    /// - Throws: `notFound`; `invalidArgument` if it is none of these; `unsupported` for what is known and not taken.
    public static func detect(path: String) throws -> ImageFileKind {
        let raw = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(Names.printable(path))") }
        let file = OwnedDescriptor(raw)
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw EngineError.system(errno, "look at \(Names.printable(path))") }
        guard status.st_mode & 0o170000 == 0o100000 else {
            throw EngineError(.invalidArgument, "\(Names.printable(path)) is not a regular file")
        }
        let name = Names.printable(path)
        let head = try read(file, at: 0, count: 8192)
        let tailStart = max(0, Int64(status.st_size) - 512)
        if let content = try ofHead(head, tail: try read(file, at: tailStart, count: 512), name: name) {
            return ImageFileKind(content: content, isCompressed: false)
        }
        lseek(file.raw, 0, SEEK_SET)
        let source = try DecompressedSource(file, name: name)
        let isCompressed = source.filter != "none"
        let first = try FirstBytes(source, count: 8192)
        if isCompressed, let content = try ofHead(first.bytes, tail: [], name: name) {
            return ImageFileKind(content: content, isCompressed: true)
        }
        guard looksLikeTar(first.bytes) else {
            throw EngineError(
                .invalidArgument, "\(name) is no image that is known: neither a tar, a disk, nor WASM",
                hint: "give a tar (compressed or not), raw, qcow2, VMDK, VDI, VHD, VHDX, OVA or .wasm file")
        }
        return ImageFileKind(content: try ofTar(TarReader(first, name: name)), isCompressed: isCompressed)
    }

    private static func ofHead(_ head: [UInt8], tail: [UInt8], name: String) throws -> Content? {
        func has(_ bytes: [UInt8], at offset: Int) -> Bool { head.dropFirst(offset).starts(with: bytes) }
        if has([0x00, 0x61, 0x73, 0x6d], at: 0) {
            if has([0x01, 0x00, 0x00, 0x00], at: 4) { return .wasmModule }
            // Layer 1 of the format is the component model; its version is not final.
            if has([0x01, 0x00], at: 6) { return .wasmComponent }
            throw EngineError(.unsupported, "WASM file \(name) is of an unknown version")
        }
        if has([0x51, 0x46, 0x49, 0xfb], at: 0) { return .disk(.qcow2) }
        if has(Array("KDMV".utf8), at: 0) || has(Array("COWD".utf8), at: 0) { return .disk(.vmdk) }
        if has(Array("# Disk DescriptorFile".utf8), at: 0) { return .disk(.vmdk) }
        if has(Array("vhdxfile".utf8), at: 0) { return .disk(.vhdx) }
        if has([0x7f, 0x10, 0xda, 0xbe], at: 64) { return .disk(.vdi) }
        // A fixed VHD has its header at the end only.
        if has(Array("conectix".utf8), at: 0) || tail.starts(with: Array("conectix".utf8)) { return .disk(.vpc) }
        if looksLikeTar(head) { return nil }
        if has(Array("EFI PART".utf8), at: 512) || has(Array("EFI PART".utf8), at: 4096) { return .disk(.raw) }
        return hasPartitionTable(head) ? .disk(.raw) : nil
    }

    /// A master boot record: the signature, and entries that could be partitions.
    private static func hasPartitionTable(_ head: [UInt8]) -> Bool {
        guard head.count >= 512, head[510] == 0x55, head[511] == 0xaa else { return false }
        let entries = (0..<4).map { head[(446 + $0 * 16)..<(462 + $0 * 16)] }
        return entries.allSatisfy { [0x00, 0x80].contains($0[$0.startIndex]) }
            && entries.contains { $0[$0.startIndex + 4] != 0 }
    }

    private static func looksLikeTar(_ head: [UInt8]) -> Bool {
        guard head.count >= 512 else { return false }
        let header = TarHeader(bytes: Array(head.prefix(512)))
        return !header.isZero && header.hasRightChecksum
    }

    /// What the members are called. Names of the archives of images are few; the first other one settles it.
    private static func ofTar(_ reader: TarReader) throws -> Content {
        var isLayout = false
        var isDocker = false
        var isFirst = true
        while let entry = try reader.next() {
            let names = entry.path.components.map(\.text)
            guard let top = names.first else { continue }
            if isFirst && names.count == 1 && top.lowercased().hasSuffix(".ovf") { return .ova }
            isFirst = false
            switch top {
            case "oci-layout": isLayout = true
            case "manifest.json": isDocker = true
            case "blobs", "index.json", "repositories": break
            default:
                // docker save: <64 digits>/layer.tar, <64 digits>.json, <64 digits>.tar.
                let stem = top.prefix { $0 != "." }
                guard stem.utf8.count == 64, stem.allSatisfy(\.isHexDigit) else { return .rootFilesystem }
            }
            if isLayout { return .ociLayout }
        }
        return isDocker ? .dockerArchive : .rootFilesystem
    }

    private static func read(_ file: OwnedDescriptor, at offset: Int64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = pread(file.raw, &bytes, count, off_t(offset))
        guard got >= 0 else { throw EngineError.system(errno, "read the file's first bytes") }
        return Array(bytes.prefix(got))
    }
}

/// A stream whose first bytes can be looked at before it is read.
private final class FirstBytes: BlockSource {
    let bytes: [UInt8]
    private let head: MemorySource
    private let rest: any BlockSource
    private var isInRest = false

    init(_ source: any BlockSource, count: Int) throws {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let block = try source.nextBlock()
            if block.isEmpty { break }
            bytes.append(contentsOf: block)
        }
        self.bytes = bytes
        head = MemorySource(bytes)
        rest = source
    }

    func nextBlock() throws -> UnsafeRawBufferPointer {
        if !isInRest {
            let block = try head.nextBlock()
            if !block.isEmpty { return block }
            isInRest = true
        }
        return try rest.nextBlock()
    }
}
