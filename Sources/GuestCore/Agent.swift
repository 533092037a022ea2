import CHost

/// What the agent asks of the program around it.
public enum AgentEvent: Sendable, Hashable {
    case none
    /// A child that is not a session's ended (only with `reapsAll`).
    case childEnded(pid: Int32, code: Int32, signal: Int32)
    /// The host wants the machine to end or to boot again.
    case shutdown(reboot: Bool)
    /// A signal for the machine's first process.
    case signal(Int32)
    /// The console's new size.
    case resize(columns: UInt16, rows: UInt16)
    /// The port is at its end and cannot come back.
    case closed
}

/// Serves one port: starts processes, carries their streams, answers questions. Single-threaded; `step` is called in
/// a loop.
///
/// A virtio-serial port reads as ended while no host is connected and works again later; a socket does not
/// (`returns: false`).
public final class Agent {
    private let port: Int32
    private let returns: Bool
    private let reapsAll: Bool
    private let childSignals: Int32
    private var isHostThere = true
    private var parser = FrameParser()
    private var outgoing: [UInt8] = []
    private var sent = 0
    private var sessions: [Session] = []
    private var events: [AgentEvent] = []
    private var entries: [pollfd] = []
    private var chunk = [UInt8](repeating: 0, count: Frame.maxPayload)

    /// `port` is non-blocking, or below 0 for an agent without a host. With `reapsAll` (PID 1) every child is reaped.
    public init(port: Int32, returns: Bool, reapsAll: Bool) {
        self.port = port
        self.returns = returns
        self.reapsAll = reapsAll
        childSignals = reapsAll ? guest_child_signals() : -1
        guest_ignore_sigpipe()
    }

    /// Waits for work at most `milliseconds` (-1: for ever) and does it.
    public func step(milliseconds: Int32) -> AgentEvent {
        if !events.isEmpty { return events.removeFirst() }
        let isCongested = outgoing.count - sent > 8 * Frame.maxPayload
        entries.removeAll(keepingCapacity: true)
        if port >= 0 && isHostThere {
            watch(port, outgoing.count > sent ? POLLIN | POLLOUT : POLLIN)
        }
        if childSignals >= 0 { watch(childSignals, POLLIN) }
        for session in sessions {
            if session.pidfd >= 0 { watch(session.pidfd, POLLIN) }
            if session.wantsToWrite && session.input != session.outputs[0] { watch(session.input, POLLOUT) }
            for index in 0..<2 where session.outputs[index] >= 0 {
                var wanted: Int32 = session.credit[index] > 0 && !isCongested ? POLLIN : 0
                if session.wantsToWrite && session.input == session.outputs[index] { wanted |= POLLOUT }
                if wanted != 0 { watch(session.outputs[index], wanted) }
            }
        }
        let patience: Int32 = port >= 0 && !isHostThere ? 100 : -1
        let limit = patience >= 0 && (milliseconds < 0 || milliseconds > patience) ? patience : milliseconds
        let count = UInt32(entries.count)
        let ready = entries.withUnsafeMutableBufferPointer { guest_poll($0.baseAddress, count, limit) }
        if port >= 0 && !isHostThere { lookForHost() }
        if ready > 0 { serve(isCongested: isCongested) }
        return events.isEmpty ? .none : events.removeFirst()
    }

    private func watch(_ descriptor: Int32, _ wanted: Int32) {
        var entry = pollfd()
        entry.fd = descriptor
        entry.events = Int16(truncatingIfNeeded: wanted)
        entries.append(entry)
    }

    private func found(_ descriptor: Int32, _ wanted: Int32) -> Bool {
        for entry in entries where entry.fd == descriptor {
            if Int32(entry.revents) & (wanted | POLLHUP | POLLERR) != 0 { return true }
        }
        return false
    }

    private func serve(isCongested: Bool) {
        if childSignals >= 0 && found(childSignals, POLLIN) { reapAll() }
        for session in sessions {
            if session.pidfd >= 0 && found(session.pidfd, POLLIN) { reap(session) }
            if session.wantsToWrite && found(session.input, POLLOUT) {
                let taken = session.flushInput()
                if taken > 0 { send(Frame(.inputCredit, session: session.id, numbers: [UInt32(taken)])) }
            }
            for index in 0..<2 where session.outputs[index] >= 0 && session.credit[index] > 0 && !isCongested {
                if found(session.outputs[index], POLLIN) { forward(session, index) }
            }
        }
        sessions.removeAll { $0.isOver }
        guard port >= 0 && isHostThere else { return }
        for entry in entries where entry.fd == port && entry.revents != 0 {
            if Int32(entry.revents) & (POLLIN | POLLHUP | POLLERR) != 0 { receive() }
        }
        flush()
    }

    // MARK: The port

    private func receive() {
        let size = chunk.count
        let count = chunk.withUnsafeMutableBytes { guest_read(port, $0.baseAddress, size) }
        if guest_is_again(count) != 0 { return }
        guard count > 0 else {
            hostGone()
            return
        }
        chunk.withUnsafeBytes { parser.append(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
        while let frame = parser.next() { handle(frame) }
    }

    private func hostGone() {
        isHostThere = false
        parser.reset()
        outgoing = []
        sent = 0
        for session in sessions { session.abandon() }
        if !returns { events.append(.closed) }
    }

    private func lookForHost() {
        guard returns else { return }
        var probe = pollfd()
        probe.fd = port
        probe.events = Int16(POLLIN)
        _ = guest_poll(&probe, 1, 0)
        if Int32(probe.revents) & POLLHUP == 0 { isHostThere = true }
    }

    private func send(_ frame: Frame) {
        guard port >= 0 && isHostThere else { return }
        outgoing.append(contentsOf: frame.encoded)
    }

    private func flush() {
        while sent < outgoing.count {
            let size = outgoing.count - sent
            let from = sent
            let count = outgoing.withUnsafeBytes { guest_write(port, $0.baseAddress.map { $0 + from }, size) }
            if guest_is_again(count) != 0 { break }
            guard count > 0 else {
                hostGone()
                return
            }
            sent += count
        }
        if sent == outgoing.count {
            outgoing.removeAll(keepingCapacity: true)
            sent = 0
        }
    }

    // MARK: Requests

    private func handle(_ frame: Frame) {
        switch frame.kind {
        case .hello:
            for session in sessions { session.abandon() }
            outgoing.removeFirst(sent)
            sent = 0
            send(Frame(.helloAnswer, payload: frame.payload))
        case .exec: start(frame)
        case .input:
            guard let session = session(frame.session) else { return }
            if !session.accept(frame.payload) { session.abandon() }
        case .inputEnd: session(frame.session)?.endInput()
        case .outputCredit:
            guard let amount = frame.numbers(1)?[0], let session = session(frame.session), frame.stream >= 1,
                frame.stream <= 2
            else { return }
            let index = Int(frame.stream) - 1
            session.credit[index] = min(session.credit[index] + Int(amount), Frame.window)
        case .signal:
            guard let value = frame.numbers(1)?[0], value >= 1, value <= 64 else { return }
            if frame.session == 0 {
                events.append(.signal(Int32(value)))
            } else {
                session(frame.session)?.signal(Int32(value))
            }
        case .resize:
            guard let size = frame.numbers(2) else { return }
            let columns = UInt16(truncatingIfNeeded: size[0])
            let rows = UInt16(truncatingIfNeeded: size[1])
            if frame.session == 0 {
                events.append(.resize(columns: columns, rows: rows))
            } else {
                session(frame.session)?.resize(columns: columns, rows: rows)
            }
        case .drop: session(frame.session)?.abandon()
        case .info: send(Frame(.infoAnswer, session: frame.session, payload: guestFacts()))
        case .shutdown:
            send(Frame(.shutdownAnswer, session: frame.session))
            flush()
            events.append(.shutdown(reboot: frame.payload.first == 1))
        default: break
        }
    }

    private func session(_ id: UInt32) -> Session? {
        for session in sessions where session.id == id { return session }
        return nil
    }

    // MARK: Processes

    private func start(_ frame: Frame) {
        guard let request = ExecRequest(decoding: frame.payload), session(frame.session) == nil, frame.session != 0
        else { return fail(frame.session, .malformed, "the request to start a process is malformed") }
        var ours = Descriptors(input: -1, output: -1, error: -1)
        var theirs = ours
        if request.terminal {
            ours.output = guest_terminal(&theirs.input, request.columns, request.rows)
            guard ours.output >= 0 else {
                return fail(frame.session, .cannotExecute, "no terminal is free: " + reason(ours.output))
            }
            ours.input = ours.output
            theirs.output = theirs.input
            theirs.error = theirs.input
        } else {
            var result = guest_pipe(&ours.output, &theirs.output)
            if result == 0 { result = guest_pipe(&ours.error, &theirs.error) }
            if result == 0 && request.openInput { result = guest_pipe(&theirs.input, &ours.input) }
            guard result == 0 else {
                close(ours, isTerminal: false)
                close(theirs, isTerminal: false)
                return fail(frame.session, .cannotExecute, "no pipe is free: " + reason(result))
            }
        }
        let outcome = spawn(request, theirs)
        close(theirs, isTerminal: request.terminal)
        switch outcome {
        case .failed(let kind, let text):
            close(ours, isTerminal: request.terminal)
            fail(frame.session, kind, text)
        case .started(let pid):
            for descriptor in [ours.input, ours.output, ours.error] where descriptor >= 0 {
                _ = guest_set_nonblocking(descriptor)
            }
            sessions.append(
                Session(
                    id: frame.session, pid: pid, terminal: request.terminal, pidfd: guest_pidfd(pid),
                    input: ours.input, output: ours.output, error: ours.error))
            send(Frame(.started, session: frame.session, numbers: [UInt32(pid)]))
        }
    }

    private func close(_ descriptors: Descriptors, isTerminal: Bool) {
        if isTerminal {
            _ = guest_close(descriptors.input)
            return
        }
        for descriptor in [descriptors.input, descriptors.output, descriptors.error] where descriptor >= 0 {
            _ = guest_close(descriptor)
        }
    }

    private func fail(_ session: UInt32, _ kind: ExecFailure, _ text: String) {
        send(Frame(.failed, session: session, payload: [kind.rawValue] + [UInt8](text.utf8)))
    }

    private func forward(_ session: Session, _ index: Int) {
        let size = min(chunk.count, session.credit[index])
        let descriptor = session.outputs[index]
        let count = chunk.withUnsafeMutableBytes { guest_read(descriptor, $0.baseAddress, size) }
        if guest_is_again(count) != 0 { return }
        guard count > 0 else {
            session.closeOutput(index)
            send(Frame(.outputEnd, session: session.id, stream: UInt8(index + 1)))
            return
        }
        session.credit[index] -= count
        send(Frame(.output, session: session.id, stream: UInt8(index + 1), payload: [UInt8](chunk[0..<count])))
    }

    private func reap(_ session: Session) {
        var code: Int32 = 0
        var number: Int32 = 0
        guard guest_reap(session.pid, &code, &number) > 0 else { return }
        ended(session, code, number)
    }

    private func ended(_ session: Session, _ code: Int32, _ number: Int32) {
        session.closePidfd()
        send(Frame(.exited, session: session.id, numbers: [UInt32(bitPattern: code), UInt32(bitPattern: number)]))
    }

    private func reapAll() {
        var scratch = [UInt8](repeating: 0, count: 1024)
        _ = scratch.withUnsafeMutableBytes { guest_read(childSignals, $0.baseAddress, 1024) }
        var code: Int32 = 0
        var number: Int32 = 0
        while true {
            let pid = guest_reap(-1, &code, &number)
            guard pid > 0 else { return }
            var isSession = false
            for session in sessions where session.pid == pid && session.pidfd >= 0 {
                ended(session, code, number)
                isSession = true
            }
            if !isSession { events.append(.childEnded(pid: pid, code: code, signal: number)) }
        }
    }
}
