import CHost

/// The first process's standard input: what attached clients write, one block after the other.
final class StandardInput {
    private static let block = 4096

    private final class Client {
        var descriptor: Int32
        var watcher: Watcher?
        init(_ descriptor: Int32) { self.descriptor = descriptor }
    }

    private let loop: Loop
    /// Close the process's input when a client that had it ends its own.
    private let once: Bool
    private var descriptor: Int32 = -1
    private var watcher: Watcher?
    private var pending: [UInt8] = []
    private var clients: [Client] = []
    private var closed = false

    init(_ loop: Loop, once: Bool) {
        self.loop = loop
        self.once = once
    }

    /// Takes over the end that leads to the process; clients that wrote before now get through.
    func connect(_ descriptor: Int32) {
        self.descriptor = descriptor
        _ = isle_nonblocking(descriptor, 1)
        watcher = loop.add(descriptor, 0) { [self] events in ready(events) }
        for client in clients { watch(client) }
    }

    /// Takes over the reading end of a client's pipe.
    func add(_ descriptor: Int32) {
        guard !closed else { return isle_close(descriptor) }
        _ = isle_nonblocking(descriptor, 1)
        let client = Client(descriptor)
        clients.append(client)
        if self.descriptor >= 0, pending.isEmpty { watch(client) }
    }

    /// The start did not work: back to before `connect`.
    func disconnect() {
        for client in clients { unwatch(client) }
        loop.remove(watcher)
        watcher = nil
        pending = []
        closeIfOpen(&descriptor)
    }

    func close() {
        guard !closed else { return }
        closed = true
        for client in clients {
            unwatch(client)
            closeIfOpen(&client.descriptor)
        }
        clients = []
        disconnect()
    }

    private func watch(_ client: Client) {
        guard client.watcher == nil else { return }
        client.watcher = loop.add(client.descriptor, Int(ISLE_EPOLLIN)) { [self] _ in
            take(client)
        }
        if client.watcher == nil { drop(client) }
    }

    private func unwatch(_ client: Client) {
        loop.remove(client.watcher)
        client.watcher = nil
    }

    private func take(_ client: Client) {
        var ended = false
        withUnsafeTemporaryAllocation(byteCount: Self.block, alignment: 16) { buffer in
            let count = isle_read(client.descriptor, buffer.baseAddress, Self.block)
            if count > 0 {
                pending.append(contentsOf: buffer[..<count])
            } else if count != -Int(EAGAIN), count != -Int(EINTR) {
                ended = true
            }
        }
        if ended {
            drop(client)
            if once { close() }
            return
        }
        send()
    }

    private func drop(_ client: Client) {
        unwatch(client)
        closeIfOpen(&client.descriptor)
        clients.removeAll { $0 === client }
    }

    private func ready(_ events: UInt32) {
        // The process closed its input: nobody will read any more.
        if events & UInt32(ISLE_EPOLLERR) != 0 { return close() }
        send()
    }

    /// Hands on what is pending; while something is, no client is read.
    private func send() {
        while !pending.isEmpty {
            let count = pending.withUnsafeBytes { isle_write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                pending.removeFirst(count)
            } else if count == -Int(EAGAIN) {
                for client in clients { unwatch(client) }
                if let watcher { loop.modify(watcher, Int(ISLE_EPOLLOUT)) }
                return
            } else if count != -Int(EINTR) {
                return close()
            }
        }
        pending = []
        if let watcher { loop.modify(watcher, 0) }
        for client in clients { watch(client) }
    }
}
