import CHost

/// Where inits are looked for, in the order of the kernel's own search after systemd's places.
private let usualInits = ["/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/etc/init", "/bin/init"]

/// Starts the agent beside the guest's own init, and becomes that init.
func runSystem(_ config: GuestConfig, path: String, port: Int32) -> Never {
    var program = path
    if program.utf8.isEmpty {
        for candidate in usualInits where guest_executable(candidate) == 0 {
            program = candidate
            break
        }
    }
    if program.utf8.isEmpty { keepMachineUp(port: port) }
    giveConsoleWithoutUdev()
    if port >= 0 && guest_fork() == 0 { becomeAgent(port: port) }
    _ = guest_close(port)
    let arguments = CStrings([program])
    let environment = CStrings([
        "HOME=/", "TERM=linux", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ])
    let result = guest_execve(program, UnsafePointer(arguments.pointer), UnsafePointer(environment.pointer))
    fail(program + " cannot be executed: " + reason(result))
}

/// Without udev, systemd never learns of the device ttyS0, waits 90 seconds for it and starts no login on the console. Its
/// console-getty.service asks for no device and takes that place.
private func giveConsoleWithoutUdev() {
    for folder in ["/lib/systemd/", "/usr/lib/systemd/"] where guest_exists(folder + "systemd-udevd") != 0 { return }
    let unit = "/lib/systemd/system/console-getty.service"
    guard guest_exists(unit) != 0 else { return }
    for folder in ["/run/systemd", "/run/systemd/system", "/run/systemd/system/getty.target.wants"] {
        _ = guest_mkdir(folder, 0o755)
    }
    _ = guest_symlink("/dev/null", "/run/systemd/system/serial-getty@ttyS0.service")
    _ = guest_symlink(unit, "/run/systemd/system/getty.target.wants/console-getty.service")
}

/// Where the agent finds its port.
let agentPort: Int32 = 3
/// A name that begins with `@` makes systemd spare the process until the very end (systemd's ROOT_STORAGE_DAEMONS).
let agentName = "@isle-agent"

private func becomeAgent(port: Int32) -> Never {
    _ = guest_setsid()
    _ = guest_duplicate(port, agentPort)
    let arguments = CStrings([agentName])
    let environment = CStrings([])
    _ = guest_execve("/proc/self/exe", UnsafePointer(arguments.pointer), UnsafePointer(environment.pointer))
    runAgent(port: agentPort)
}

/// The agent beside another init.
func runAgent(port: Int32) -> Never {
    let agent = Agent(port: port, returns: true, reapsAll: false)
    while true {
        switch agent.step(milliseconds: -1) {
        case .shutdown(let reboot): askInit(reboot: reboot)
        case .signal(let number): _ = guest_kill(1, number)
        case .resize(let columns, let rows): resizeConsole(columns, rows)
        default: break
        }
    }
}

private func resizeConsole(_ columns: UInt16, _ rows: UInt16) {
    let console = guest_open("/dev/ttyS0", guest_o_rdwr_nonblocking(), 0)
    guard console >= 0 else { return }
    _ = guest_resize(console, columns, rows)
    _ = guest_close(console)
}

/// Speaks each init's own language: systemd(1) SIGRTMIN+4 and +5, busybox SIGUSR2 and SIGTERM; others by command.
private func askInit(reboot: Bool) {
    if readLine("/proc/1/comm") == "systemd" {
        _ = guest_kill(1, reboot ? 39 : 38)
        return
    }
    let program = readLink("/proc/1/exe")
    if splitFields(program, "/").last == "busybox" {
        _ = guest_kill(1, reboot ? 15 : 12)
        return
    }
    let request = ExecRequest(arguments: [reboot ? "reboot" : "poweroff"])
    if case .failed = spawn(request, Descriptors(input: -1, output: -1, error: -1)) { _ = guest_kill(1, 15) }
}

/// There is no init: this program keeps the machine up for what is executed through the agent.
private func keepMachineUp(port: Int32) -> Never {
    say("isle-init: the image has no init; the machine stays up for programs run through Isle")
    let agent = Agent(port: port, returns: true, reapsAll: true)
    while true {
        switch agent.step(milliseconds: -1) {
        case .shutdown(let reboot): endMachine(reboot: reboot)
        case .signal(let number) where number == 15 || number == 9: endMachine(reboot: false)
        case .resize(let columns, let rows): resizeConsole(columns, rows)
        default: break
        }
    }
}

private func endMachine(reboot: Bool) -> Never {
    endEverything(patience: 3_000)
    guest_sync()
    _ = guest_mount(nil, "/", nil, guest_ms_remount_readonly(), nil)
    _ = guest_reboot(reboot ? 0 : 1)
    while true { guest_sleep(1000) }
}
