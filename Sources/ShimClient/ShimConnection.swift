import CHost
import Glibc
import LinuxHost
public import Model
public import ShimCore

/// A shim that was spawned or found again. Holds no connection open: each call makes one of its own, so nothing
/// in the shim depends on the daemon.
public final class ShimConnection: Sendable {
    /// The shim's process id on the host.
    public let shimPID: Int32
    private let directory: OwnedDescriptor
    private let path: String

    init(directory: OwnedDescriptor, path: String, shimPID: Int32) {
        self.directory = directory
        self.path = path
        self.shimPID = shimPID
    }

    /// The network namespace that the shim made, to put interfaces into; nil if it made none.
    public func networkNamespace() async throws -> OwnedDescriptor? {
        do {
            return try await request(.networkNamespace).descriptors.first
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }

    /// Runs the first process; returns its pid on the host once it has been executed.
    /// - Throws: `notFound`, `invalidArgument` for a program of `.process` that cannot be executed; `internal` with the
    ///   runtime's own words. The instance is then as before.
    public func start() async throws -> Int32 {
        guard case .started(let pid) = try await request(.start).reply else {
            throw EngineError(.internal, "the shim in \(path) did not say whether it started")
        }
        return pid
    }

    /// The first process's pid on the host; nil before the start and after the end.
    public var pid: Int32? {
        get async {
            guard case .state(_, let pid)? = try? await requestUnlessGone(.hello)?.reply, pid > 0 else { return nil }
            return pid
        }
    }

    /// Sends a signal to the first process; nothing happens if it has ended.
    /// - Throws: `conflict` before the start.
    public func signal(_ number: Int32) async throws { _ = try await requestUnlessGone(.signal(number)) }

    /// Sets the terminal's size; nothing happens without a terminal.
    public func resize(columns: UInt16, rows: UInt16) async throws {
        _ = try await requestUnlessGone(.resize(columns: columns, rows: rows))
    }

    /// Makes the shim open its log anew, after the file was renamed by somebody else.
    public func reopenLog() async throws { _ = try await requestUnlessGone(.reopenLog) }

    /// New streams of the first process, also before the start: what it writes from now on, and a pipe to its
    /// standard input. `input` is nil if it was not asked for or the instance's standard input is not open; `error` is
    /// nil with a terminal. Closing `output` detaches; closing `input` closes the process's if the spec says so.
    public func attach(withInput: Bool) async throws -> (
        input: OwnedDescriptor?, output: OwnedDescriptor, error: OwnedDescriptor?
    ) {
        let output = try Spawn.pipe()
        let error = try Spawn.pipe()
        let input = withInput ? try Spawn.pipe() : nil
        let ends = [input?.read, output.write, error.write].compactMap { $0 }
        let (reply, _) = try await request(.attach(withInput: withInput), ends)
        guard case .attached(let takesInput, let separate) = reply else { throw unexpected(reply) }
        return (takesInput ? input?.write : nil, output.read, separate ? error.read : nil)
    }

    /// Runs a further process as a child of the shim.
    /// - Throws: the runtime's own words as `internal`, if it could not run the process.
    public func exec(_ exec: ShimExec) async throws -> ShimExecSession {
        let file = try Shim.memoryFile("isle-exec", exec.encoded())
        let socket = try connect()
        if exec.terminal {
            try await socket.send(.exec, [file])
            let (reply, descriptors) = try await answer(socket)
            guard case .started(let pid) = reply, let master = descriptors.first else { throw unexpected(reply) }
            return ShimExecSession(
                socket: socket, pid: pid, path: path, input: exec.openStdin ? try duplicate(master) : nil,
                output: master, error: nil)
        }
        let input = exec.openStdin ? try Spawn.pipe() : nil
        let output = try Spawn.pipe()
        let error = try Spawn.pipe()
        try await socket.send(.exec, [file] + [input?.read, output.write, error.write].compactMap { $0 })
        for end in [input?.read, output.write, error.write] { end?.close() }
        let reply: ShimReply
        do {
            reply = try await answer(socket).0
        } catch var failure as EngineError where failure.message.isEmpty {
            // The runtime has ended; what it said is in the stream that it had.
            failure.message = await words(in: error.read)
            throw failure
        }
        guard case .started(let pid) = reply else { throw unexpected(reply) }
        return ShimExecSession(
            socket: socket, pid: pid, path: path, input: input?.write, output: output.read, error: error.read)
    }

    /// Suspends until the instance has ended, and says how; any number of callers, also after the end.
    /// - Throws: `unavailable` if the shim was killed and left no record.
    public func wait() async throws -> ExitRecord {
        if let (reply, _) = try await requestUnlessGone(.wait) {
            guard case .exited(let exit) = reply else { throw unexpected(reply) }
            return ExitRecord(exit)
        }
        // Through the folder's descriptor: its name may belong to the next run by now.
        do {
            return try Shim.exitRecord(reading: "/proc/self/fd/\(directory.raw)/exit")
        } catch let error as EngineError where error.code == .notFound {
            throw gone()
        }
    }

    /// Kills everything the shim runs and the shim itself; returns when all is gone. No error if it is already.
    public func shutdown() async throws {
        let process = shimPID > 0 ? try? Pidfd(shimPID) : nil
        guard try await requestUnlessGone(.shutdown) != nil else { return }
        try await process?.ended()
    }

    func request(_ request: ShimRequest, _ descriptors: [OwnedDescriptor] = []) async throws -> (
        reply: ShimReply, descriptors: [OwnedDescriptor]
    ) {
        guard let answer = try await requestUnlessGone(request, descriptors) else { throw gone() }
        return answer
    }

    /// Nil if there is no shim any more.
    func requestUnlessGone(_ request: ShimRequest, _ descriptors: [OwnedDescriptor] = []) async throws -> (
        reply: ShimReply, descriptors: [OwnedDescriptor]
    )? {
        guard let socket = try ShimSocket(directory: directory, path: path) else { return nil }
        do {
            try await socket.send(request, descriptors)
            for descriptor in descriptors { descriptor.close() }
            return try await socket.receive()
        } catch is ShimGone {
            return nil
        }
    }

    private func connect() throws -> ShimSocket {
        guard let socket = try ShimSocket(directory: directory, path: path) else { throw gone() }
        return socket
    }

    private func answer(_ socket: ShimSocket) async throws -> (ShimReply, [OwnedDescriptor]) {
        do {
            return try await socket.receive()
        } catch is ShimGone {
            throw gone()
        }
    }

    /// What is in the pipe now, at most 8 KiB.
    private func words(in descriptor: OwnedDescriptor) async -> String {
        _ = isle_nonblocking(descriptor.raw, 1)
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = isle_read(descriptor.raw, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).joined(separator: "\n")
        return lines.isEmpty ? "the runtime failed without a word" : lines
    }

    private func duplicate(_ descriptor: OwnedDescriptor) throws -> OwnedDescriptor {
        let result = isle_duplicate(descriptor.raw, 3)
        guard result >= 0 else {
            throw EngineError(.resourceExhausted, "duplicating a terminal: \(String(errno: -result))")
        }
        return OwnedDescriptor(result)
    }

    private func gone() -> EngineError {
        EngineError(.unavailable, "the shim in \(path) is not running any more")
    }

    func unexpected(_ reply: ShimReply) -> EngineError {
        EngineError(.internal, "the shim in \(path) answered \(reply), which does not fit the question")
    }
}
