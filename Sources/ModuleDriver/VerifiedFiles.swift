import Glibc
import Synchronization

/// What tells a file, as it is now, from every other and from itself after any change (inode(7)).
struct FileStamp: Sendable, Hashable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int64
    private let changedSeconds: Int
    private let changedNanoseconds: Int
    private let mode: UInt32
    private let owner: UInt32

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        changedSeconds = status.st_ctim.tv_sec
        changedNanoseconds = status.st_ctim.tv_nsec
        mode = status.st_mode
        owner = status.st_uid
    }
}

/// Files whose digests this process has checked, as they were then.
final class VerifiedFiles: Sendable {
    private let stamps = Mutex<[String: FileStamp]>([:])

    func contains(_ path: String, _ stamp: FileStamp) -> Bool { stamps.withLock { $0[path] == stamp } }
    func insert(_ path: String, _ stamp: FileStamp) { stamps.withLock { $0[path] = stamp } }
}
