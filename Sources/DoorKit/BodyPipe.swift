import Glibc
public import HummingbirdCore
import LinuxHost
public import Model

/// Hands a request's body to something that reads a descriptor, while it arrives.
public enum BodyPipe {
    /// Bytes that the kernel keeps between the two sides.
    private static let capacity: Int32 = 1 << 20
    /// `F_SETPIPE_SZ` of fcntl(2) (linux/fcntl.h), which glibc shows with _GNU_SOURCE only.
    private static let setPipeSize: Int32 = 1031

    /// Runs `consumer` on the read end of a pipe that the body goes into. What it leaves unread is taken from the client
    /// all the same, so that the client gets to read the answer.
    /// - Throws: what `consumer` throws; the connection's error, if it ends before the body does: `consumer` is cancelled
    ///   then.
    public static func feed<Result: Sendable>(
        _ body: RequestBody, to consumer: @escaping @Sendable (OwnedDescriptor) async throws -> Result
    ) async throws -> Result {
        let (read, write) = try Spawn.pipe()
        // The usual size is enough to work with, where a user's pipes are limited.
        _ = fcntl(write.raw, setPipeSize, capacity)
        let work = Task {
            defer { read.close() }
            return try await consumer(read)
        }
        return try await withTaskCancellationHandler {
            do {
                let writer = DescriptorWriter(write)
                var isRead = true
                for try await bytes in body where isRead { isRead = try await writer.write(bytes) }
            } catch {
                work.cancel()
                write.close()
                _ = await work.result
                throw error
            }
            write.close()
            return try await work.value
        } onCancel: {
            work.cancel()
        }
    }
}
