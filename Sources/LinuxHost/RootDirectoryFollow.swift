import CHost
import Glibc
public import Model

extension RootDirectory {
    /// What is at `path`, where a link stands for what it leads to inside; nil if there is nothing.
    public func followedStatus(_ path: some HostPathConvertible) throws -> FileStatus? {
        do {
            return try Self.status(of: open(path, Int32(ISLE_O_PATH)))
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }

    /// What an open descriptor stands for.
    public static func status(of file: OwnedDescriptor) throws -> FileStatus {
        var raw = stat()
        let result = isle_statat(file.raw, "", &raw)
        guard result == 0 else { throw EngineError.system(-result, "look at an open file") }
        return FileStatus(raw)
    }

    /// Opens once more, with other flags, what an O_PATH descriptor stands for. Not for links.
    public static func reopen(_ file: OwnedDescriptor, _ flags: Int32, name: String) throws -> OwnedDescriptor {
        let result = isle_openat(AT_FDCWD, "/proc/thread-self/fd/\(file.raw)", flags, 0)
        guard result >= 0 else { throw EngineError.system(-result, "open \(Names.printable(name))") }
        return OwnedDescriptor(result)
    }
}
