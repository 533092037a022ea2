/// Writes the cpio format that the kernel unpacks as its initial file system (Documentation/driver-api/early-userspace/
/// buffer-format.rst: `newc`). Archives may follow one another in one file; later entries replace earlier ones.
struct CPIOArchive {
    private(set) var bytes: [UInt8] = []
    private var inode: UInt32 = 1

    mutating func addFolder(_ path: String, mode: UInt32 = 0o755) {
        add(path, mode: 0o040000 | mode, content: [])
    }

    mutating func addFile(_ path: String, _ content: [UInt8], mode: UInt32 = 0o644) {
        add(path, mode: 0o100000 | mode, content: content)
    }

    /// The archive with its end marker, a multiple of 512 bytes long.
    func finished() -> [UInt8] {
        var copy = self
        copy.inode = 0
        copy.add("TRAILER!!!", mode: 0, content: [])
        copy.pad(to: 512)
        return copy.bytes
    }

    private mutating func add(_ path: String, mode: UInt32, content: [UInt8]) {
        let name = Array(path.utf8) + [0]
        let links: UInt32 = mode & 0o040000 != 0 ? 2 : 1
        // inode, mode, uid, gid, links, mtime, size, device major and minor, the same of a device file, name's size, check
        let fields: [UInt32] = [
            inode, mode, 0, 0, links, 0, UInt32(content.count), 0, 0, 0, 0, UInt32(name.count), 0,
        ]
        bytes += Array("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes += Array((String(repeating: "0", count: 8 - digits.utf8.count) + digits).utf8)
        }
        bytes += name
        pad(to: 4)
        bytes += content
        pad(to: 4)
        inode += 1
    }

    private mutating func pad(to multiple: Int) {
        let rest = bytes.count % multiple
        if rest > 0 { bytes += [UInt8](repeating: 0, count: multiple - rest) }
    }
}
