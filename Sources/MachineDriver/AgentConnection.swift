import GuestCore
import LinuxHost
import Model
import QMP
import Synchronization

/// The host's end of the agent's port: one per machine, for all its sessions.
final class AgentConnection: Sendable {
    private struct State {
        var sessions: [UInt32: AgentSession] = [:]
        var answers: [UInt32: CheckedContinuation<Frame, any Error>] = [:]
        var next: UInt32 = 1
        var isClosed = false
        var reader: Task<Void, Never>?
    }

    private let stream: UnixStream
    private let state = Mutex(State())

    private init(_ stream: UnixStream) { self.stream = stream }

    /// Connects to the port's socket and waits until the agent answers, at most `timeout`.
    ///
    /// A hello is sent again while the agent is silent, with padding in front: the agent may be in the middle of a frame
    /// that an earlier daemon never finished, and the padding completes that.
    /// - Throws: `unavailable` if the machine ended, `timeout` if no agent answers.
    static func connect(_ path: String, timeout: Duration) async throws -> AgentConnection {
        let stream = try await UnixStream.connect(path)
        do {
            let nonce = (0..<16).map { _ in UInt8.random(in: 0...255) }
            let rest = try await withDeadline(timeout, "answer of the agent in the machine") {
                try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
                    group.addTask {
                        stream.send(Frame(.hello, payload: nonce).encoded)
                        while true {
                            try await Task.sleep(for: .seconds(1))
                            let padding = [UInt8](repeating: 0, count: Frame.maxPayload + Frame.headerSize)
                            stream.send(padding + Frame(.hello, payload: nonce).encoded)
                        }
                    }
                    group.addTask { try await awaitAnswer(stream, nonce) }
                    defer { group.cancelAll() }
                    while let result = try await group.next() { if let result { return result } }
                    throw CancellationError()
                }
            }
            let connection = AgentConnection(stream)
            let task = Task { await connection.read(rest) }
            connection.state.withLock { $0.reader = task }
            return connection
        } catch {
            stream.close()
            throw error
        }
    }

    /// Reads until the agent's answer to our own hello has passed; gives the bytes after it.
    private static func awaitAnswer(_ stream: UnixStream, _ nonce: [UInt8]) async throws -> [UInt8]? {
        let answer = Frame(.helloAnswer, payload: nonce).encoded
        var seen: [UInt8] = []
        while true {
            let bytes = try await stream.read()
            guard !bytes.isEmpty else { throw EngineError(.unavailable, "the machine has ended") }
            seen += bytes
            if let range = seen.firstRange(of: answer) { return Array(seen[range.upperBound...]) }
            if seen.count > answer.count { seen.removeFirst(seen.count - answer.count) }
        }
    }

    var isOpen: Bool { state.withLock { !$0.isClosed } }

    func close() {
        fail(EngineError(.unavailable, "the connection to the machine's agent was closed"))
        state.withLock { $0.reader }?.cancel()
    }

    func send(_ frame: Frame) { stream.send(frame.encoded) }

    /// Starts a process.
    /// - Throws: `notFound` (program, user or folder), `invalidArgument` (cannot be executed), `unavailable`.
    func exec(_ request: ExecRequest) async throws -> AgentSession {
        let session = try AgentSession(terminal: request.terminal, openInput: request.openInput, connection: self)
        let frame: Frame
        let bytes = request.encoded
        guard bytes.count <= Frame.maxPayload else {
            throw EngineError(
                .invalidArgument,
                "arguments and environment have \(bytes.count) bytes; a machine's agent takes \(Frame.maxPayload)")
        }
        do {
            frame = try await ask { id in
                session.begin(id)
                state.withLock { $0.sessions[id] = session }
                return Frame(.exec, session: id, payload: bytes)
            }
        } catch {
            forget(session.id)
            throw error
        }
        if frame.kind == .failed {
            forget(session.id)
            let code: EngineError.Code =
                frame.payload.first == ExecFailure.notFound.rawValue ? .notFound : .invalidArgument
            throw EngineError(code, String(decoding: frame.payload.dropFirst(), as: UTF8.self))
        }
        session.run()
        return session
    }

    /// What the guest knows about itself, by key; `address` has one `name address/prefix` per line.
    func facts() async throws -> [String: String] {
        let frame = try await withDeadline(.seconds(5), "answer of the agent in the machine") { [self] in
            try await ask { Frame(.info, session: $0) }
        }
        var facts: [String: String] = [:]
        for line in String(decoding: frame.payload, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            let key = String(parts[0])
            facts[key] = facts[key].map { $0 + "\n" + parts[1] } ?? String(parts[1])
        }
        return facts
    }

    /// Asks the guest to end or to boot again.
    func shutdown(reboot: Bool) async throws {
        _ = try await withDeadline(.seconds(5), "answer of the agent in the machine") { [self] in
            try await ask { Frame(.shutdown, session: $0, payload: [reboot ? 1 : 0]) }
        }
    }

    func forget(_ id: UInt32) { state.withLock { _ = $0.sessions.removeValue(forKey: id) } }

    /// Sends what `make` makes for a new id and waits for the answer with that id.
    private func ask(_ make: (UInt32) -> Frame) async throws -> Frame {
        let id = state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
        let frame = make(id)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isClosed && !Task.isCancelled { state.answers[id] = continuation }
                    return !state.isClosed && !Task.isCancelled
                }
                if isOpen {
                    send(frame)
                } else {
                    continuation.resume(throwing: EngineError(.unavailable, "the machine's agent is not connected"))
                }
            }
        } onCancel: {
            state.withLock { $0.answers.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    private func read(_ first: [UInt8]) async {
        var parser = FrameParser()
        parser.append(first)
        do {
            while true {
                while let frame = parser.next() { take(frame) }
                let bytes = try await stream.read()
                if bytes.isEmpty { break }
                parser.append(bytes)
            }
            fail(EngineError(.unavailable, "the machine has ended"))
        } catch {
            fail(EngineError(.unavailable, "the connection to the machine's agent failed", cause: error))
        }
    }

    private func take(_ frame: Frame) {
        switch frame.kind {
        case .started, .failed, .infoAnswer, .shutdownAnswer:
            state.withLock { $0.answers.removeValue(forKey: frame.session) }?.resume(returning: frame)
        case .output, .outputEnd, .exited, .inputCredit:
            let session = state.withLock { $0.sessions[frame.session] }
            if let session, !session.take(frame) {
                // The peer broke the rules of the window: this session is over, the others go on.
                send(Frame(.drop, session: frame.session))
                session.fail(EngineError(.unavailable, "the machine's agent sent more than it had credit for"))
                forget(frame.session)
            }
        default: break
        }
    }

    private func fail(_ error: EngineError) {
        let (sessions, answers) = state.withLock { state in
            state.isClosed = true
            defer {
                state.sessions = [:]
                state.answers = [:]
            }
            return (Array(state.sessions.values), Array(state.answers.values))
        }
        for answer in answers { answer.resume(throwing: error) }
        for session in sessions { session.fail(error) }
        stream.close()
    }
}
