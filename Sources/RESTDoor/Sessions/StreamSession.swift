import DoorKit
import DriverKit
import Model
import NIOCore
import Synchronization
import WireTypes

/// One process with its streams on websockets, as LXD's exec has it: the client opens one websocket for each stream,
/// each with a secret that is good once.
///
/// The websockets' connections do the work: each moves the bytes of its stream, with back pressure both ways. The
/// operation's task runs `run`, which starts the process, waits for its end and for the rest of its output.
final class StreamSession: Sendable {
    /// What happens to the process when its client goes.
    enum Tie: Sendable {
        /// It is the client's: the terminal hangs up, or it is killed when `control` breaks off.
        case owned
        /// It lives on.
        case attached
    }

    private struct State {
        var secrets: [String: SessionStream]
        /// Streams without which the session does not begin.
        var awaited: Set<SessionStream>
        /// Streams whose output has not all been passed on.
        var outputs: Set<SessionStream>
        /// Outputs that came to their end by themselves, not because the client left them.
        var ended: Set<SessionStream> = []
        /// Bytes passed on, and whether a websocket is being written to, for each output.
        var moved: [SessionStream: Int] = [:]
        var sending: Set<SessionStream> = []
    }

    /// Secrets by stream, for the client.
    let secrets: [String: String]
    let hasTerminal: Bool
    private let tie: Tie
    private let state: Mutex<State>
    /// nil: the process could not be started.
    private let process = Latch<SessionProcess?>()
    /// False: the client did not come.
    private let connected = Latch<Bool>()
    private let outcome = Latch<Result<ExitRecord?, any Error>>()
    private let exited = Latch<Void>()
    private let drained = Latch<Void>()
    private let over = Latch<Void>()

    /// How long a client may take to open its websockets.
    static let patience = Duration.seconds(10)
    /// How long a stream that another process still holds open must be silent after the process's end.
    private static let silence = Duration.milliseconds(250)

    init(terminal: Bool, tie: Tie) {
        hasTerminal = terminal
        self.tie = tie
        let streams: [SessionStream] = terminal ? [.input, .control] : SessionStream.allCases
        var byName: [String: String] = [:]
        var bySecret: [String: SessionStream] = [:]
        for stream in streams {
            let secret = StreamSecret.make()
            byName[stream.rawValue] = secret
            bySecret[secret] = stream
        }
        secrets = byName
        state = Mutex(
            State(
                secrets: bySecret, awaited: Set(streams).subtracting([.control]),
                outputs: terminal ? [.input] : [.output, .error]))
    }

    /// The stream that `secret` opens; the secret is worth nothing from then on.
    func claim(_ secret: String) -> SessionStream? { state.withLock { $0.secrets.removeValue(forKey: secret) } }

    // MARK: the operation's side

    /// Runs the session to its end.
    ///
    /// - Returns: how the process ended; nil when the client left a process that lives on.
    func run(_ start: @Sendable () async throws -> SessionProcess) async throws -> ExitRecord? {
        defer { over.set(()) }
        return try await withTaskCancellationHandler {
            let started: SessionProcess
            do {
                started = try await start()
            } catch {
                process.set(nil)
                // The client opens its websockets one after the other: it must find them before it is told of the failure,
                // which it looks for when they are closed.
                _ = await isConnected()
                throw error
            }
            process.set(started)
            return try await follow(started)
        } onCancel: {
            outcome.set(.failure(CancellationError()))
            connected.set(false)
        }
    }

    private func follow(_ process: SessionProcess) async throws -> ExitRecord? {
        let waiting = Task { outcome.set(await Self.result { try await process.wait() }) }
        defer { waiting.cancel() }
        guard await isConnected() else {
            if tie == .owned { try await process.signal(9) }
            try Task.checkCancellation()
            throw EngineError(.timeout, "the client did not connect to the streams within \(Self.patience)")
        }
        let result = await outcome.wait() ?? .failure(CancellationError())
        exited.set(())
        guard case .success(let exit) = result else {
            if tie == .owned { try await process.signal(9) }
            return try result.get()
        }
        if exit != nil { _ = await drained.wait() }
        return exit
    }

    /// Whether the client has come for the streams without which the session does not begin.
    private func isConnected() async -> Bool {
        let timer = Task {
            try await Task.sleep(for: Self.patience)
            connected.set(false)
        }
        defer { timer.cancel() }
        return await connected.wait() == true
    }

    private static func result(_ body: () async throws -> ExitRecord?) async -> Result<ExitRecord?, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    // MARK: the connections' side

    /// Moves the bytes of one stream until the session is over or the client has left.
    func serve(_ stream: SessionStream, _ socket: WebSocket) async {
        arrive(stream)
        if let process = await process.wait() ?? nil {
            await withTaskGroup(of: Bool.self) { group in
                group.addTask {
                    await self.receive(stream, socket, process)
                    return true
                }
                if let output = output(stream, of: process) {
                    group.addTask {
                        await self.relay(output, stream, to: socket)
                        self.outputEnded(stream)
                        return false
                    }
                }
                group.addTask {
                    guard await self.over.wait() != nil else { return false }
                    await Self.close(socket)
                    return true
                }
                while let isEnd = await group.next(), !isEnd {}
                group.cancelAll()
            }
            await depart(stream, socket.end, process)
        }
        outputEnded(stream)
    }

    private func output(_ stream: SessionStream, of process: SessionProcess) -> OwnedDescriptor? {
        switch stream {
        case .input: hasTerminal ? process.streams.output : nil
        case .output: process.streams.output
        case .error: process.streams.error
        case .control: nil
        }
    }

    private func arrive(_ stream: SessionStream) {
        let isComplete = state.withLock { state in
            state.awaited.remove(stream)
            return state.awaited.isEmpty
        }
        if isComplete { connected.set(true) }
    }

    /// The client's end of one stream is gone.
    private func depart(_ stream: SessionStream, _ end: WebSocket.End?, _ process: SessionProcess) async {
        switch stream {
        case .input:
            process.streams.input?.close()
            if hasTerminal { process.streams.output.close() }
        case .output: process.streams.output.close()
        case .error: process.streams.error?.close()
        case .control: break
        }
        guard !exited.isSet, !outcome.isSet else { return }
        switch tie {
        case .owned:
            let hangsUp = hasTerminal && (stream == .input || end == .vanished)
            let breaksOff = !hasTerminal && stream == .control && end == .vanished
            if hangsUp || breaksOff {
                // It may have ended just now; then there is nobody to tell.
                try? await process.signal(hangsUp ? 1 : 9)
            }
        case .attached:
            // The process's end shows at its outputs before anybody knows how it ended: that is not the client leaving.
            let all: Set<SessionStream> = hasTerminal ? [.input] : [.output, .error]
            let leaves = state.withLock { state in
                state.outputs.subtracting([stream]).isEmpty && !all.isSubset(of: state.ended)
            }
            if leaves && stream != .control && (!hasTerminal || stream == .input) { outcome.set(.success(nil)) }
        }
    }

    private func outputEnded(_ stream: SessionStream) {
        let isLast = state.withLock { state in
            state.outputs.remove(stream)
            return state.outputs.isEmpty
        }
        if isLast { drained.set(()) }
    }

    /// Says good-bye and gives the client a moment to answer.
    private static func close(_ socket: WebSocket) async {
        do {
            try await socket.close()
            try await Task.sleep(for: .seconds(2))
        } catch {
            // The client was faster, or is gone.
        }
    }

    // MARK: output

    /// Passes output on until its end; then marks the end as LXD does, by an empty text message.
    private func relay(_ descriptor: OwnedDescriptor, _ stream: SessionStream, to socket: WebSocket) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.pump(descriptor, stream, to: socket) }
            group.addTask { await self.silenceAfterExit(stream) }
            await group.next()
            group.cancelAll()
        }
        do {
            try await socket.send(text: "")
            if stream != .input { try await socket.close() }
        } catch {
            // Nobody reads any more.
        }
    }

    private func pump(_ descriptor: OwnedDescriptor, _ stream: SessionStream, to socket: WebSocket) async {
        var reader = DescriptorReader(descriptor)
        do {
            while let bytes = try await reader.next() {
                state.withLock { _ = $0.sending.insert(stream) }
                try await socket.send(bytes)
                state.withLock { state in
                    state.sending.remove(stream)
                    state.moved[stream, default: 0] += bytes.readableBytes
                }
            }
            state.withLock { _ = $0.ended.insert(stream) }
        } catch {
            // The client is gone, or the session is over.
        }
    }

    /// Returns when the process has ended and the stream, which a child of it may hold open for ever, is silent.
    private func silenceAfterExit(_ stream: SessionStream) async {
        guard await exited.wait() != nil else { return }
        while true {
            let before = state.withLock { $0.moved[stream] }
            do { try await Task.sleep(for: Self.silence) } catch { return }
            let isSilent = state.withLock { $0.moved[stream] == before && !$0.sending.contains(stream) }
            if isSilent { return }
        }
    }

    // MARK: input

    private func receive(_ stream: SessionStream, _ socket: WebSocket, _ process: SessionProcess) async {
        do {
            switch stream {
            case .input: try await receiveInput(socket, process)
            case .control:
                while let message = try await socket.receive() { await control(message, process) }
            case .output, .error:
                while try await socket.receive() != nil {}
            }
        } catch {
            // The connection broke, which its end tells.
        }
    }

    private func receiveInput(_ socket: WebSocket, _ process: SessionProcess) async throws {
        var writer = process.streams.input.map { DescriptorWriter($0) }
        while let message = try await socket.receive() {
            switch message {
            case .binary(let bytes):
                guard let current = writer else { continue }
                if try await !current.write(bytes) { writer = nil }
            case .text(""):
                // The end of input. A terminal has none: there the user types it.
                if hasTerminal { continue }
                writer = nil
                process.streams.input?.close()
            case .text(let text):
                guard let current = writer else { continue }
                if try await !current.write(.init(string: text)) { writer = nil }
            }
        }
    }

    private func control(_ message: WebSocket.Message, _ process: SessionProcess) async {
        guard let control = SessionControlMessage(message) else { return }
        do {
            switch control {
            case .resize(let size): try await process.resize(size)
            case .signal(let number): try await process.signal(number)
            }
        } catch {
            // It has ended, or has no terminal; the control stream has no answers.
        }
    }
}
