import Glibc
import LinuxHost
public import Model
public import NIOCore

/// Reads a pipe, socket or pty without blocking a thread. The open file is put into non-blocking mode.
public struct DescriptorReader: Sendable {
    private let descriptor: OwnedDescriptor
    /// Bytes of the next read: small for a terminal's keystrokes, large for a stream that keeps filling it.
    private var size = 4096
    private static let largest = 65_536

    public init(_ descriptor: OwnedDescriptor) {
        self.descriptor = descriptor
        setNonBlocking(descriptor)
    }

    /// What is there, at least one byte; nil at the end of the file. Also the end: a pty whose other side is closed
    /// (EIO, pty(7)), a connection that was reset, and a descriptor that was closed.
    public mutating func next() async throws -> ByteBuffer? {
        while true {
            var buffer = ByteBufferAllocator().buffer(capacity: size)
            var number: Int32 = 0
            var ended = false
            let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { raw in
                let count = read(descriptor.raw, raw.baseAddress, size)
                number = errno
                ended = count == 0
                return max(0, count)
            }
            if count > 0 {
                size = count == size ? min(size * 4, Self.largest) : max(4096, min(size, count * 4))
                return buffer
            }
            if ended { return nil }
            switch number {
            case EINTR: continue
            case EAGAIN: try await DescriptorEvents.readable(descriptor)
            case EIO, ECONNRESET, EBADF: return nil
            default: throw EngineError(.internal, "reading a stream: \(String(errno: number))")
            }
        }
    }
}

/// Writes to a pipe, socket or pty without blocking a thread. The open file is put into non-blocking mode. The process
/// must ignore SIGPIPE.
public struct DescriptorWriter: Sendable {
    private let descriptor: OwnedDescriptor

    public init(_ descriptor: OwnedDescriptor) {
        self.descriptor = descriptor
        setNonBlocking(descriptor)
    }

    /// Writes all of `bytes`, and suspends while the reader does not take it; false when nobody reads any more.
    public func write(_ bytes: ByteBuffer) async throws -> Bool {
        var bytes = bytes
        while bytes.readableBytes > 0 {
            var number: Int32 = 0
            let count = bytes.readWithUnsafeReadableBytes { raw in
                let count = Glibc.write(descriptor.raw, raw.baseAddress, raw.count)
                number = errno
                return max(0, count)
            }
            if count > 0 { continue }
            switch number {
            case EINTR: continue
            case EAGAIN: try await DescriptorEvents.writable(descriptor)
            case EPIPE, EIO, ECONNRESET, EBADF: return false
            default: throw EngineError(.internal, "writing a stream: \(String(errno: number))")
            }
        }
        return true
    }
}

private func setNonBlocking(_ descriptor: OwnedDescriptor) {
    let flags = fcntl(descriptor.raw, F_GETFL)
    if flags >= 0, flags & O_NONBLOCK == 0 { _ = fcntl(descriptor.raw, F_SETFL, flags | O_NONBLOCK) }
}
