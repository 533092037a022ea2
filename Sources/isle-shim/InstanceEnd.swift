import CHost

// The end of the first process, of its streams, and of the shim.
extension Instance {
    func firstProcessEnded(_ pid: Int32, _ status: Int32) {
        var exit = ShimExit(status: status, outOfMemory: ranOutOfMemory(status), seconds: 0, nanoseconds: 0)
        isle_realtime(&exit.seconds, &exit.nanoseconds)
        if case .running(_, var pidfd) = phase { closeIfOpen(&pidfd) }
        phase = .draining(exit)
        writeExitRecord(exit)
        // Whatever it left: its group, and children that came to the shim.
        _ = isle_kill(-pid, 9)
        children.killAll()
        input.close()
        // With the last slave closed the terminal's output ends.
        closeIfOpen(&keeper)
        if sources.allSatisfy({ !$0.isOpen }) { return drained() }
        giveUpDraining()
    }

    /// A process outside of the instance may hold the writing ends for ever.
    private func giveUpDraining() {
        _ = loop.after(milliseconds: 2000) { [self] in
            guard case .draining = phase else { return }
            if sources.contains(where: { $0.isOpen && $0.isStalled }) { return giveUpDraining() }
            for source in sources { source.finish() }
        }
    }

    func sourceEnded() {
        guard case .draining = phase, sources.allSatisfy({ !$0.isOpen }) else { return }
        drained()
    }

    private func drained() {
        guard case .draining(let exit) = phase else { return }
        phase = .ended(exit)
        onEnded(exit)
        deliverAndFinish()
    }

    /// Attached clients get the rest of the output, as long as they take it.
    private func deliverAndFinish() {
        if sources.contains(where: { !$0.isDelivered }) {
            _ = loop.after(milliseconds: 20) { [self] in deliverAndFinish() }
            return
        }
        finish()
    }

    func finish() {
        for source in sources { source.closeSinks() }
        closeIfOpen(&master)
        // Nothing may be left behind, in whatever state a runtime was.
        var tries = 0
        children.killAll()
        while children.reap(), tries < 2000 {
            _ = isle_sleep_ms(1)
            children.killAll()
            tries += 1
        }
        // Gone before the answers are out: who asks next finds no shim.
        _ = isle_unlink(spec.directory + "/shim.sock")
        _ = isle_unlink(spec.directory + "/exit.new")
        for reply in shutdownReplies { reply(.done) }
        shutdownReplies = []
        loop.stop()
    }

    /// The record's blocks were taken at the start, so that a full disk cannot lose it.
    private func writeExitRecord(_ exit: ShimExit) {
        let reserved = spec.directory + "/exit.new"
        let line = exit.line()
        let descriptor = isle_open_write(reserved)
        if descriptor >= 0 {
            let result = writeAll(descriptor, line)
            let cut = isle_truncate(descriptor, Int64(line.count))
            isle_close(descriptor)
            if result == 0, cut == 0, isle_rename(reserved, spec.directory + "/exit") == 0 { return }
        }
        if writeFile(reserved, line, create: true) == 0 {
            _ = isle_rename(reserved, spec.directory + "/exit")
        }
    }

    /// Makes the file that becomes the exit record, filled, and takes an old record away.
    func reserveExitRecord() throws(ShimFailure) {
        _ = isle_unlink(spec.directory + "/exit")
        let path = spec.directory + "/exit.new"
        try check(writeFile(path, [UInt8](repeating: 0x20, count: 80), create: true), "making the file " + path)
    }

    /// Whether the kernel has killed in one of the control groups for want of memory, and this process was killed.
    private func ranOutOfMemory(_ status: Int32) -> Bool {
        guard status & 0x7f == 9 || status == 137 << 8 else { return false }
        for cgroup in spec.cgroups {
            // Control groups v2 and v1; both have lines of a name and a number.
            for file in ["/memory.events", "/memory.oom_control"] {
                guard let bytes = readFile(cgroup + file) else { continue }
                for line in bytes.split(separator: 0x0A) {
                    let fields = line.split(separator: 0x20)
                    if fields.count == 2, fields[0].elementsEqual("oom_kill".utf8), fields[1].first != 0x30 {
                        return true
                    }
                }
            }
        }
        return false
    }
}
