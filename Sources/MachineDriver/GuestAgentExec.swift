import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model
import QMP
import Synchronization

/// Programs in a guest that has qemu-guest-agent: without a terminal; input is taken to its end before the program starts,
/// output is delivered when it has ended.
struct GuestAgentExec: ExecFacet {
    let client: GuestAgentClient

    func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession {
        guard !stdio.terminal else {
            throw EngineError(
                .unsupported, "qemu-guest-agent has no terminals",
                hint: "run it without a terminal, or use the machine's console")
        }
        guard let program = process.arguments.first else {
            throw EngineError(.invalidArgument, "no program given")
        }
        var arguments = Array(process.arguments.dropFirst())
        var path = program
        // The protocol knows neither user nor folder: the guest's own tools do that.
        if let user = process.user, user != "root", user != "0" {
            arguments = ["-u", user, "--", path] + arguments
            path = "/usr/sbin/runuser"
        }
        if let folder = process.workingDirectory, folder != "/" {
            arguments = ["-C", folder, path] + arguments
            path = "/usr/bin/env"
        }
        let command: [String: JSONValue] = [
            "path": .string(path), "arg": .array(arguments.map { .string($0) }),
            "env": .array(process.environment.map { .string($0) }), "capture-output": .bool(true),
        ]
        let start = GuestAgentStart(client: client, command: command, program: program)
        guard stdio.openStdin else { return try GuestAgentSession(client: client, pid: try await start.run(nil)) }
        // Said now and not when the input has ended: a guest that is still booting has no agent yet.
        try await client.execute("guest-ping")
        return try GuestAgentSession(client: client, start: start)
    }
}

/// Starts one program.
struct GuestAgentStart: Sendable {
    let client: GuestAgentClient
    let command: [String: JSONValue]
    let program: String

    /// - Returns: its process id in the guest.
    /// - Throws: `notFound` or `invalidArgument` for a program that cannot be executed.
    func run(_ input: [UInt8]?) async throws -> Int64 {
        var command = command
        if let input { command["input-data"] = .string(Data(input).base64EncodedString()) }
        let answer: JSONValue
        do {
            // Much input takes its time over the port; else silence means that there is no agent.
            answer = try await client.execute(
                "guest-exec", command, patience: input == nil ? .seconds(5) : .seconds(30))
        } catch let error as EngineError where error.code == .internal {
            // GLib's words for what execve(2) says.
            let name = Names.quoted(program)
            if error.message.contains("No such file or directory") {
                throw EngineError(.notFound, "program \(name) is not in the machine", cause: error)
            }
            if error.message.contains("Permission denied") || error.message.contains("Exec format error") {
                throw EngineError(.invalidArgument, "program \(name) cannot be executed in the machine", cause: error)
            }
            throw error
        }
        guard let pid = answer["pid"]?.integer else {
            throw EngineError(.unavailable, "qemu-guest-agent did not say whether it started \(Names.quoted(program))")
        }
        return pid
    }
}

private final class GuestAgentSession: ExecSession {
    /// Process id in the guest; nil until it was started.
    private final class Started: Sendable {
        let pid = Mutex<Int64?>(nil)
    }

    let streams: SessionStreams
    private let client: GuestAgentClient
    private let started = Started()
    private let outcome: Task<ExitRecord, any Error>

    /// Bytes of input: the agent takes a command as one line of a bounded length.
    private static let inputLimit = 8 << 20

    /// A program that runs.
    init(client: GuestAgentClient, pid: Int64) throws {
        self.client = client
        started.pid.withLock { $0 = pid }
        let output = try Spawn.pipe()
        let error = try Spawn.pipe()
        streams = SessionStreams(input: nil, output: output.read, error: error.read)
        outcome = Task { try await GuestAgentSession.follow(client, pid, output.write, error.write) }
    }

    /// A program that is started when its input has ended. Its failure to start is told on standard error and by the exit
    /// codes of a shell.
    init(client: GuestAgentClient, start: GuestAgentStart) throws {
        self.client = client
        let input = try Spawn.pipe()
        let output = try Spawn.pipe()
        let error = try Spawn.pipe()
        streams = SessionStreams(input: input.write, output: output.read, error: error.read)
        outcome = Task { [started] in
            do {
                let bytes = try await GuestAgentSession.readAll(input.read)
                let pid = try await start.run(bytes)
                started.pid.withLock { $0 = pid }
                return try await GuestAgentSession.follow(client, pid, output.write, error.write)
            } catch let failure as EngineError where [.notFound, .invalidArgument].contains(failure.code) {
                try await GuestAgentSession.write(Array("\(failure.message)\n".utf8), to: error.write)
                for end in [output.write, error.write] { end.close() }
                return ExitRecord(
                    code: failure.code == .notFound ? 127 : 126, finishedAt: Clock.seconds(), reason: failure.message)
            }
        }
    }

    deinit {
        outcome.cancel()
    }

    private static func readAll(_ descriptor: OwnedDescriptor) async throws -> [UInt8] {
        _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor.raw, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR else {
                    throw EngineError.system(errno, "read the program's input")
                }
                try await DescriptorEvents.readable(descriptor)
                continue
            }
            bytes += buffer[..<count]
            guard bytes.count <= inputLimit else {
                throw EngineError(.invalidArgument, "qemu-guest-agent takes \(inputLimit) bytes of input at most")
            }
        }
    }

    private static func follow(
        _ client: GuestAgentClient, _ pid: Int64, _ output: OwnedDescriptor, _ error: OwnedDescriptor
    ) async throws -> ExitRecord {
        var pause = Duration.milliseconds(50)
        while true {
            let status = try await client.execute("guest-exec-status", ["pid": .integer(pid)], patience: .seconds(30))
            guard status["exited"]?.flag == true else {
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(1))
                continue
            }
            for (key, descriptor) in [("out-data", output), ("err-data", error)] {
                let text = status[key]?.text ?? ""
                try await write([UInt8](Data(base64Encoded: text) ?? Data()), to: descriptor)
                descriptor.close()
            }
            let signal = status["signal"]?.integer.map { Int32(truncatingIfNeeded: $0) }
            let code = signal.map { 128 + $0 } ?? Int32(truncatingIfNeeded: status["exitcode"]?.integer ?? 0)
            return ExitRecord(code: code, signal: signal, finishedAt: Clock.seconds())
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: OwnedDescriptor) async throws {
        let pump = OutputPump(descriptor)
        for start in stride(from: 0, to: bytes.count, by: 16384) {
            let chunk = Array(bytes[start..<min(start + 16384, bytes.count)])
            while !pump.append(chunk) { try await Task.sleep(for: .milliseconds(5)) }
        }
        await pump.drained()
    }

    func resize(_ size: TerminalSize) async throws {}

    func signal(_ number: Int32) async throws {
        guard let pid = started.pid.withLock({ $0 }) else {
            throw EngineError(.conflict, "the program has not started: it waits for the end of its input")
        }
        // The shell's own: kill(1) is not everywhere.
        try await client.execute(
            "guest-exec",
            ["path": .string("/bin/sh"), "arg": .array([.string("-c"), .string("kill -\(number) \(pid)")])])
    }

    func wait() async throws -> ExitRecord { try await outcome.value }
}
