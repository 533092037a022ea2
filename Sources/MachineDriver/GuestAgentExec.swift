import DriverKit
import FoundationEssentials
import LinuxHost
import Model
import QMP
import Synchronization

/// Programs in a guest that has qemu-guest-agent: without input and terminal, output delivered when they have ended.
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
        let answer = try await client.execute(
            "guest-exec",
            [
                "path": .string(path), "arg": .array(arguments.map { .string($0) }),
                "env": .array(process.environment.map { .string($0) }), "capture-output": .bool(true),
            ])
        guard let pid = answer["pid"]?.integer else {
            throw EngineError(.unavailable, "qemu-guest-agent did not say whether it started \(Names.quoted(program))")
        }
        return try GuestAgentSession(client: client, pid: pid)
    }
}

private final class GuestAgentSession: ExecSession {
    let streams: SessionStreams
    private let client: GuestAgentClient
    private let pid: Int64
    private let outcome: Task<ExitRecord, any Error>

    init(client: GuestAgentClient, pid: Int64) throws {
        self.client = client
        self.pid = pid
        let output = try Spawn.pipe()
        let error = try Spawn.pipe()
        streams = SessionStreams(input: nil, output: output.read, error: error.read)
        outcome = Task { try await GuestAgentSession.follow(client, pid, output.write, error.write) }
    }

    deinit { outcome.cancel() }

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
        try await client.execute(
            "guest-exec",
            [
                "path": .string("/bin/kill"),
                "arg": .array([.string("-\(number)"), .string("\(pid)")]),
            ])
    }

    func wait() async throws -> ExitRecord { try await outcome.value }
}
