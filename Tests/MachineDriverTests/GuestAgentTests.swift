import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model
import QMP
import Testing

@testable import MachineDriver

/// The client of qemu-guest-agent against a socket that plays the agent.
@Suite(.timeLimit(.minutes(1)))
struct GuestAgentTests {
    /// Answers each line that arrives with what `answer` makes of it, one connection after another.
    private func serve(_ answer: @escaping @Sendable (JSONValue) -> String?) throws -> (
        path: String, task: Task<Void, Never>
    ) {
        let path = "/tmp/isle-qga-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        let listener = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, listen(listener.raw, 4) == 0 else { throw EngineError(.internal, "bind: \(errno)") }
        let task = Task {
            while !Task.isCancelled {
                do {
                    try await DescriptorEvents.readable(listener)
                    let stream = UnixStream(OwnedDescriptor(accept(listener.raw, nil, nil)))
                    var lines = LineReader(limit: 1 << 20)
                    while true {
                        let bytes = try await stream.read()
                        if bytes.isEmpty { break }
                        for line in try lines.append(bytes.filter { $0 != 0xff }) {
                            let message = try JSONDecoder().decode(JSONValue.self, from: Data(line))
                            if message["execute"]?.text == "guest-sync-delimited" {
                                let id = message["arguments"]?["id"]?.integer ?? 0
                                // Left over from somebody else's conversation, then the answer.
                                stream.send(
                                    Array("{\"return\": 5}\n".utf8) + [0xff] + Array("{\"return\": \(id)}\n".utf8))
                            } else if let text = answer(message) {
                                stream.send(Array((text + "\n").utf8))
                            }
                        }
                    }
                } catch { return }
            }
        }
        return (path, task)
    }

    @Test func runsAProgram() async throws {
        let (path, task) = try serve { message in
            switch message["execute"]?.text {
            case "guest-exec":
                message["arguments"]?["path"]?.text == "/bin/sh"
                    ? #"{"return": {"pid": 42}}"# : #"{"error": {"desc": "no"}}"#
            case "guest-exec-status":
                #"{"return": {"exited": true, "exitcode": 3, "out-data": "aGVsbG8K", "err-data": "YmFkCg=="}}"#
            default: nil
            }
        }
        defer {
            task.cancel()
            unlink(path)
        }
        let fixture = try MachineFixture()
        let exec = GuestAgentExec(client: GuestAgentClient(path: path))
        let session = try await exec.exec(ProcessSpec(arguments: ["/bin/sh", "-c", "x"]), stdio: StdioOptions())
        #expect(try await fixture.readAll(session.streams.output) == "hello\n")
        #expect(try await fixture.readAll(session.streams.error) == "bad\n")
        #expect(try await session.wait().code == 3)
        let error = await #expect(throws: EngineError.self) {
            _ = try await exec.exec(ProcessSpec(arguments: ["/bin/no"]), stdio: StdioOptions())
        }
        #expect(error?.message.contains("no") == true)
        let terminal = await #expect(throws: EngineError.self) {
            _ = try await exec.exec(ProcessSpec(arguments: ["sh"]), stdio: StdioOptions(terminal: true))
        }
        #expect(terminal?.code == .unsupported)
    }

    @Test func inputIsTakenToItsEndAndFailuresHaveTheShellsCodes() async throws {
        let (path, task) = try serve { message in
            let arguments = message["arguments"]
            switch message["execute"]?.text {
            case "guest-ping": return #"{"return": {}}"#
            case "guest-exec" where arguments?["path"]?.text == "/bin/no":
                return #"{"error": {"desc": "Failed to execute child process “/bin/no” (No such file or directory)"}}"#
            case "guest-exec":
                return arguments?["input-data"]?.text == "aGVsbG8K"
                    ? #"{"return": {"pid": 7}}"# : #"{"error": {"desc": "x"}}"#
            case "guest-exec-status": return #"{"return": {"exited": true, "exitcode": 0, "out-data": "aGVsbG8K"}}"#
            default: return nil
            }
        }
        defer {
            task.cancel()
            unlink(path)
        }
        let fixture = try MachineFixture()
        let exec = GuestAgentExec(client: GuestAgentClient(path: path))
        let session = try await exec.exec(ProcessSpec(arguments: ["/bin/cat"]), stdio: StdioOptions(openStdin: true))
        let early = await #expect(throws: EngineError.self) { try await session.signal(15) }
        #expect(early?.code == .conflict)
        let input = try #require(session.streams.input)
        _ = write(input.raw, "hello\n", 6)
        input.close()
        #expect(try await fixture.readAll(session.streams.output) == "hello\n")
        #expect(try await session.wait().code == 0)
        let missing = await #expect(throws: EngineError.self) {
            _ = try await exec.exec(ProcessSpec(arguments: ["/bin/no"]), stdio: StdioOptions())
        }
        #expect(missing?.code == .notFound)
        let late = try await exec.exec(ProcessSpec(arguments: ["/bin/no"]), stdio: StdioOptions(openStdin: true))
        late.streams.input?.close()
        #expect(try await fixture.readAll(late.streams.error).contains("/bin/no"))
        #expect(try await late.wait().code == 127)
    }

    @Test func aProgramWithInputIsRefusedBeforeItsInputIsTaken() async throws {
        let (path, task) = try serve { _ in nil }
        defer {
            task.cancel()
            unlink(path)
        }
        let exec = GuestAgentExec(client: GuestAgentClient(path: path))
        let error = await #expect(throws: EngineError.self) {
            _ = try await exec.exec(ProcessSpec(arguments: ["/bin/cat"]), stdio: StdioOptions(openStdin: true))
        }
        #expect(error?.code == .unavailable)
    }

    @Test func silenceIsAnAbsentAgent() async throws {
        let (path, task) = try serve { _ in nil }
        defer {
            task.cancel()
            unlink(path)
        }
        let client = GuestAgentClient(path: path)
        let error = await #expect(throws: EngineError.self) {
            try await client.execute("guest-ping", patience: .milliseconds(200))
        }
        #expect(error?.code == .unavailable)
    }
}
