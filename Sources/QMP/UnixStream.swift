import CHost
import Glibc
import LinuxHost
public import Model
import Synchronization

/// A connected unix stream socket, read and written without blocking a thread. Reading is for one task at a time;
/// what is sent from any task arrives in the order of the calls.
public final class UnixStream: Sendable {
    private struct Outgoing {
        var bytes: [UInt8] = []
        var isWriting = false
        var writer: Task<Void, Never>?
        var isClosed = false
    }

    private let descriptor: OwnedDescriptor
    private let outgoing = Mutex(Outgoing())
    /// Bytes that may wait for a peer that does not read before the connection is given up.
    private let bound: Int

    /// Takes over a connected socket.
    public init(_ descriptor: OwnedDescriptor, bound: Int = 4 << 20) {
        self.descriptor = descriptor
        self.bound = bound
        _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK)
    }

    /// Connects to the socket file at `path`, and waits up to `timeout` for it to be there.
    /// - Throws: `unavailable` if nobody listens in time, `invalidArgument` for a path over 107 bytes.
    public static func connect(_ path: String, timeout: Duration = .zero) async throws -> UnixStream {
        let end = ContinuousClock.now.advanced(by: timeout)
        while true {
            let (descriptor, failure) = try open(path)
            if let descriptor { return UnixStream(descriptor) }
            guard ContinuousClock.now < end else {
                throw EngineError(.unavailable, "socket \(path) cannot be connected: \(String(errno: failure))")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private static func open(_ path: String) throws -> (OwnedDescriptor?, Int32) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw EngineError(
                .invalidArgument, "socket path \(path) has \(bytes.count) bytes; at most 107 are possible")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let owned = OwnedDescriptor(socket(AF_UNIX, kind, 0))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(owned.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let failure = errno
        return result == 0 ? (owned, 0) : (nil, failure)
    }

    /// The next bytes, at most `limit`; empty at the end of the stream.
    public func read(limit: Int = 65536) async throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        while true {
            let count = Glibc.read(descriptor.raw, &buffer, limit)
            if count >= 0 { return Array(buffer[..<count]) }
            switch errno {
            case EINTR: continue
            case EAGAIN: try await DescriptorEvents.readable(descriptor)
            case ECONNRESET, EBADF: return []
            default: throw EngineError(.unavailable, "reading a socket: \(String(errno: errno))")
            }
        }
    }

    /// Sends `bytes`; what the socket does not take at once follows as it does. Nothing happens once it is closed.
    public func send(_ bytes: [UInt8]) {
        let (needsWriter, overflow) = outgoing.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.bytes.append(contentsOf: bytes)
            if !state.isWriting { writeSome(&state) }
            if state.bytes.count > bound { return (false, true) }
            guard !state.bytes.isEmpty, !state.isWriting else { return (false, false) }
            state.isWriting = true
            return (true, false)
        }
        if overflow { close() }
        if needsWriter {
            let task = Task { await drain() }
            outgoing.withLock { $0.writer = task }
        }
    }

    /// Sends `bytes` together with a descriptor (unix(7), SCM_RIGHTS), after what was sent before.
    /// - Throws: `unavailable` when the socket does not take them within `timeout`.
    public func send(_ bytes: [UInt8], passing descriptor: OwnedDescriptor, timeout: Duration = .seconds(5))
        async throws
    {
        let end = ContinuousClock.now.advanced(by: timeout)
        while true {
            let result: Int32 = outgoing.withLock { state in
                guard !state.isClosed else { return -EPIPE }
                guard state.bytes.isEmpty, !state.isWriting else { return -EAGAIN }
                // The descriptor goes with the first byte; a message of this size is taken whole or not at all.
                let numbers = [descriptor.raw]
                return isle_send(self.descriptor.raw, bytes, bytes.count, numbers, 1)
            }
            if result == 0 { return }
            guard result == -EAGAIN, ContinuousClock.now < end else {
                throw EngineError(.unavailable, "passing a descriptor over a socket: \(String(errno: -result))")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private func drain() async {
        while true {
            do { try await DescriptorEvents.writable(descriptor) } catch { return close() }
            let isDone = outgoing.withLock { state in
                writeSome(&state)
                if state.bytes.isEmpty || state.isClosed { state.isWriting = false }
                return !state.isWriting
            }
            if isDone { return }
        }
    }

    private func writeSome(_ state: inout Outgoing) {
        while !state.bytes.isEmpty {
            let count = Glibc.send(descriptor.raw, state.bytes, state.bytes.count, Int32(MSG_NOSIGNAL))
            if count < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN {
                    state.bytes = []
                    state.isClosed = true
                }
                return
            }
            state.bytes.removeFirst(count)
        }
    }

    /// Ends both directions; a reader sees the end of the stream.
    public func close() {
        let writer = outgoing.withLock { state in
            state.isClosed = true
            state.bytes = []
            return state.writer
        }
        writer?.cancel()
        shutdown(descriptor.raw, Int32(SHUT_RDWR))
    }
}
