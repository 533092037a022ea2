import CHost

/// Stays the first process: runs the one program of an application image and ends the machine with it.
func runApplication(_ config: GuestConfig, port: Int32, report: String?) -> Never {
    if !config.process.terminal { _ = guest_raw(0) }
    if config.process.terminal { _ = guest_resize(0, config.process.columns, config.process.rows) }
    _ = guest_mount("cgroup2", "/sys/fs/cgroup", "cgroup2", guest_ms_default(), nil)
    let agent = Agent(port: port, returns: true, reapsAll: true)
    let console = guest_open("/dev/console", guest_o_rdwr(), 0)
    let input = config.process.openInput || config.process.terminal ? console : -1
    var first: Int32 = 0
    switch spawn(config.process, Descriptors(input: input, output: console, error: console)) {
    case .started(let pid): first = pid
    case .failed(let kind, let text):
        finish(report, kind == .notFound ? 127 : 126, 0, text)
    }
    _ = guest_close(console)
    while true {
        switch agent.step(milliseconds: -1) {
        case .childEnded(let pid, let code, let number) where pid == first: finish(report, code, number, "")
        case .signal(let number): _ = guest_kill(first, number)
        case .resize(let columns, let rows): _ = guest_resize(0, columns, rows)
        case .shutdown(let reboot):
            endEverything(patience: 5_000)
            guest_sync()
            if reboot { _ = guest_reboot(0) }
            finish(report, 143, 15, "")
        default: break
        }
    }
}

/// Tells every process to end and makes those that are left after `patience` milliseconds.
func endEverything(patience: UInt64) {
    _ = guest_kill(-1, guest_sigterm())
    let end = guest_milliseconds() + patience
    var code: Int32 = 0
    var number: Int32 = 0
    while guest_milliseconds() < end {
        let result = guest_reap(-1, &code, &number)
        if result < 0 { return }
        if result == 0 { guest_sleep(10) }
    }
    _ = guest_kill(-1, guest_sigkill())
}

/// Writes how the program ended to the report disk (one line: code, signal, reason) and powers off.
private func finish(_ report: String?, _ code: Int32, _ number: Int32, _ text: String) -> Never {
    _ = guest_kill(-1, guest_sigkill())
    if let report {
        let line =
            "exit " + decimal(UInt32(truncatingIfNeeded: code)) + " " + decimal(UInt32(truncatingIfNeeded: number))
            + " "
            + text
        var sector = [UInt8](line.utf8.prefix(500))
        sector += [UInt8](repeating: 0, count: 512 - sector.count)
        sector[511] = 10
        let disk = guest_open("/dev/" + report, guest_o_rdwr(), 0)
        _ = sector.withUnsafeBytes { guest_write(disk, $0.baseAddress, 512) }
        _ = guest_fsync(disk)
    }
    _ = guest_drain(1)
    guest_sync()
    _ = guest_mount(nil, "/", nil, guest_ms_remount_readonly(), nil)
    _ = guest_reboot(1)
    while true { guest_sleep(1000) }
}
