import Glibc
import LinuxHost
import Model

/// A qcow2 disk of one machine's own that lies over a shared one, made by qemu-img(1). Formats are always stated; the
/// lower file's name that the disk holds is a remark and never followed.
public struct OverlayDisk: Sendable {
    /// Absolute.
    public var path: String

    public init(path: String) { self.path = path }

    /// Makes the disk, or makes an existing one larger if it is smaller than `size`.
    /// - Parameter backing: the lower file, absolute, with its format `raw` or `qcow2`; nil: an empty disk.
    public func prepare(size: UInt64, backing: (path: String, format: String)?) async throws {
        try DiskSize.check(size, name: path)
        let bytes = (size + 511) & ~511
        if access(path, F_OK) == 0 {
            let header = try Qcow2Header(path: path)
            try header.checkFeatures(name: path)
            guard header.virtualSize < bytes else { return }
            try await ProcessRunner.check("qemu-img", ["resize", "-q", "-f", "qcow2", "file:" + path, String(bytes)])
            return
        }
        let temporary = path + ".new"
        // -u: the lower file is not opened, its size is known.
        let lower = backing.map { ["-u", "-F", $0.format, "-b", $0.path] } ?? []
        try await ProcessRunner.check(
            "qemu-img", ["create", "-q", "-f", "qcow2"] + lower + ["file:" + temporary, String(bytes)])
        guard rename(temporary, path) == 0 else { throw EngineError.system(errno, "rename \(temporary) to \(path)") }
    }
}
