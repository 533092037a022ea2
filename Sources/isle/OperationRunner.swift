import CLIKit
import Client
import Glibc
import WireTypes

extension GlobalOptions {
    /// Waits for `operation` with its progress on standard error; Ctrl-C cancels it.
    @discardableResult
    func finish(_ operation: API.Operation, with client: IsleClient) throws -> API.Operation {
        let signals = try SignalSource([SIGINT, SIGTERM])
        let progress = ProgressDisplay(quiet: quiet)
        defer { progress.clear() }
        let done = try client.wait(
            for: operation, signals: signals, progress: quiet ? nil : { progress.show($0) })
        progress.clear()
        Failure.warn(done)
        return done
    }
}

/// Progress on standard error: a bar that is drawn over and over on a terminal, else a line now and then.
final class ProgressDisplay {
    private let style = Style.error
    private let quiet: Bool
    private var drawn = false
    private var pace = ProgressPace()

    init(quiet: Bool) { self.quiet = quiet }

    func show(_ operation: API.Operation) {
        guard !quiet, let line = ProgressLine(operation) else { return }
        show(line)
    }

    func show(_ line: ProgressLine) {
        if quiet { return }
        if style.isTerminal {
            style.write("\r\u{1B}[K" + line.bar(width: style.width ?? 80))
            drawn = true
            return
        }
        if pace.shows(line, now: Now.seconds) { style.write(line.plain + "\n") }
    }

    /// Takes the bar away.
    func clear() {
        if drawn { style.write("\r\u{1B}[K") }
        drawn = false
    }
}
