import CHost

/// One process that the host started through the agent, with its streams.
final class Session {
    let id: UInt32
    let pid: Int32
    let terminal: Bool
    /// Descriptor that becomes readable when the process has ended; -1 once that was reported.
    private(set) var pidfd: Int32
    /// Written to the process; -1 when closed.
    private(set) var input: Int32
    /// Outputs 1 and 2 at index 0 and 1; -1 when at their end.
    private(set) var outputs: [Int32]
    var credit: [Int] = [Frame.window, Frame.window]
    private var pending: [UInt8] = []
    private var inputEnded = false

    init(id: UInt32, pid: Int32, terminal: Bool, pidfd: Int32, input: Int32, output: Int32, error: Int32) {
        self.id = id
        self.pid = pid
        self.terminal = terminal
        self.pidfd = pidfd
        self.input = input
        outputs = [output, error]
    }

    var wantsToWrite: Bool { input >= 0 && !pending.isEmpty }
    var isOver: Bool { pidfd < 0 && outputs[0] < 0 && outputs[1] < 0 }

    /// Takes bytes for the process; false if the host sent more than it had credit for.
    func accept(_ bytes: [UInt8]) -> Bool {
        guard pending.count + bytes.count <= Frame.window else { return false }
        if input >= 0 && !inputEnded { pending.append(contentsOf: bytes) }
        return true
    }

    func endInput() {
        inputEnded = true
        if pending.isEmpty { closeInput() }
    }

    /// Writes what waits; the number of bytes the process took.
    func flushInput() -> Int {
        var taken = 0
        while input >= 0, taken < pending.count {
            let size = pending.count - taken
            let count = pending.withUnsafeBytes { guest_write(input, $0.baseAddress.map { $0 + taken }, size) }
            if guest_is_again(count) != 0 { break }
            guard count > 0 else {
                taken = pending.count
                closeInput()
                break
            }
            taken += count
        }
        pending.removeFirst(taken)
        if pending.isEmpty && inputEnded { closeInput() }
        return taken
    }

    /// On a terminal the end of the input is the end-of-file character, since one descriptor serves both directions.
    private func closeInput() {
        guard input >= 0 else { return }
        if terminal {
            var end: UInt8 = 4
            _ = guest_write(input, &end, 1)
        } else {
            _ = guest_close(input)
        }
        input = -1
    }

    func closeOutput(_ index: Int) {
        guard outputs[index] >= 0 else { return }
        _ = guest_close(outputs[index])
        if terminal { input = -1 }
        outputs[index] = -1
    }

    func resize(columns: UInt16, rows: UInt16) {
        if terminal && outputs[0] >= 0 { _ = guest_resize(outputs[0], columns, rows) }
    }

    /// The whole process group; the process alone if it has left its group.
    func signal(_ number: Int32) {
        guard pidfd >= 0 else { return }
        if guest_kill(-pid, number) < 0 { _ = guest_kill(pid, number) }
    }

    func closePidfd() {
        if pidfd >= 0 { _ = guest_close(pidfd) }
        pidfd = -1
    }

    /// Nobody looks any more: the streams close; the process goes on as after a hang-up.
    func abandon() {
        pending = []
        if !terminal && input >= 0 { _ = guest_close(input) }
        input = -1
        for index in 0..<2 { closeOutput(index) }
    }
}
