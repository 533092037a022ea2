import CHost
import DriverKit
import Glibc
import GuestCore
import LinuxHost
import Model
import Synchronization

/// One process in a machine, with its streams carried over the agent's port. The daemon's ends are pipes, or one
/// socket for both directions with a terminal.
final class AgentSession: ExecSession {
    let streams: SessionStreams
    private let isTerminal: Bool
    private let connection: AgentConnection
    /// Our ends: what the user types, and where output goes.
    private let typed: OwnedDescriptor?
    private let outputs: [OutputPump]
    private let state = Mutex(State())

    private struct State {
        var id: UInt32 = 0
        var credit = Frame.window
        var creditWaiter: CheckedContinuation<Void, Never>?
        var result: Result<ExitRecord, any Error>?
        var waiters: [CheckedContinuation<ExitRecord, any Error>] = []
        var feeder: Task<Void, Never>?
    }

    init(terminal: Bool, openInput: Bool, connection: AgentConnection) throws {
        isTerminal = terminal
        self.connection = connection
        if terminal {
            var ends: [Int32] = [-1, -1]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
                throw EngineError(.resourceExhausted, "making a socket pair: \(String(errno: errno))")
            }
            let theirs = OwnedDescriptor(ends[0])
            let ours = OwnedDescriptor(ends[1])
            typed = openInput ? OwnedDescriptor(fcntl(ours.raw, F_DUPFD_CLOEXEC, 0)) : nil
            streams = SessionStreams(input: openInput ? theirs : nil, output: theirs, error: nil)
            outputs = [OutputPump(ours)]
        } else {
            let output = try Spawn.pipe()
            let error = try Spawn.pipe()
            let input = openInput ? try Spawn.pipe() : nil
            typed = input?.read
            streams = SessionStreams(input: input?.write, output: output.read, error: error.read)
            outputs = [OutputPump(output.write), OutputPump(error.write)]
        }
        if let typed { _ = fcntl(typed.raw, F_SETFL, fcntl(typed.raw, F_GETFL) | O_NONBLOCK) }
    }

    var id: UInt32 { state.withLock { $0.id } }

    func begin(_ id: UInt32) {
        state.withLock { $0.id = id }
        for (index, output) in outputs.enumerated() {
            output.begin { [connection] count in
                connection.send(
                    Frame(.outputCredit, session: id, stream: UInt8(index + 1), numbers: [UInt32(count)]))
            }
        }
    }

    /// The process runs: carries its input from now on.
    func run() {
        guard let typed else { return }
        let task = Task { await feed(typed) }
        state.withLock { $0.feeder = task }
    }

    private func feed(_ typed: OwnedDescriptor) async {
        let id = self.id
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let room = min(await waitForCredit(), buffer.count)
            let count = Glibc.read(typed.raw, &buffer, room)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN {
                do { try await DescriptorEvents.readable(typed) } catch { return }
                continue
            }
            guard count > 0 else { break }
            state.withLock { $0.credit -= count }
            connection.send(Frame(.input, session: id, payload: Array(buffer[..<count])))
        }
        // With a terminal the end is that of the whole session: its hang-up.
        connection.send(Frame(isTerminal ? .drop : .inputEnd, session: id))
    }

    private func waitForCredit() async -> Int {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.credit <= 0 && state.result == nil { state.creditWaiter = continuation }
                return state.credit > 0 || state.result != nil
            }
            if isThere { continuation.resume() }
        }
        return state.withLock { max($0.credit, 1) }
    }

    /// A frame of this session; false if the agent broke the window's rule.
    func take(_ frame: Frame) -> Bool {
        let index = Int(frame.stream) - 1
        switch frame.kind {
        case .output: return outputs.indices.contains(index) && outputs[index].append(frame.payload)
        case .outputEnd:
            if outputs.indices.contains(index) { outputs[index].end() }
        case .inputCredit:
            guard let amount = frame.numbers(1)?[0] else { return false }
            let waiter = state.withLock { state in
                state.credit = min(state.credit + Int(amount), Frame.window)
                defer { state.creditWaiter = nil }
                return state.creditWaiter
            }
            waiter?.resume()
        case .exited:
            guard let values = frame.numbers(2) else { return false }
            let signal = Int32(bitPattern: values[1])
            finish(
                .success(
                    ExitRecord(
                        code: Int32(bitPattern: values[0]), signal: signal == 0 ? nil : signal,
                        finishedAt: Clock.seconds())))
        default: break
        }
        return true
    }

    /// The agent is gone, or misbehaved.
    func fail(_ error: EngineError) {
        for output in outputs { output.end() }
        finish(.failure(error))
    }

    private func finish(_ result: Result<ExitRecord, any Error>) {
        let (waiters, feeder, credit) = state.withLock { state in
            if state.result == nil { state.result = result }
            defer {
                state.waiters = []
                state.creditWaiter = nil
            }
            return (state.waiters, state.feeder, state.creditWaiter)
        }
        credit?.resume()
        feeder?.cancel()
        for waiter in waiters { waiter.resume(with: result) }
    }

    func resize(_ size: TerminalSize) async throws {
        connection.send(Frame(.resize, session: id, numbers: [UInt32(size.columns), UInt32(size.rows)]))
    }

    func signal(_ number: Int32) async throws {
        connection.send(Frame(.signal, session: id, numbers: [UInt32(bitPattern: number)]))
    }

    func wait() async throws -> ExitRecord {
        try await withCheckedThrowingContinuation { continuation in
            let result = state.withLock { state in
                if state.result == nil { state.waiters.append(continuation) }
                return state.result
            }
            if let result { continuation.resume(with: result) }
        }
    }
}

/// Wall-clock time.
enum Clock {
    /// Seconds since 1970.
    static func seconds() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }
}
