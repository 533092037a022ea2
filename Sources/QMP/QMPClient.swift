import FoundationEssentials
import LinuxHost
public import Model
import Synchronization

/// An event of QEMU (qemu-qmp-ref(7)), such as `SHUTDOWN` or `STOP`.
public struct QMPEvent: Sendable, Hashable {
    public var name: String
    public var data: JSONValue
}

/// Speaks the QEMU Machine Protocol over a unix socket (qemu-qmp-ref(7), docs/interop/qmp-spec).
public final class QMPClient: Sendable {
    private struct State {
        var nextID: Int64 = 1
        var pending: [Int64: CheckedContinuation<JSONValue, any Error>] = [:]
        var failure: EngineError?
        var reader: Task<Void, Never>?
    }

    /// What happens in QEMU from the connection on, for one consumer; the newest 256 are kept for it. Ends with the
    /// connection.
    public let events: AsyncStream<QMPEvent>
    private let eventSink: AsyncStream<QMPEvent>.Continuation
    private let stream: UnixStream
    private let state = Mutex(State())

    /// Longest line accepted from QEMU.
    static let lineLimit = 4 << 20

    private init(_ stream: UnixStream) {
        self.stream = stream
        (events, eventSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(256))
    }

    /// Connects, waiting up to `timeout` for the socket and for QEMU's greeting, and negotiates.
    /// - Throws: `unavailable` if no QEMU answers there, `timeout`.
    public static func connect(_ path: String, timeout: Duration = .seconds(10)) async throws -> QMPClient {
        let stream = try await UnixStream.connect(path, timeout: timeout)
        let client = QMPClient(stream)
        do {
            try await withDeadline(timeout, "greeting from QEMU at \(path)") { try await client.greet() }
        } catch {
            client.close()
            throw error
        }
        return client
    }

    private func greet() async throws {
        var lines = LineReader(limit: QMPClient.lineLimit)
        var waiting: [[UInt8]] = []
        while waiting.isEmpty {
            let bytes = try await stream.read()
            guard !bytes.isEmpty else {
                throw EngineError(.unavailable, "QEMU closed its control socket before the greeting")
            }
            waiting = try lines.append(bytes)
        }
        let greeting = try decode(waiting.removeFirst())
        guard greeting["QMP"] != nil else {
            throw EngineError(.unavailable, "the peer of the control socket is not QEMU")
        }
        let reader = lines
        let first = waiting
        let task = Task { await read(reader, first) }
        state.withLock { $0.reader = task }
        _ = try await execute("qmp_capabilities")
    }

    /// Runs a command and gives what it returns.
    /// - Parameter descriptor: goes with the command to QEMU (`getfd`, `add-fd`).
    /// - Throws: what QEMU says as `internal` (`notFound` for its CommandNotFound and DeviceNotFound classes),
    ///   `unavailable` when the connection ends first, `timeout`.
    @discardableResult
    public func execute(
        _ command: String, _ arguments: [String: JSONValue] = [:], passing descriptor: OwnedDescriptor? = nil,
        timeout: Duration = .seconds(30)
    ) async throws -> JSONValue {
        try await withDeadline(timeout, "answer of QEMU to \(command)") { [self] in
            let id = state.withLock { state in
                defer { state.nextID += 1 }
                return state.nextID
            }
            var message: [String: JSONValue] = ["execute": .string(command), "id": .integer(id)]
            if !arguments.isEmpty { message["arguments"] = .object(arguments) }
            let bytes = Array(JSONValue.object(message).encoded.utf8) + [10]
            let answer = try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    let failure = state.withLock { state -> (any Error)? in
                        if Task.isCancelled { return CancellationError() }
                        if let failure = state.failure { return failure }
                        state.pending[id] = continuation
                        return nil
                    }
                    if let failure { return continuation.resume(throwing: failure) }
                    guard let descriptor else { return stream.send(bytes) }
                    Task {
                        do { try await stream.send(bytes, passing: descriptor) } catch {
                            state.withLock { $0.pending.removeValue(forKey: id) }?.resume(throwing: error)
                        }
                    }
                }
            } onCancel: {
                state.withLock { $0.pending.removeValue(forKey: id) }?.resume(throwing: CancellationError())
            }
            if let error = answer["error"] { throw QMPClient.failure(command, error) }
            return answer["return"] ?? .null
        }
    }

    /// Ends the connection; QEMU goes on.
    public func close() {
        fail(EngineError(.unavailable, "the connection to QEMU was closed"))
        state.withLock { $0.reader }?.cancel()
    }

    deinit {
        stream.close()
        eventSink.finish()
    }

    private func read(_ reader: LineReader, _ first: [[UInt8]]) async {
        var lines = reader
        do {
            var waiting = first
            while true {
                for line in waiting { try take(decode(line)) }
                let bytes = try await stream.read()
                if bytes.isEmpty { break }
                waiting = try lines.append(bytes)
            }
            fail(EngineError(.unavailable, "QEMU has ended"))
        } catch {
            fail(EngineError(.unavailable, "the connection to QEMU failed", cause: error))
        }
    }

    private func take(_ message: JSONValue) throws {
        if let name = message["event"]?.text {
            eventSink.yield(QMPEvent(name: name, data: message["data"] ?? .null))
        } else if let id = message["id"]?.integer {
            state.withLock { $0.pending.removeValue(forKey: id) }?.resume(returning: message)
        } else if message["return"] == nil && message["error"] == nil {
            throw EngineError(.unavailable, "QEMU sent a message that is neither answer nor event")
        }
    }

    private func fail(_ error: EngineError) {
        let waiting = state.withLock { state in
            if state.failure == nil { state.failure = error }
            defer { state.pending = [:] }
            return state.pending.values
        }
        for continuation in waiting { continuation.resume(throwing: error) }
        stream.close()
        eventSink.finish()
    }

    private static func failure(_ command: String, _ error: JSONValue) -> EngineError {
        let isMissing = ["CommandNotFound", "DeviceNotFound"].contains(error["class"]?.text ?? "")
        return EngineError(
            isMissing ? .notFound : .internal, "QEMU refused \(command): \(error["desc"]?.text ?? "no reason given")")
    }

    private func decode(_ line: [UInt8]) throws -> JSONValue {
        do {
            return try JSONDecoder().decode(JSONValue.self, from: Data(line))
        } catch {
            throw EngineError(.unavailable, "QEMU sent a line that is not JSON")
        }
    }
}

/// Runs `body`, but no longer than `limit`.
/// - Throws: `timeout` that names `what`.
public func withDeadline<T: Sendable>(
    _ limit: Duration, _ what: String, _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw EngineError(.timeout, "no \(what) within \(limit)")
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw CancellationError() }
        return first
    }
}
