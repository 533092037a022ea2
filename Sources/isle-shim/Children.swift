import CHost

/// Child processes, reaped by one place. Of processes that were left to the shim as subreaper those that somebody
/// waits for are reported, all others are just reaped.
final class Children {
    private struct Expected {
        var pid: Int32
        var handler: (Int32) -> Void
    }

    private var expected: [Expected] = []
    private var strays: [(pid: Int32, status: Int32)] = []
    /// While positive, exits of unknown processes are kept: the pid that a runtime will name may be among them.
    private var keepingStrays = 0

    /// Calls `handler` once with the wait(2) status of `pid`, at once if it has ended already.
    func expect(_ pid: Int32, _ handler: @escaping (Int32) -> Void) {
        if let index = strays.firstIndex(where: { $0.pid == pid }) {
            let status = strays.remove(at: index).status
            handler(status)
        } else {
            expected.append(Expected(pid: pid, handler: handler))
        }
    }

    /// Whether `pid` is, or was until it ended a moment ago, a child of the shim.
    ///
    /// A runtime's helper process can live a moment longer than the runtime itself; only when it is gone too the
    /// shim becomes the parent. That is waited for, at most half a second.
    func owns(_ pid: Int32) -> Bool {
        guard pid > 1 else { return false }
        for _ in 0..<500 {
            if strays.contains(where: { $0.pid == pid }) || isle_is_child(pid) != 0 { return true }
            // A process that is gone can become nobody's child.
            if isle_kill(pid, 0) == -ESRCH { return false }
            _ = isle_sleep_ms(1)
        }
        return false
    }

    func keepStrays() { keepingStrays += 1 }

    func releaseStrays() {
        keepingStrays -= 1
        if keepingStrays == 0 { strays = [] }
    }

    /// Reaps all that has ended. False when there are no children left.
    @discardableResult
    func reap() -> Bool {
        while true {
            var status: Int32 = 0
            let pid = isle_reap(&status)
            if pid <= 0 { return pid != -ECHILD }
            if let index = expected.firstIndex(where: { $0.pid == pid }) {
                let entry = expected.remove(at: index)
                entry.handler(status)
            } else if keepingStrays > 0 {
                strays.append((pid, status))
            }
        }
    }

    /// Sends SIGKILL to every child.
    func killAll() {
        let own = decimal(isle_pid())
        guard let list = readFile("/proc/" + own + "/task/" + own + "/children") else {
            for entry in expected { _ = isle_kill(entry.pid, 9) }
            return
        }
        for part in list.split(separator: 0x20) {
            if let pid = parseDecimal(part), pid > 1 { _ = isle_kill(Int32(truncatingIfNeeded: pid), 9) }
        }
    }
}
