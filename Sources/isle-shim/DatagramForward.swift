import CHost

/// Datagrams that are passed on: each sender has a socket of its own towards the target, so that answers find back.
struct DatagramForward {
    private struct Sender {
        var address: isle_address
        var socket: Int32
        var lastUsed: Int64
    }

    /// Senders at the same time; the one that was silent for longest makes room.
    private static let most = 256
    /// Milliseconds of silence after which a sender is forgotten.
    private static let patience: Int64 = 60_000

    let listener: Int32
    let process: Int32
    let target: ForwardAddress

    func run() {
        var senders: [Sender] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var wanted: [(descriptor: Int32, bits: UInt8)] = [(process, 1), (listener, 1)]
            for sender in senders { wanted.append((sender.socket, 1)) }
            let ready = wait(wanted, 10_000)
            if ready[0] != 0 { return }
            let now = isle_monotonic_ms()
            for index in senders.indices where ready[index + 2] != 0 { answer(&senders[index], &buffer, now) }
            if ready[1] != 0 { take(&senders, &buffer, now) }
            forget(&senders) { now - $0.lastUsed > Self.patience }
        }
    }

    private func answer(_ sender: inout Sender, _ buffer: inout [UInt8], _ now: Int64) {
        var from = isle_address()
        let count = isle_forward_receive(sender.socket, &buffer, 65536, &from)
        guard count >= 0 else { return }
        sender.lastUsed = now
        _ = isle_forward_send(listener, buffer, Int(count), &sender.address)
    }

    private func take(_ senders: inout [Sender], _ buffer: inout [UInt8], _ now: Int64) {
        var from = isle_address()
        let count = isle_forward_receive(listener, &buffer, 65536, &from)
        guard count >= 0 else { return }
        var found = -1
        for index in senders.indices where found < 0 {
            if isle_same_address(&senders[index].address, &from) != 0 { found = index }
        }
        if found < 0 {
            let socket = target.open()
            guard socket >= 0 else { return }
            if senders.count >= Self.most {
                var oldest = senders[0].lastUsed
                for sender in senders where sender.lastUsed < oldest { oldest = sender.lastUsed }
                forget(&senders) { $0.lastUsed <= oldest }
            }
            found = senders.count
            senders.append(Sender(address: from, socket: socket, lastUsed: now))
        }
        senders[found].lastUsed = now
        _ = isle_forward_send(senders[found].socket, buffer, Int(count), nil)
    }

    private func forget(_ senders: inout [Sender], where isOver: (Sender) -> Bool) {
        var kept: [Sender] = []
        for sender in senders {
            if isOver(sender) { isle_close(sender.socket) } else { kept.append(sender) }
        }
        senders = kept
    }
}
