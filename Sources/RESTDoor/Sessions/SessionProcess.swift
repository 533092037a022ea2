import DriverKit
import Engine
import Model

/// What a session is connected to: a process made by exec, or the first process.
struct SessionProcess: Sendable {
    let streams: SessionStreams
    let resize: @Sendable (TerminalSize) async throws -> Void
    let signal: @Sendable (Int32) async throws -> Void
    /// How it ended; nil if nobody knows.
    let wait: @Sendable () async throws -> ExitRecord?

    init(_ exec: any ExecSession) {
        streams = exec.streams
        resize = { try await exec.resize($0) }
        signal = { try await exec.signal($0) }
        wait = { try await exec.wait() }
    }

    init(
        _ attached: any AttachSession, signal: @escaping @Sendable (Int32) async throws -> Void,
        wait: @escaping @Sendable () async throws -> ExitRecord?
    ) {
        streams = attached.streams
        resize = { try await attached.resize($0) }
        self.signal = signal
        self.wait = wait
    }
}

/// A stream of a session by LXD's name.
enum SessionStream: String, Sendable, CaseIterable {
    /// Standard input; with a terminal its output too.
    case input = "0"
    case output = "1"
    case error = "2"
    case control
}
