import CHost
import Glibc
import Model

/// A connected stream socket with a read buffer and time-outs. Not shared between threads.
final class Socket {
    private let descriptor: OwnedDescriptor
    /// Bytes read ahead; `consumed` of them are used up.
    private var buffer: [UInt8] = []
    private var consumed = 0
    private(set) var isAtEnd = false

    init(_ descriptor: OwnedDescriptor) { self.descriptor = descriptor }

    /// Connects to the unix socket `path`.
    convenience init(path: String) throws(ClientError) {
        let descriptor = isle_cli_connect(path)
        guard descriptor >= 0 else { throw Socket.unreachable(path, errno: -descriptor) }
        self.init(OwnedDescriptor(descriptor))
    }

    private static func unreachable(_ path: String, errno: Int32) -> ClientError {
        switch errno {
        case ENOENT, ECONNREFUSED:
            ClientError(
                .daemonUnavailable, "no isle daemon answers on \(path)",
                hint:
                    "start it with 'isle daemon start' or 'systemctl start isle', or name another socket with --socket"
            )
        case EACCES, EPERM:
            ClientError(
                .daemonUnavailable, "no permission to use \(path)",
                hint: "run as root or as a member of the socket's group: 'usermod -aG isle USER', then log in again")
        case ENAMETOOLONG:
            ClientError(.daemonUnavailable, "the socket path \(Names.quoted(path)) is empty or longer than 107 bytes")
        default:
            ClientError(.daemonUnavailable, "cannot connect to \(path): \(String(cString: strerror(errno)))")
        }
    }

    var fileDescriptor: Int32 { descriptor.raw }

    /// Bytes that are read and not yet used.
    var unread: ArraySlice<UInt8> { buffer[consumed...] }

    /// Ends the connection in both directions; the descriptor stays.
    func shutdown() { _ = Glibc.shutdown(fileDescriptor, Int32(SHUT_RDWR)) }

    /// Uses up the first `count` unread bytes.
    func consume(_ count: Int) {
        consumed += count
        if consumed == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            consumed = 0
        } else if consumed > 1 << 16 {
            buffer.removeFirst(consumed)
            consumed = 0
        }
    }

    /// Reads more into the buffer; false at the end of the stream.
    func fill(_ deadline: Deadline) throws(ClientError) -> Bool {
        if isAtEnd { return false }
        let before = buffer.count
        while true {
            try wait(for: Int16(POLLIN), deadline)
            guard try fillAvailable() else { return false }
            if buffer.count > before { return true }
        }
    }

    /// Reads what is there, at most 64 KiB and perhaps nothing; false at the end of the stream.
    func fillAvailable() throws(ClientError) -> Bool {
        let room = 1 << 16
        let old = buffer.count
        var got = 0
        buffer.reserveCapacity(old + room)
        withUnsafeTemporaryAllocation(byteCount: room, alignment: 16) { space in
            repeat {
                got = recv(descriptor.raw, space.baseAddress, room, Int32(MSG_DONTWAIT))
            } while got < 0 && errno == EINTR
            if got > 0 { buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: space[..<got])) }
        }
        if got > 0 { return true }
        if got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) { return true }
        isAtEnd = true
        if got == 0 || errno == ECONNRESET { return false }
        throw ClientError(.connectionLost, "reading from the daemon failed: \(String(cString: strerror(errno)))")
    }

    /// Writes all of `bytes`. Throws `.connectionLost` when the daemon has gone.
    func write(_ bytes: some Collection<UInt8>, _ deadline: Deadline) throws(ClientError) {
        let all = ContiguousArray(bytes)
        var offset = 0
        while offset < all.count {
            try wait(for: Int16(POLLOUT), deadline)
            offset += try writeAvailable(all[offset...])
        }
    }

    /// Writes as much as fits without blocking: the number of bytes taken.
    func writeAvailable(_ bytes: ArraySlice<UInt8>) throws(ClientError) -> Int {
        try Self.taken(
            bytes.withUnsafeBytes { send(descriptor.raw, $0.baseAddress, $0.count, Self.sendFlags) })
    }

    private static let sendFlags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)

    private static func taken(_ count: Int) throws(ClientError) -> Int {
        if count >= 0 { return count }
        if errno == EAGAIN || errno == EINTR { return 0 }
        throw ClientError(.connectionLost, "the daemon closed the connection")
    }

    private func wait(for events: Int16, _ deadline: Deadline) throws(ClientError) {
        while true {
            var entry = pollfd(fd: descriptor.raw, events: events, revents: 0)
            let ready = poll(&entry, 1, deadline.remaining)
            if ready > 0 { return }
            if ready < 0 && errno == EINTR { continue }
            if ready == 0 { throw ClientError(.timeout, "the daemon did not answer in time") }
            throw ClientError(.local, "poll failed: \(String(cString: strerror(errno)))")
        }
    }
}
