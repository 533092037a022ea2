import Archive
import CHost
import Glibc
import LinuxHost
import Model

/// A folder beside the result of an import, for what is needed meanwhile; removed at the end.
struct ImportStaging: Sendable {
    private let parent: RootDirectory
    private let name: String
    private let folder: RootDirectory
    /// An id of this import's own, so that two of them cannot touch each other.
    private let user: UInt32

    init(beside output: String) throws {
        let slash = output.lastIndex(of: "/")
        parent = try RootDirectory(path: slash.map { $0 == output.startIndex ? "/" : String(output[..<$0]) } ?? ".")
        name = ".import-" + String(UInt64.random(in: .min ... .max), radix: 16)
        user = 0x7100_0000 | UInt32.random(in: 0...0xff_ffff)
        try parent.makeDirectory(name, mode: 0o700)
        folder = try parent.subdirectory(name)
        try folder.makeDirectory("root")
    }

    func remove() throws { try parent.removeTree(name) }

    func sandbox(_ input: DiskInput, output: OwnedDescriptor?, limit: UInt64) throws -> ToolSandbox {
        ToolSandbox(
            mountPoint: "\(folder.path)/root", inputs: input.files, output: output, user: user,
            outputLimit: min(limit, try room()), processorTime: 4 * 3600)
    }

    /// An empty file that the sandboxed tool owns.
    func createOutput(_ name: String) throws -> OwnedDescriptor {
        let file = try folder.createFile(name, mode: 0o600)
        try folder.setOwner(name, user: user, group: user)
        return file
    }

    /// Writes the file out and gives it its name, and back to root.
    func publish(_ name: String, as output: String) throws {
        let file = try folder.open(name, O_RDONLY | O_NOFOLLOW)
        guard fchown(file.raw, 0, 0) == 0, fchmod(file.raw, 0o444) == 0, fsync(file.raw) == 0 else {
            throw EngineError.system(errno, "write out \(output)")
        }
        let last = output.split(separator: "/").last.map(String.init) ?? output
        try folder.rename(name, to: last, in: parent, replacing: false)
        try parent.syncNames()
    }

    /// Bytes that an output may take: what is free, less a twentieth.
    private func room() throws -> UInt64 {
        var status = statvfs()
        guard fstatvfs(folder.descriptor, &status) == 0 else {
            throw EngineError.system(errno, "look at the free space of \(folder.path)")
        }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize) / 20 * 19
    }

    /// Files that only their owner may read are copied: the tool has no right to read them, and capabilities that
    /// would let it read any file.
    func readable(_ input: DiskInput) async throws -> DiskInput {
        var result = input
        for (index, file) in input.files.enumerated() {
            var status = stat()
            guard fstat(file.file.raw, &status) == 0 else { throw EngineError.system(errno, "look at a disk") }
            if status.st_mode & 0o004 != 0 { continue }
            result.files[index].file = try await runBlocking { try copy(file.file, to: "copy\(index)") }
        }
        return result
    }

    private func copy(_ file: OwnedDescriptor, to name: String) throws -> OwnedDescriptor {
        let size = Int64(lseek(file.raw, 0, SEEK_END))
        let room = try room()
        guard size >= 0, UInt64(size) <= room else {
            throw EngineError(.resourceExhausted, "there is no room for a copy of \(size) bytes in \(folder.path)")
        }
        let target = try createOutput(name)
        guard ftruncate(target.raw, off_t(size)) == 0 else { throw EngineError.system(errno, "copy a disk") }
        var offset = off_t(0)
        while offset < size {
            // Holes stay holes. 3 is SEEK_DATA, 4 SEEK_HOLE.
            var from = lseek(file.raw, offset, 3)
            if from < 0 { break }
            let end = lseek(file.raw, from, 4)
            while from < end {
                let count = isle_copy_range(file.raw, target.raw, Int64(from), Int(end - from))
                guard count > 0 else { throw EngineError.system(count == 0 ? EIO : Int32(-count), "copy a disk") }
                from += off_t(count)
            }
            offset = end
        }
        return target
    }

    /// Writes an uncompressed copy of a compressed disk and returns its path.
    func uncompressed(_ path: String) async throws -> String {
        try await runBlocking {
            let raw = open(path, O_RDONLY | O_CLOEXEC)
            guard raw >= 0 else { throw EngineError.system(errno, "open \(Names.printable(path))") }
            let source = try DecompressedSource(
                OwnedDescriptor(raw), name: Names.printable(path), limits: ArchiveLimits(bytes: Int64(try room())))
            try write(to: "uncompressed") { try source.nextBlock() }
            return "\(folder.path)/uncompressed"
        }
    }

    struct Package: Sendable {
        var disk: String
        var otherDisks: [String]
        var wantsUEFI: Bool
    }

    /// Takes the disk to boot out of an OVA.
    func unpackOVA(_ path: String) async throws -> Package {
        try await runBlocking {
            let name = Names.printable(path)
            let raw = open(path, O_RDONLY | O_CLOEXEC)
            guard raw >= 0 else { throw EngineError.system(errno, "open \(name)") }
            let limits = ArchiveLimits(entries: 1000)
            let reader = TarReader(FileSource(OwnedDescriptor(raw), name: name), name: name, limits: limits)
            // The description comes first in the package (DSP0243, 5.3.4).
            guard let first = try reader.next(), first.kind == .file else {
                throw EngineError(.invalidArgument, "OVA \(name) does not begin with its description")
            }
            let description = try OVFDescription(try reader.readAll(limit: 4 << 20), name: name)
            let wanted = description.disks[0]
            while let entry = try reader.next() {
                // Other members are passed over by name, so a path that leads elsewhere is never used.
                guard entry.path.components.count == 1, entry.path.components[0].text == wanted.file else { continue }
                guard entry.kind == .file, entry.size <= Int64(try room()) else {
                    throw EngineError(
                        .invalidArgument, "disk \(Names.quoted(wanted.file)) of OVA \(name) is no file or too large")
                }
                let target = try createOutput("member")
                try reader.readData { try Self.writeAll($0, to: target) }
                let others = description.disks.dropFirst().map(\.file)
                let disk = "\(folder.path)/member"
                guard wanted.isCompressed else {
                    return Package(disk: disk, otherDisks: others, wantsUEFI: description.wantsUEFI)
                }
                let member = try folder.open("member", O_RDONLY)
                let source = try DecompressedSource(member, name: name, limits: ArchiveLimits(bytes: Int64(try room())))
                try write(to: "uncompressed") { try source.nextBlock() }
                return Package(
                    disk: "\(folder.path)/uncompressed", otherDisks: others, wantsUEFI: description.wantsUEFI)
            }
            throw EngineError(.invalidArgument, "OVA \(name) lacks its disk \(Names.quoted(wanted.file))")
        }
    }

    private func write(to name: String, _ next: () throws -> UnsafeRawBufferPointer) throws {
        let target = try createOutput(name)
        while true {
            let block = try next()
            if block.isEmpty { return }
            try Self.writeAll(block, to: target)
        }
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer, to file: OwnedDescriptor) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(file.raw, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw EngineError.system(errno, "write an unpacked disk") }
            rest = rest.dropFirst(count)
        }
    }
}
