import Glibc
import Model

/// Makes sure that one daemon works with a folder at a time. The kernel gives the lock back when the daemon ends,
/// however it ends; children do not inherit it.
struct DaemonLock: Sendable {
    private let file: OwnedDescriptor

    /// `conflict` if another daemon holds the folder; its process id is named.
    init(folder: String) throws {
        let path = folder + "/isled.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw EngineError(.internal, "the lock \(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        file = OwnedDescriptor(descriptor)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            var text = [UInt8](repeating: 0, count: 16)
            let count = read(descriptor, &text, text.count)
            let holder = String(decoding: text.prefix(max(0, count)), as: UTF8.self)
            throw EngineError(
                .conflict, "another isled works with \(folder) already\(holder.isEmpty ? "" : ", process \(holder)")",
                hint: "stop it with isle daemon stop, or give this one other folders")
        }
        let own = "\(getpid())"
        ftruncate(descriptor, 0)
        _ = own.withCString { pwrite(descriptor, $0, strlen($0), 0) }
    }
}
