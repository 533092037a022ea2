import ArgumentParser
import CHost
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle daemon`.
struct Daemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start and stop the daemon where no systemd does.",
        discussion: """
            Examples:
              isle daemon start
              isle daemon status
              isle daemon stop          instances go on running
            """,
        subcommands: [DaemonStart.self, DaemonStatus.self, DaemonStop.self])

    /// The daemon's answer; nil if none listens.
    static func server(_ client: IsleClient) throws -> API.Server? {
        do {
            return try client.get(API.Server.self, Endpoint([]))
        } catch let error as ClientError where error.kind == .daemonUnavailable {
            return nil
        }
    }

    /// The folder that the socket is in.
    static func runDirectory(_ socket: String) -> String {
        let parts = socket.split(separator: "/").dropLast()
        return (socket.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
    }
}

struct DaemonStart: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start isled in the background and wait until it answers.")
    @Option(help: ArgumentHelp("Where it keeps what lasts.", valueName: "folder")) var stateDir: String?
    @Option(help: ArgumentHelp("The name of its bridge.", valueName: "name")) var bridge: String?
    @Option(help: ArgumentHelp("The bridge's IPv4 subnet.", valueName: "cidr")) var subnet: String?
    @Option(help: ArgumentHelp("Group that may use the socket.", valueName: "name")) var group: String?
    @Option(help: ArgumentHelp("Where isle-shim and the other parts are.", valueName: "folder")) var libDir: String?
    @Option(help: ArgumentHelp("trace, debug, info, notice, warning or error.", valueName: "level")) var logLevel:
        String?
    @Option(help: ArgumentHelp("Where its messages go; else isled.log beside its state.", valueName: "file"))
    var logFile: String?
    @Option(help: ArgumentHelp("Seconds to wait for it.", valueName: "seconds")) var wait = 30.0
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let output = Output(options: global)
        if let server = try Daemon.server(client) {
            return output.done("isled runs already, with process id \(server.environment?.serverPID ?? 0)")
        }
        guard let program = Self.program() else {
            throw ClientError(
                .local, "isled was found neither beside isle nor in PATH", hint: "install it with 'make install'")
        }
        let state = stateDir ?? "/var/lib/isle"
        let log = logFile ?? "\(state)/isled.log"
        mkdir(state, 0o700)
        var arguments = [program, "--state-dir", state, "--run-dir", Daemon.runDirectory(global.socketPath)]
        for (name, value) in [
            ("--bridge", bridge), ("--subnet", subnet), ("--log-level", logLevel), ("--group", group),
            ("--lib-dir", libDir),
        ] {
            if let value { arguments += [name, value] }
        }
        let pid = try Self.spawn(program, arguments, log: log)
        let end = Deadline(seconds: wait)
        while try Daemon.server(client) == nil {
            if waitpid(pid, nil, WNOHANG) == pid {
                throw ClientError(.local, "isled ended at once: \(Self.lastLine(log))", hint: "all of it: \(log)")
            }
            guard !end.isPast else {
                throw ClientError(
                    .timeout, "isled (process id \(pid)) does not answer on \(client.socketPath)", hint: "see \(log)")
            }
            usleep(10_000)
        }
        output.done("isled runs, with process id \(pid); its messages are in \(log)")
    }

    /// isled beside this program, else in PATH.
    private static func program() -> String? {
        var folders: [String] = []
        if let link = realpath("/proc/self/exe", nil) {
            folders.append(Daemon.runDirectory(String(cString: link)))
            free(link)
        }
        folders += (Environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return folders.map { $0 + "/isled" }.first { access($0, X_OK) == 0 }
    }

    private static func spawn(_ program: String, _ arguments: [String], log: String) throws -> pid_t {
        var pointers = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        let pid = isle_cli_spawn_detached(program, pointers, log)
        guard pid > 0 else {
            throw ClientError(
                .local, "\(program) cannot be started: \(String(cString: strerror(-pid)))",
                hint: geteuid() == 0 ? nil : "start it as root")
        }
        return pid
    }

    private static func lastLine(_ path: String) -> String {
        guard let text = try? LocalFile.text(path, "log"), let line = text.split(separator: "\n").last else {
            return "without a message"
        }
        // Without the time and level that the log has in front.
        let parts = line.split(separator: "[isled] ", maxSplits: 1)
        return String(parts.last ?? line)
    }
}

struct DaemonStatus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show whether the daemon runs; exit code 1 if not.")
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let environment = try Daemon.server(client)?.environment
        let output = Output(options: global)
        if global.format != .table {
            try output.value([
                "running": .bool(environment != nil), "socket": .string(client.socketPath),
                "pid": .int(Int64(environment?.serverPID ?? 0)), "version": .string(environment?.serverVersion ?? ""),
            ])
        } else if let environment {
            output.lines([
                "running: isled \(PlainText.escaped(environment.serverVersion)), process id \(environment.serverPID), on \(client.socketPath)"
            ])
        } else {
            output.lines(["not running: nothing answers on \(client.socketPath) (start it with 'isle daemon start')"])
        }
        if environment == nil { throw ExitCode(1) }
    }
}

struct DaemonStop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop the daemon; instances go on running.")
    @Option(help: ArgumentHelp("Seconds to wait for its end.", valueName: "seconds")) var wait = 30.0
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let output = Output(options: global)
        guard let server = try Daemon.server(client) else { return output.done("isled does not run") }
        guard let pid = server.environment.map({ pid_t($0.serverPID) }), pid > 1 else {
            throw ClientError(.malformedAnswer, "the daemon does not say its process id")
        }
        guard kill(pid, SIGTERM) == 0 else {
            throw ClientError(
                .local, "process \(pid) cannot be stopped: \(String(cString: strerror(errno)))", hint: "do it as root")
        }
        let end = Deadline(seconds: wait)
        while kill(pid, 0) == 0 || errno == EPERM {
            guard !end.isPast else {
                throw ClientError(.timeout, "isled (process id \(pid)) did not end in \(wait) seconds")
            }
            usleep(10_000)
        }
        output.done("isled has ended")
    }
}
