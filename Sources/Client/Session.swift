import Glibc
public import WireTypes

/// Streams of a process in an instance, connected to this process's own: what exec, attach and console are to the
/// one who sits at the terminal.
public final class Session {
    /// How the streams are connected.
    public struct Options: Sendable {
        /// Pass standard input on; else the process sees its end at once.
        public var input = false
        /// The process has a terminal: one stream for both directions, and the local terminal in raw mode.
        public var terminal = false
        /// Keys that end the session and leave the process running.
        public var detachKeys: DetachKeys?
        /// What the end of the local input means to a process that has a terminal, which knows no such end: to leave
        /// it, as detach keys do; else it is told by typing ctrl-d.
        public var leavesAtEndOfInput = false
        /// Without a terminal: pass SIGINT, SIGTERM and their like on to the process.
        public var proxiesSignals = true
        /// Told how the operation that starts the process ended, before anything else is shown of it.
        public var started: (@Sendable (API.Operation) -> Void)?
        /// The local descriptors at the other end: standard input, output and error.
        public var descriptors = (input: STDIN_FILENO, output: STDOUT_FILENO, error: STDERR_FILENO)
        public init() {}
    }

    /// How it ended.
    public enum End: Sendable, Hashable {
        /// The process ended; its exit code, where the daemon knows it.
        case exited(code: Int32?)
        /// The user typed the detach keys.
        case detached
        /// This process was told to end by a signal.
        case interrupted(signal: Int32)
    }

    let client: IsleClient
    let options: Options
    let operation: API.Operation
    /// The websocket that carries input: `0`. With a terminal its output too.
    let main: WebSocket
    let outputs: [Output]
    let control: WebSocket?
    private let pending: PendingOperation
    var outcome: API.Operation?
    var inputEnded = false
    var detachKeys: DetachKeys?

    /// One stream of output.
    struct Output {
        let socket: WebSocket
        let queue: OutputQueue
    }

    /// Connects the websockets of `operation`, which is the answer to exec, attach or console.
    public init(_ client: IsleClient, _ operation: API.Operation, _ options: Options) throws {
        self.client = client
        self.options = options
        self.operation = operation
        detachKeys = options.detachKeys
        let secrets = Session.secrets(of: operation)
        let names = ["0", "1", "2", "control"].filter { secrets[$0] != nil }
        let sockets = try client.webSockets(
            names.map { Endpoint(["operations", operation.id, "websocket"], query: [("secret", secrets[$0])]) })
        var byName: [String: WebSocket] = [:]
        for (name, socket) in zip(names, sockets) {
            do {
                byName[name] = try socket.get()
            } catch let error as ClientError where name == "control" && error.kind == .refused(status: 404) {
                // The daemon does not wait for this one: a short program has ended before it is there.
            }
        }
        guard let main = byName["0"] else {
            throw ClientError(.malformedAnswer, "the daemon offered no stream for the session")
        }
        self.main = main
        let sources = options.terminal ? [(main, options.descriptors.output)] : []
        let separate = options.terminal ? [] : [("1", options.descriptors.output), ("2", options.descriptors.error)]
        let all = sources + separate.compactMap { name, descriptor in byName[name].map { ($0, descriptor) } }
        outputs = all.map { Output(socket: $0, queue: OutputQueue($1)) }
        control = byName["control"]
        pending = try PendingOperation(client, operation.id)
        if !options.input { endInput() }
    }

    /// Whether the process has a terminal: there is no stream of its own for output then.
    public static func hasTerminal(_ operation: API.Operation) -> Bool { secrets(of: operation)["1"] == nil }

    private static func secrets(of operation: API.Operation) -> [String: String] {
        (operation.metadata?["fds"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
    }

    /// The descriptor of the wait for the session's end.
    var pendingDescriptor: Int32 { pending.fileDescriptor }

    func finishPending() throws { outcome = try client.outcome(pending.finish()) }

    /// Tells the process that there is no more input: an empty message, as LXD has it.
    func endInput() {
        if inputEnded { return }
        inputEnded = true
        main.send([], text: true)
    }

    /// Tells the process how large the terminal is.
    func sendSize(_ size: WindowSize) { sendControl(API.SessionControl(columns: size.columns, rows: size.rows)) }

    /// Sends a signal to the process.
    func sendSignal(_ number: Int32) { sendControl(API.SessionControl(signal: number)) }

    private func sendControl(_ message: API.SessionControl) {
        guard let control, let bytes = try? JSON.encode(message) else { return }
        control.send(bytes, text: true)
    }

    /// Every websocket once.
    var sockets: [WebSocket] {
        (options.terminal ? [main] : [main] + outputs.map(\.socket)) + (control.map { [$0] } ?? [])
    }

    /// The exit code that the daemon put into the operation.
    var exitCode: Int32? { (outcome?.metadata?["return"]?.intValue).flatMap { Int32(exactly: $0) } }
}
