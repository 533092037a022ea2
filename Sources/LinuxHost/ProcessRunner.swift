import CHost
import Glibc
import Model

/// What a tool said and how it ended.
public struct ProcessResult: Sendable {
    public var status: WaitStatus
    public var output: [UInt8]
    public var error: [UInt8]
    /// More came than the bound; the rest was read and dropped.
    public var outputTruncated: Bool

    public var outputText: String { String(decoding: output, as: UTF8.self) }
    /// Standard error without surrounding white space.
    public var errorText: String { trimmed(error) }
    /// The last lines of what it said, for an error message.
    public var lastWords: String {
        let text = errorText.isEmpty ? trimmed(output) : errorText
        return text.split(separator: "\n").suffix(3).joined(separator: "; ")
    }

    private func trimmed(_ bytes: [UInt8]) -> String {
        let isSpace = { (byte: UInt8) in byte == 32 || (9...13).contains(byte) }
        return String(decoding: bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed(), as: UTF8.self)
    }
}

/// Runs external tools to their end: argument array, no shell, bounded capture, bounded time.
public enum ProcessRunner {
    /// Runs `executable` and returns how it ended, whatever that was.
    ///
    /// The tool gets a session of its own; when the time is over or the task is cancelled the tool and what it
    /// started are killed, and reaped before this returns.
    /// - Parameter arguments: without the program's own name.
    /// - Parameter environment: `NAME=value`; nil passes on this process's.
    /// - Parameter input: written to its standard input; else that is empty.
    /// - Parameter limit: bytes kept of each output stream.
    /// - Throws: `notFound` (no such program), `timeout`, `CancellationError`.
    public static func run(
        _ executable: String, _ arguments: [String], environment: [String]? = nil, workingDirectory: String? = nil,
        input: [UInt8] = [], limit: Int = 1 << 20, timeout: Duration = .seconds(60)
    ) async throws -> ProcessResult {
        let (outRead, outWrite) = try Spawn.pipe()
        let (errRead, errWrite) = try Spawn.pipe()
        let stdin = input.isEmpty ? nil : try Spawn.pipe()
        let streams = Spawn.Streams(input: stdin?.read, output: outWrite, error: errWrite)
        let child = try await runBlocking {
            try Spawn.start(
                executable, arguments, environment: environment, workingDirectory: workingDirectory, streams: streams)
        }
        outWrite.close()
        errWrite.close()
        stdin?.read.close()
        return try await collect(
            child, executable, out: outRead, err: errRead, stdin: stdin?.write, input: input, limit: limit,
            timeout: timeout)
    }

    /// Like `run`, and anything but exit code 0 is an error.
    /// - Throws: also `internal`, with the tool's last words.
    @discardableResult
    public static func check(
        _ executable: String, _ arguments: [String], environment: [String]? = nil, workingDirectory: String? = nil,
        input: [UInt8] = [], limit: Int = 1 << 20, timeout: Duration = .seconds(60)
    ) async throws -> ProcessResult {
        let result = try await run(
            executable, arguments, environment: environment, workingDirectory: workingDirectory, input: input,
            limit: limit, timeout: timeout)
        guard result.status.isSuccess else {
            let how = result.status.signal.map { "was ended by signal \($0)" } ?? "exited with \(result.status.code)"
            let words = result.lastWords
            throw EngineError(.internal, "\(executable) \(how)" + (words.isEmpty ? "" : ": \(words)"))
        }
        return result
    }

    private enum Part: Sendable {
        case output([UInt8], Bool)
        case error([UInt8])
        case ended
        case written
        case timeout
    }

    private static func collect(
        _ child: Pidfd, _ name: String, out: OwnedDescriptor, err: OwnedDescriptor, stdin: OwnedDescriptor?,
        input: [UInt8], limit: Int, timeout: Duration
    ) async throws -> ProcessResult {
        do {
            return try await withThrowingTaskGroup(of: Part.self) { group in
                group.addTask {
                    let (bytes, more) = try await drain(out, limit)
                    return .output(bytes, more)
                }
                group.addTask { .error(try await drain(err, limit).0) }
                group.addTask {
                    try await child.ended()
                    return .ended
                }
                if let stdin {
                    group.addTask {
                        try await feed(stdin, input)
                        return .written
                    }
                }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    return .timeout
                }
                var output: ([UInt8], Bool)?
                var error: [UInt8]?
                var ended = false
                while output == nil || error == nil || !ended {
                    switch try await group.next() {
                    case .output(let bytes, let more): output = (bytes, more)
                    case .error(let bytes): error = bytes
                    case .ended: ended = true
                    case .written: break
                    case .timeout, nil:
                        throw EngineError(.timeout, "\(name) did not end within \(timeout)")
                    }
                }
                group.cancelAll()
                let status = try child.reap()
                return ProcessResult(
                    status: status ?? WaitStatus(raw: 0), output: output?.0 ?? [], error: error ?? [],
                    outputTruncated: output?.1 ?? false)
            }
        } catch {
            await end(child)
            throw error
        }
    }

    /// Kills the tool's process group and reaps it, even in a cancelled task.
    private static func end(_ child: Pidfd) async {
        kill(-child.pid, SIGKILL)
        await Task {
            // Nothing more can be done about a child that cannot be waited for.
            try? await child.ended()
            _ = try? child.reap()
        }.value
    }

    private static func drain(_ descriptor: OwnedDescriptor, _ limit: Int) async throws -> ([UInt8], Bool) {
        _ = fcntl(descriptor.raw, F_SETFL, O_RDONLY | O_NONBLOCK)
        var bytes: [UInt8] = []
        var more = false
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor.raw, &buffer, buffer.count)
            if count == 0 { return (bytes, more) }
            if count < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN: try await DescriptorEvents.readable(descriptor)
                default: throw EngineError(.internal, "reading a tool's output: \(String(errno: errno))")
                }
                continue
            }
            let room = limit - bytes.count
            if count > room { more = true }
            bytes.append(contentsOf: buffer[..<min(count, room)])
        }
    }

    /// Writes all of `bytes` and closes; a tool that does not read to the end is no error.
    private static func feed(_ descriptor: OwnedDescriptor, _ bytes: [UInt8]) async throws {
        _ = fcntl(descriptor.raw, F_SETFL, O_WRONLY | O_NONBLOCK)
        defer { descriptor.close() }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { writeWithoutSignal(descriptor.raw, $0) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if count == -Int(EAGAIN) {
                try await DescriptorEvents.writable(descriptor)
            } else if count != -Int(EINTR) {
                return
            }
        }
    }
}

/// write(2) that gives `-EPIPE` and raises no SIGPIPE, whatever the process does with that signal.
private func writeWithoutSignal(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    var pipeSignal = sigset_t()
    var before = sigset_t()
    sigemptyset(&pipeSignal)
    sigaddset(&pipeSignal, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &pipeSignal, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let count = write(descriptor, bytes.baseAddress, bytes.count)
    guard count < 0 else { return count }
    let number = errno
    if number == EPIPE {
        var now = timespec()
        sigtimedwait(&pipeSignal, nil, &now)
    }
    return -Int(number)
}
