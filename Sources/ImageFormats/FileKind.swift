import Archive
import Glibc
import LinuxHost
import Model

/// What a file that a person wants to import is, told by its content, never by its name.
public enum FileKind: Sendable, Hashable {
    /// A folder; only an OCI layout is taken.
    case folder
    /// A tar, plain or compressed: an image archive or a root filesystem.
    case tar
    /// A core module or a component.
    case module(ModuleKind)
    /// A disk, to be read by a tool that is told the format.
    case disk(DiskKind)
    /// An OVA: a tar that begins with an OVF description and holds disks.
    case appliance

    public enum ModuleKind: String, Sendable, Codable { case core, component }

    /// Formats of disks by the names that qemu-img(1) has for them.
    public enum DiskKind: String, Sendable, Codable, CaseIterable {
        case raw, qcow2, vmdk, vdi, vpc, vhdx
    }

    /// Looks at the file at `path`.
    /// - Throws: `notFound`; `unsupported` for content that is none of these.
    public static func detect(_ path: String) throws -> FileKind {
        let raw = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(Names.quoted(path))") }
        let file = OwnedDescriptor(raw)
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw EngineError.system(errno, "look at \(Names.quoted(path))") }
        if status.st_mode & S_IFMT == S_IFDIR { return .folder }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw EngineError(.invalidArgument, "\(Names.quoted(path)) is neither a file nor a folder")
        }
        let head = try bytes(file, at: 0, 1024, path)
        if let module = module(head) { return .module(module) }
        if let disk = disk(head) { return .disk(disk) }
        if let first = firstMember(path) {
            return first.lowercased().hasSuffix(".ovf") ? .appliance : .tar
        }
        let size = Int64(status.st_size)
        if size >= 1024, starts(try bytes(file, at: size - 512, 8, path), "conectix") { return .disk(.vpc) }
        // A partition table, or a boot sector, is the least that a bootable disk has.
        if head.count >= 512, head[510] == 0x55, head[511] == 0xaa { return .disk(.raw) }
        throw EngineError(
            .unsupported, "\(Names.quoted(path)) is nothing that can be imported",
            hint: "an OCI layout, a docker archive, a root filesystem tar, a .wasm file or a disk image can be")
    }

    /// The kind of module that begins with `head`; nil if it is none (WebAssembly core spec 5.5.16; component model
    /// Binary.md).
    public static func module(_ head: [UInt8]) -> ModuleKind? {
        guard head.count >= 8, Array(head[..<4]) == [0, 0x61, 0x73, 0x6d] else { return nil }
        switch Array(head[4..<8]) {
        case [1, 0, 0, 0]: return .core
        // The low half is the version of the component format, the high half says "component".
        case let bytes where bytes[2] == 1 && bytes[3] == 0: return .component
        default: return nil
        }
    }

    private static func disk(_ head: [UInt8]) -> DiskKind? {
        if starts(head, "QFI") && head.count > 3 && head[3] == 0xfb { return .qcow2 }
        if starts(head, "KDMV") || starts(head, "# Disk DescriptorFile") { return .vmdk }
        if starts(head, "vhdxfile") { return .vhdx }
        if starts(head, "conectix") { return .vpc }
        if head.count >= 68, Array(head[64..<68]) == [0x7f, 0x10, 0xda, 0xbe] { return .vdi }
        return nil
    }

    /// Name of the first member if the file is a tar under one layer of compression at most.
    private static func firstMember(_ path: String) -> String? {
        // Anything that goes wrong here means that it is no tar.
        guard let file = try? ArchiveFile.open(path), let source = try? DecompressedSource(file, name: path) else {
            return nil
        }
        return (try? TarReader(source, name: path).next())??.path.text
    }

    private static func starts(_ bytes: [UInt8], _ text: String) -> Bool { bytes.starts(with: text.utf8) }

    private static func bytes(_ file: OwnedDescriptor, at offset: Int64, _ count: Int, _ path: String) throws -> [UInt8]
    {
        var buffer = [UInt8](repeating: 0, count: count)
        let got = pread(file.raw, &buffer, count, off_t(offset))
        guard got >= 0 else { throw EngineError.system(errno, "read \(Names.quoted(path))") }
        return Array(buffer[..<got])
    }
}
