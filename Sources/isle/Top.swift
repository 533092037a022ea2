import ArgumentParser
import CHost
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle top`.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what running instances use, again and again.",
        discussion: """
            At a terminal it is refreshed until q or Ctrl-C; elsewhere, or with --once, it is shown once.

            Example: isle top
            """, aliases: ["stats"])
    @Flag(help: "Show it once.") var once = false
    @Option(help: ArgumentHelp("Time between refreshes.", valueName: "seconds")) var interval = 2.0
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let endpoint = Endpoint(["instances"], query: [("recursion", "2")])
        let output = Output(options: global)
        let live = Style.output.isTerminal && Terminal.isTerminal(STDIN_FILENO) && !once && global.format == .table
        var before = try client.get([API.Instance].self, endpoint)
        var time = Now.seconds
        let screen = live ? try FullScreen() : nil
        while true {
            let pause = live ? max(0.2, min(interval, 3600)) : 1
            if let screen {
                guard try screen.pause(screen.isFirst ? 0.5 : pause) else { return }
            } else {
                usleep(UInt32(pause * 1_000_000))
            }
            let answer = try client.get(JSONValue.self, endpoint)
            let after = try answer.decoded(as: [API.Instance].self)
            let now = Now.seconds
            let table = UsageTable.table(before: before, after: after, seconds: now - time)
            (before, time) = (after, now)
            if let screen {
                screen.draw(table.lines(width: Style.output.width, color: Style.output.isColored))
            } else {
                return try output.list(answer, names: after.map(\.name)) { table }
            }
        }
    }
}

/// A terminal taken as a whole: other screen, no cursor, no echo; given back with everything as it was.
final class FullScreen {
    private let terminal: RawTerminal
    private let signals: SignalSource
    private(set) var isFirst = true

    init() throws {
        signals = try SignalSource([SIGINT, SIGTERM, SIGHUP, SIGWINCH])
        terminal = try RawTerminal(STDIN_FILENO)
        Style.output.write("\u{1B}[?1049h\u{1B}[?25l")
    }

    deinit {
        Style.output.write("\u{1B}[?25h\u{1B}[?1049l")
        terminal.restore()
    }

    /// Draws `lines` from the top, as many as the terminal has rows.
    func draw(_ lines: [String]) {
        isFirst = false
        let rows = Terminal.size(of: STDOUT_FILENO).map { Int($0.rows) } ?? 24
        Style.output.write("\u{1B}[H" + lines.prefix(rows).joined(separator: "\u{1B}[K\r\n") + "\u{1B}[K\u{1B}[J")
    }

    /// Waits; false when the user wants to leave.
    func pause(_ seconds: Double) throws -> Bool {
        var entries = [
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signals.fileDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&entries, 2, Int32(seconds * 1000)) > 0 else { return true }
        if entries[0].revents != 0 {
            var byte: UInt8 = 0
            let got = read(STDIN_FILENO, &byte, 1)
            return got > 0 && ![UInt8(ascii: "q"), 3, 4, 27].contains(byte)
        }
        switch signals.next() {
        case SIGWINCH, nil: return true
        case SIGINT: return false
        case let signal?: throw ExitCode(128 + signal)
        }
    }
}
