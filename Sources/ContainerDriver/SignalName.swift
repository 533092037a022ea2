import Glibc
import Model

/// Signals by name, as `docker stop --signal` and images' `STOPSIGNAL` write them.
enum SignalName {
    /// The lowest real-time signal as programs see it: glibc keeps two for itself.
    static let realTimeMinimum: Int32 = 34
    static let realTimeMaximum: Int32 = 64

    /// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`.
    /// - Throws: `invalidArgument`.
    static func number(_ text: String) throws -> Int32 {
        if let value = Int32(text), (1...realTimeMaximum).contains(value) { return value }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let value = names[name] { return value }
        if name == "RTMIN" { return realTimeMinimum }
        if name == "RTMAX" { return realTimeMaximum }
        if name.hasPrefix("RTMIN+"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) {
            return realTimeMinimum + offset
        }
        if name.hasPrefix("RTMAX-"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) {
            return realTimeMaximum - offset
        }
        throw EngineError(
            .invalidArgument, "\(Names.quoted(text)) is not a signal", hint: "write a name as SIGTERM, or a number")
    }

    private static let names: [String: Int32] = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ILL": SIGILL, "TRAP": SIGTRAP, "ABRT": SIGABRT,
        "BUS": SIGBUS, "FPE": SIGFPE, "KILL": SIGKILL, "USR1": SIGUSR1, "SEGV": SIGSEGV, "USR2": SIGUSR2,
        "PIPE": SIGPIPE, "ALRM": SIGALRM, "TERM": SIGTERM, "CHLD": SIGCHLD, "CONT": SIGCONT, "STOP": SIGSTOP,
        "TSTP": SIGTSTP, "TTIN": SIGTTIN, "TTOU": SIGTTOU, "URG": SIGURG, "XCPU": SIGXCPU, "XFSZ": SIGXFSZ,
        "VTALRM": SIGVTALRM, "PROF": SIGPROF, "WINCH": SIGWINCH, "IO": SIGIO, "PWR": SIGPWR, "SYS": SIGSYS,
        "STKFLT": 16, "IOT": SIGABRT, "POLL": SIGIO,
    ]
}

/// How init systems are asked to end everything.
enum InitSystem: Sendable, Hashable {
    case systemd
    case busybox
    /// sysvinit and OpenRC's: a power failure, which their tables answer by shutting down.
    case other

    var stopSignal: Int32 {
        switch self {
        // Starts halt.target (systemd(1), SIGNALS).
        case .systemd: SignalName.realTimeMinimum + 3
        case .busybox: SIGUSR2
        case .other: SIGPWR
        }
    }

    /// Told by the program that runs as process 1, and by what it was called: busybox is many programs, and a script's
    /// shell may be one of them.
    static func of(executable: String, calledAs: String) -> InitSystem {
        func last(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }
        if last(executable) == "systemd" { return .systemd }
        let isInit = ["init", "linuxrc"].contains(last(calledAs))
        return last(executable).hasPrefix("busybox") && isInit ? .busybox : .other
    }
}
