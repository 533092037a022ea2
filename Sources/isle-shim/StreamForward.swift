import CHost

/// Connections that are passed on, each by a process of its own, which ends with it.
struct StreamForward {
    /// Processes at the same time; more connections wait to be taken.
    private static let most = 512

    let listener: Int32
    /// Becomes readable when the instance ends.
    let process: Int32
    let target: ForwardAddress
    let hasHeader: Bool

    func run() {
        var children = 0
        while true {
            var status: Int32 = 0
            while isle_reap(&status) > 0 { children -= 1 }
            let isFull = children >= Self.most
            let ready = wait([(process, 1), (listener, isFull ? 0 : 1)], isFull ? 100 : -1)
            if ready[0] != 0 { return }
            guard ready[1] != 0 else { continue }
            var peer = isle_address()
            let connection = isle_forward_accept(listener, &peer)
            guard connection >= 0 else { continue }
            let child = isle_fork(0)
            if child == 0 {
                isle_close(listener)
                serve(connection, peer)
                leave(0)
            }
            if child > 0 { children += 1 }
            isle_close(connection)
        }
    }

    private func serve(_ connection: Int32, _ peer: isle_address) {
        let other = target.open()
        guard other >= 0 else { return }
        var forth = Flow(from: connection, to: other)
        var back = Flow(from: other, to: connection)
        if hasHeader { forth.pending = header(connection, peer) }
        _ = isle_nonblocking(connection, 1)
        _ = isle_nonblocking(other, 1)
        while !forth.isOver || !back.isOver {
            let ready = wait(
                [
                    (process, 1), (connection, (forth.wantsToRead ? 1 : 0) | (back.wantsToWrite ? 2 : 0)),
                    (other, (back.wantsToRead ? 1 : 0) | (forth.wantsToWrite ? 2 : 0)),
                ], -1)
            if ready[0] != 0 { return }
            guard forth.move(readable: ready[1], writable: ready[2]), back.move(readable: ready[2], writable: ready[1])
            else { return }
        }
    }

    /// A line of the PROXY protocol, version 1 (haproxy's proxy-protocol.txt, section 2.1).
    private func header(_ connection: Int32, _ peer: isle_address) -> [UInt8] {
        var (own, peer) = (isle_address(), peer)
        guard isle_own_address(connection, &own) == 0, let from = text(&peer), let to = text(&own) else {
            return Array("PROXY UNKNOWN\r\n".utf8)
        }
        let family = from.address.utf8.contains(0x3A) ? "TCP6 " : "TCP4 "
        let line =
            "PROXY " + family + from.address + " " + to.address + " " + decimal(from.port) + " " + decimal(to.port)
        return Array(line.utf8) + [0x0D, 0x0A]
    }

    private func text(_ address: inout isle_address) -> (address: String, port: Int32)? {
        var buffer = [CChar](repeating: 0, count: 64)
        let port = isle_address_text(&address, &buffer, 64)
        guard port >= 0 else { return nil }
        var bytes: [UInt8] = []
        for byte in buffer where byte != 0 { bytes.append(UInt8(bitPattern: byte)) }
        return (String(decoding: bytes, as: UTF8.self), port)
    }
}

/// Bytes that go one way.
private struct Flow {
    let from: Int32
    let to: Int32
    var pending: [UInt8] = []
    private var ended = false
    private(set) var isOver = false

    init(from: Int32, to: Int32) {
        self.from = from
        self.to = to
    }

    var wantsToRead: Bool { pending.isEmpty && !ended }
    var wantsToWrite: Bool { !pending.isEmpty }

    /// False when the connection is broken.
    mutating func move(readable: UInt8, writable: UInt8) -> Bool {
        if wantsToRead, readable & 5 != 0 {
            let size = 65536
            let source = from
            let count = fill(size) { isle_read(source, $0, size) }
            if count == 0 { ended = true }
            if count < 0, count != -Int(EAGAIN), count != -Int(EINTR) { return false }
        }
        if wantsToWrite, writable & 6 != 0 || readable & 1 != 0 {
            let count = pending.withUnsafeBytes { isle_write(to, $0.baseAddress, $0.count) }
            if count < 0, count != -Int(EAGAIN), count != -Int(EINTR) { return false }
            if count > 0 { pending.removeFirst(count) }
        }
        if ended, pending.isEmpty, !isOver {
            isOver = true
            isle_finish_writing(to)
        }
        return true
    }

    /// Fills `pending` by one call.
    private mutating func fill(_ size: Int, _ call: (UnsafeMutableRawPointer?) -> Int) -> Int {
        pending = [UInt8](repeating: 0, count: size)
        let count = pending.withUnsafeMutableBytes { call($0.baseAddress) }
        pending.removeLast(size - max(count, 0))
        return count
    }
}

/// What of each descriptor is so: 1 readable, 2 writable, 4 an error or its end; nothing after `milliseconds`.
func wait(_ wanted: [(descriptor: Int32, bits: UInt8)], _ milliseconds: Int32) -> [UInt8] {
    var descriptors: [Int32] = []
    var bits: [UInt8] = []
    for entry in wanted {
        descriptors.append(entry.descriptor)
        bits.append(entry.bits)
    }
    var ready = [UInt8](repeating: 0, count: wanted.count)
    _ = isle_forward_poll(descriptors, bits, &ready, Int32(wanted.count), milliseconds)
    return ready
}
