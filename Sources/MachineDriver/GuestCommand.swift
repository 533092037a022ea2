import DriverKit
import Glibc
import LinuxHost
import Model
import QMP

/// A short script of the shell in a machine, run to its end through the machine's agent.
struct GuestCommand: Sendable {
    let exec: any ExecFacet
    /// What is done, for messages.
    let machine: InstanceID

    struct Answer: Sendable {
        var code: Int32
        var output: [UInt8]
        var error: String
    }

    /// Bytes of output at most, over which the command fails.
    private static let limit = 64 << 20
    private static let patience = Duration.seconds(120)

    /// - Parameter arguments: `$1`, `$2`, … of the script.
    /// - Throws: `unavailable` without an agent, `unsupported` without a shell.
    func run(_ script: String, _ arguments: [String], input: [UInt8]? = nil) async throws -> Answer {
        let process = ProcessSpec(
            arguments: ["/bin/sh", "-c", script, "sh"] + arguments,
            environment: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"],
            workingDirectory: "/")
        return try await withDeadline(Self.patience, "answer of a command in machine \(machine)") {
            let session: any ExecSession
            do {
                session = try await exec.exec(process, stdio: StdioOptions(openStdin: input != nil))
            } catch let error as EngineError where error.code == .notFound {
                throw EngineError(
                    .unsupported, "the files of machine \(machine) cannot be reached: it has no /bin/sh", cause: error)
            }
            async let output = Self.read(session.streams.output)
            async let words = Self.read(session.streams.error)
            if let input, let end = session.streams.input {
                try await Self.write(input, to: end)
                end.close()
            }
            let (bytes, text) = (try await output, try await words)
            let exit = try await session.wait()
            return Answer(code: exit.code, output: bytes, error: String(decoding: text, as: UTF8.self))
        }
    }

    private static func read(_ descriptor: OwnedDescriptor?) async throws -> [UInt8] {
        guard let descriptor else { return [] }
        _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor.raw, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR else {
                    throw EngineError.system(errno, "read a command's output")
                }
                try await DescriptorEvents.readable(descriptor)
                continue
            }
            bytes += buffer[..<count]
            guard bytes.count <= limit else {
                throw EngineError(.resourceExhausted, "a command in the machine answered more than \(limit) bytes")
            }
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: OwnedDescriptor) async throws {
        _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor.raw, $0.baseAddress, $0.count) }
            if count < 0 {
                // The command does not want the rest: its exit code says why.
                if errno == EPIPE { return }
                guard errno == EAGAIN || errno == EINTR else {
                    throw EngineError.system(errno, "write a command's input")
                }
                try await Task.sleep(for: .milliseconds(2))
                continue
            }
            rest = rest.dropFirst(count)
        }
    }
}
