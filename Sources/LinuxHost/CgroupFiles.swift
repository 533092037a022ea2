import Glibc
import Model

/// The file operations on a control group tree. The kernel's tree is the only real one; tests put their own in.
public protocol CgroupFiles: Sendable {
    /// 0, or a negated errno (mkdir(2)).
    func makeDirectory(_ path: String) -> Int32
    /// 0, or a negated errno (rmdir(2)).
    func removeDirectory(_ path: String) -> Int32
    /// 0, or a negated errno. One write(2): the kernel takes each as one command.
    func write(_ text: String, to path: String) -> Int32
    /// Nil if there is no such file, or the group was removed meanwhile.
    func read(_ path: String) -> String?
    /// Names of the folders in a folder; empty if there is none.
    func directories(_ path: String) -> [String]
    func exists(_ path: String) -> Bool
    /// 0, or a negated errno (chown(2)).
    func changeOwner(_ path: String, user: UInt32, group: UInt32) -> Int32
}

/// The kernel's control group trees.
public struct KernelCgroupFiles: CgroupFiles {
    public init() {}

    public func makeDirectory(_ path: String) -> Int32 { mkdir(path, 0o755) == 0 ? 0 : -errno }

    public func removeDirectory(_ path: String) -> Int32 { rmdir(path) == 0 ? 0 : -errno }

    public func write(_ text: String, to path: String) -> Int32 {
        let raw = open(path, O_WRONLY | O_CLOEXEC)
        guard raw >= 0 else { return -errno }
        let file = OwnedDescriptor(raw)
        var text = text
        let count = text.withUTF8 { Glibc.write(file.raw, $0.baseAddress, $0.count) }
        return count < 0 ? -errno : 0
    }

    public func read(_ path: String) -> String? {
        // Every failure means the same to the callers: the kernel does not tell.
        let raw = open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { return nil }
        defer { close(raw) }
        // Figures of hundreds of groups are read at once: most files fit into a buffer that costs nothing.
        return withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { buffer in
            var count = 0
            while count < buffer.count {
                let more = Glibc.read(raw, buffer.baseAddress.map { $0 + count }, buffer.count - count)
                if more < 0 && errno == EINTR { continue }
                guard more >= 0 else { return nil }
                if more == 0 { return String(decoding: buffer[..<count], as: UTF8.self) }
                count += more
            }
            guard let bytes = try? readSmallFile(path, limit: 16 << 20) else { return nil }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    public func directories(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    public func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    public func changeOwner(_ path: String, user: UInt32, group: UInt32) -> Int32 {
        lchown(path, user, group) == 0 ? 0 : -errno
    }
}
