import CHost
import Glibc
public import WireTypes

extension Session {
    /// Moves bytes until the session ends. `starting` is the operation that starts the process, when attach came
    /// first: its failure ends the session with its error.
    public func run(starting: API.Operation? = nil) throws -> End {
        let signals = try SignalSource(Self.signals)
        let raw =
            options.terminal && options.input && Terminal.isTerminal(options.descriptors.input)
            ? try RawTerminal(options.descriptors.input) : nil
        defer { raw?.restore() }
        let start = try starting.map { try PendingOperation(client, $0.id) }
        var loop = SessionLoop(session: self, signals: signals, terminal: raw, start: start)
        let end = try loop.run()
        loop.close()
        return end
    }

    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT]
}

/// The loop of one session around poll(2).
private struct SessionLoop {
    let session: Session
    let signals: SignalSource
    let terminal: RawTerminal?
    /// The operation that starts the process, until it has answered.
    var start: PendingOperation?
    var end: Session.End?
    /// Interruptions that the process did not heed.
    var interruptions = 0
    /// Once the daemon said that the process ended: when to stop waiting for the rest of its output.
    var lastOutput = Deadline.never

    /// Bytes in memory at which a stream is no longer read.
    static let highWater = 1 << 18
    /// Seconds that output may be silent after the end, while a process that was left behind holds the stream open.
    static let silenceAfterEnd = 2.0

    init(session: Session, signals: SignalSource, terminal: RawTerminal?, start: PendingOperation?) {
        self.session = session
        self.signals = signals
        self.terminal = terminal
        self.start = start
    }

    mutating func run() throws -> Session.End {
        for output in session.outputs { try handle(output.socket.parsed(), of: output) }
        while true {
            for socket in session.sockets { socket.flush() }
            for output in session.outputs { try output.queue.drain() }
            if let end { return end }
            if isFinished { return .exited(code: session.exitCode) }
            try step()
        }
    }

    /// All output has come and gone, and the outcome is known, that of the start too.
    private var isFinished: Bool {
        guard session.outcome != nil, start == nil else { return false }
        let drained = session.outputs.allSatisfy { $0.queue.count == 0 }
        return drained && (session.outputs.allSatisfy(\.socket.isClosed) || lastOutput.isPast)
    }

    private mutating func step() throws {
        var entries: [pollfd] = []
        var actions: [(inout SessionLoop) throws -> Void] = []
        func watch(_ descriptor: Int32, _ events: Int32, _ action: @escaping (inout SessionLoop) throws -> Void) {
            entries.append(pollfd(fd: descriptor, events: Int16(events), revents: 0))
            actions.append(action)
        }
        let session = session
        watch(signals.fileDescriptor, POLLIN) { try $0.takeSignals() }
        if session.outcome == nil { watch(session.pendingDescriptor, POLLIN) { try $0.takeOutcome() } }
        if let start { watch(start.fileDescriptor, POLLIN) { try $0.takeStart(start) } }
        if !session.inputEnded && session.main.outgoingCount < Self.highWater && !session.main.isClosed {
            watch(session.options.descriptors.input, POLLIN) { try $0.readInput() }
        }
        for output in session.outputs {
            if output.queue.count > 0 { watch(output.queue.descriptor, POLLOUT) { _ in } }
            if output.queue.isBroken && !output.socket.isClosed { output.socket.abandon() }
            watchSocket(output.socket, reading: output.queue.count < Self.highWater, watch) {
                try $0.handle(output.socket.receive(), of: output)
            }
        }
        if !session.options.terminal {
            watchSocket(session.main, reading: true, watch) { _ = try $0.session.main.receive() }
        }
        if let control = session.control {
            watchSocket(control, reading: true, watch) { _ in _ = try control.receive() }
        }
        let ready = poll(&entries, nfds_t(entries.count), lastOutput.remaining)
        guard ready >= 0 || errno == EINTR else {
            throw ClientError(.local, "poll failed: \(String(cString: strerror(errno)))")
        }
        guard ready > 0 else { return }
        for (entry, action) in zip(entries, actions) where entry.revents != 0 { try action(&self) }
    }

    private func watchSocket(
        _ socket: WebSocket, reading: Bool,
        _ watch: (Int32, Int32, @escaping (inout SessionLoop) throws -> Void) -> Void,
        _ receive: @escaping (inout SessionLoop) throws -> Void
    ) {
        if socket.isClosed { return }
        let events = (reading ? POLLIN : 0) | (socket.outgoingCount > 0 ? POLLOUT : 0)
        guard events != 0 else { return }
        watch(socket.fileDescriptor, events) { loop in
            socket.flush()
            if reading { try receive(&loop) }
        }
    }

    private mutating func handle(_ events: [WebSocket.Event], of output: Session.Output) throws {
        for event in events {
            switch event {
            case .data(let bytes, let isText, _):
                if bytes.isEmpty && isText {
                    // LXD's mark of the end of a stream.
                    output.socket.close()
                } else {
                    output.queue.append(bytes)
                }
            case .closed: break
            }
        }
        if session.outcome != nil { lastOutput = Deadline(seconds: Self.silenceAfterEnd) }
    }

    private mutating func readInput() throws {
        var bytes = [UInt8](repeating: 0, count: 1 << 15)
        let got = bytes.withUnsafeMutableBytes { read(session.options.descriptors.input, $0.baseAddress, $0.count) }
        if got < 0 && (errno == EINTR || errno == EAGAIN) { return }
        guard got > 0 else { return endOfInput() }
        bytes.removeLast(bytes.count - got)
        if session.detachKeys != nil, terminal != nil, let passed = session.detachKeys?.pass(bytes) {
            if !passed.bytes.isEmpty { session.main.send(passed.bytes) }
            if passed.detach { end = .detached }
        } else {
            session.main.send(bytes)
        }
    }

    private mutating func endOfInput() {
        if session.options.terminal && session.options.leavesAtEndOfInput { end = .detached }
        if session.options.terminal && !session.options.leavesAtEndOfInput { session.main.send([4]) }
        session.endInput()
    }

    private mutating func takeOutcome() throws {
        do {
            try session.finishPending()
        } catch {
            // A start that failed ends the session too, and tells more.
            if let start { _ = try session.client.outcome(start.finish()) }
            throw error
        }
        lastOutput = Deadline(seconds: Self.silenceAfterEnd)
    }

    private mutating func takeStart(_ pending: PendingOperation) throws {
        start = nil
        session.options.started?(try session.client.outcome(pending.finish()))
    }

    private mutating func takeSignals() throws {
        while let signal = signals.next() {
            switch signal {
            case SIGWINCH, SIGCONT:
                if signal == SIGCONT { try terminal?.enter() }
                if session.options.terminal, let size = Terminal.size(of: session.options.descriptors.output) {
                    session.sendSize(size)
                }
            case _ where terminal != nil || !session.options.proxiesSignals || session.control == nil:
                end = .interrupted(signal: signal)
            default:
                session.sendSignal(signal)
                if signal == SIGINT || signal == SIGTERM { interruptions += 1 }
                if interruptions >= 3 { end = .interrupted(signal: signal) }
            }
        }
    }

    /// Says good-bye on every websocket, as far as that goes without waiting.
    func close() {
        for socket in session.sockets {
            socket.close()
            socket.flush()
        }
    }
}
