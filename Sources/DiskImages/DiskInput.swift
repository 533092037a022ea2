import Archive
import CHost
import Glibc
import LinuxHost
import Model

/// A disk from outside, opened and looked at: its format, its files, and that it needs no others.
struct DiskInput: Sendable {
    var format: DiskFileFormat
    /// The first is the disk's own; the names are those under which the files know each other.
    var files: [ToolSandbox.Input]

    /// Opens the disk at `path`, whose format was stated or told by its magic.
    static func open(_ path: String, format: DiskFileFormat) throws -> DiskInput {
        let folder = try RootDirectory(path: parent(of: path))
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let file = try openRegular(name, in: folder, follow: true)
        let shown = Names.printable(path)
        guard FilePrefix.size(file) > 0 else { throw EngineError(.invalidArgument, "disk \(shown) is empty") }
        var files = [ToolSandbox.Input(name: "disk", file: file)]
        switch format {
        case .qcow2: try Qcow2Header(FilePrefix.read(file, count: 4096), name: shown).checkStandsAlone(name: shown)
        case .vmdk: files += try checkVMDK(file, name: shown, folder: folder)
        case .raw: try DiskSize.check(UInt64(FilePrefix.size(file)), name: shown)
        case .vdi: try checkVDI(file, name: shown)
        case .vpc: try checkVHD(file, name: shown)
        case .vhdx: break
        }
        return DiskInput(format: format, files: files)
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Only the disk itself, which the user named, may be a link; a file that it names may not.
    private static func openRegular(_ name: String, in folder: RootDirectory, follow: Bool) throws -> OwnedDescriptor {
        let raw =
            follow
            ? Glibc.open("\(folder.path)/\(name)", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
            : try folder.open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW).take()
        guard raw >= 0 else {
            throw EngineError.system(errno, "open disk \(Names.printable("\(folder.path)/\(name)"))")
        }
        let file = OwnedDescriptor(raw)
        var status = stat()
        guard fstat(raw, &status) == 0, status.st_mode & 0o170000 == 0o100000 else {
            throw EngineError(
                .invalidArgument, "disk \(Names.printable("\(folder.path)/\(name)")) is not a regular file")
        }
        return file
    }

    /// All blocks that a VDI disk counts must be in the file (VirtualBox, `VDIHEADER1`).
    private static func checkVDI(_ file: OwnedDescriptor, name: String) throws {
        let head = try FilePrefix.read(file, count: 512)
        func number(_ offset: Int) -> UInt64 {
            head.count < 512 ? 0 : head[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        let (dataOffset, blockSize, blocks) = (number(344), number(376), number(388))
        guard head.count == 512, dataOffset + blockSize * blocks <= UInt64(FilePrefix.size(file)) else {
            throw EngineError(.invalidArgument, "VDI disk \(name) is damaged or cut off")
        }
    }

    /// A VHD disk ends in its footer, of 511 bytes in old ones (Microsoft "Virtual Hard Disk Image Format").
    private static func checkVHD(_ file: OwnedDescriptor, name: String) throws {
        let tail = try FilePrefix.read(file, offset: max(0, FilePrefix.size(file) - 512), count: 512)
        let cookie = Array("conectix".utf8)
        guard tail.starts(with: cookie) || tail.dropFirst().starts(with: cookie) else {
            throw EngineError(.invalidArgument, "VHD disk \(name) is cut off: its end is missing")
        }
    }

    /// The further files of a VMDK disk, which must lie beside it.
    private static func checkVMDK(_ file: OwnedDescriptor, name: String, folder: RootDirectory) throws
        -> [ToolSandbox.Input]
    {
        let head = try FilePrefix.read(file, count: 65536)
        if head.starts(with: Array("COWD".utf8)) { return [] }
        if head.starts(with: Array("KDMV".utf8)) {
            try checkSparse(file, head, name: name)
            return []
        }
        let descriptor = try VMDKDescriptor(String(decoding: head, as: UTF8.self), name: name)
        guard !descriptor.extents.isEmpty else {
            throw EngineError(.invalidArgument, "VMDK disk \(name) names no files")
        }
        var seen: Set<String> = []
        return try descriptor.extents.filter { seen.insert($0).inserted }.map { extent in
            let part = try openRegular(extent, in: folder, follow: false)
            let head = try FilePrefix.read(part, count: 65536)
            // A part that describes further files would lead on to them.
            if head.starts(with: Array("KDMV".utf8)) { try checkSparse(part, head, name: "\(name), part \(extent)") }
            guard !head.starts(with: Array("# Disk".utf8)) else {
                throw EngineError(
                    .invalidArgument, "part \(Names.quoted(extent)) of VMDK disk \(name) is a description")
            }
            return ToolSandbox.Input(name: extent, file: part)
        }
    }

    private static func checkSparse(_ file: OwnedDescriptor, _ head: [UInt8], name: String) throws {
        guard let header = VMDKHeader(head) else {
            throw EngineError(.invalidArgument, "VMDK disk \(name) is cut off")
        }
        // Capacity 0 means that the description inside names other files.
        try DiskSize.check(header.size, name: "\(name) (VMDK)")
        if header.hasFooter {
            let footer = try FilePrefix.read(file, offset: FilePrefix.size(file) - 1024, count: 512)
            guard let last = VMDKHeader(footer) else {
                throw EngineError(.invalidArgument, "VMDK disk \(name) is cut off: its end is missing")
            }
            try DiskSize.check(last.size, name: "\(name) (VMDK)")
        }
        guard header.descriptor.offset > 0 else { return }
        guard header.descriptor.offset < UInt64(FilePrefix.size(file)), header.descriptor.count <= 1 << 20 else {
            throw EngineError(.invalidArgument, "VMDK disk \(name) has a malformed description")
        }
        let bytes = try FilePrefix.read(
            file, offset: Int64(header.descriptor.offset), count: Int(header.descriptor.count))
        _ = try VMDKDescriptor(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self), name: name)
    }
}
