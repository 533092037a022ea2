import Glibc
import Model

/// An exclusive lock between processes on a file, held as long as the value lives (flock(2)). The kernel gives it back
/// when the process ends, however it ends; children do not inherit it.
public struct FileLock: Sendable {
    private let file: OwnedDescriptor

    /// Waits until the lock is free. The file is made if it is missing, and stays.
    /// - Throws: `internal` if the file cannot be opened; `CancellationError` if the waiting task is cancelled.
    public init(waitingFor path: String) async throws {
        let raw = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard raw >= 0 else {
            throw EngineError(.internal, "the lock \(path) cannot be opened: \(String(errno: errno))")
        }
        file = OwnedDescriptor(raw)
        while flock(raw, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw EngineError(.internal, "the lock \(path) cannot be taken: \(String(errno: errno))")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
