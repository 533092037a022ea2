import CHost
import Glibc

/// Bytes on their way to a descriptor of this process that may be slow. Nothing is written that could block: the
/// owner polls for writability while `count` is not zero.
final class OutputQueue {
    let descriptor: Int32
    private var bytes: [UInt8] = []
    private var written = 0
    /// The reader has gone; what is added is dropped.
    private(set) var isBroken = false
    /// Bytes that a descriptor takes without blocking once poll(2) says that it is writable: anything for a file,
    /// PIPE_BUF for the rest (pipe(7)).
    private let piece: Int

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        piece = isFile ? 1 << 20 : 4096
    }

    /// Bytes that wait.
    var count: Int { bytes.count - written }

    func append(_ more: [UInt8]) {
        if isBroken { return }
        bytes += more
    }

    /// Writes as long as the descriptor takes it at once.
    func drain() throws(ClientError) {
        while count > 0, isWritable() {
            let end = min(bytes.count, written + piece)
            let got = bytes[written..<end].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if got > 0 {
                written += got
            } else if errno == EPIPE {
                isBroken = true
                written = bytes.count
            } else if errno != EINTR && errno != EAGAIN {
                throw ClientError(.local, "writing the output failed: \(String(cString: strerror(errno)))")
            }
        }
        if written == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            written = 0
        }
    }

    private func isWritable() -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 0) > 0
    }
}
