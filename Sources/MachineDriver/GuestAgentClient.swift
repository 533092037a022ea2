import FoundationEssentials
import LinuxHost
import Model
import QMP

/// Speaks to qemu-guest-agent in a guest (qemu-ga-ref(7)). Each command has a connection of its own, since the port's
/// socket serves one at a time and the agent may come and go with the guest.
struct GuestAgentClient: Sendable {
    let path: String

    /// Runs a command.
    /// - Throws: `unavailable` if no agent answers within `patience`, else the agent's own words as `internal`.
    @discardableResult
    func execute(_ command: String, _ arguments: [String: JSONValue] = [:], patience: Duration = .seconds(5))
        async throws -> JSONValue
    {
        let stream = try await UnixStream.connect(path)
        defer { stream.close() }
        do {
            return try await withDeadline(patience, "answer of qemu-guest-agent") {
                try await converse(stream, command, arguments)
            }
        } catch let error as EngineError where error.code == .timeout {
            throw EngineError(
                .unavailable, "no agent answers in the machine: it is still booting, or has no qemu-guest-agent",
                hint: "try again when it has booted; isle console shows how far it is")
        }
    }

    private func converse(_ stream: UnixStream, _ command: String, _ arguments: [String: JSONValue]) async throws
        -> JSONValue
    {
        // 0xff makes the agent forget half a command that somebody left; its answer to the sync has 0xff in front.
        let token = Int64.random(in: 1...Int64(Int32.max))
        stream.send([0xff] + line("guest-sync-delimited", ["id": .integer(token)]))
        var lines = LineReader(limit: 32 << 20)
        var isSynced = false
        while true {
            let bytes = try await stream.read()
            guard !bytes.isEmpty else { throw EngineError(.unavailable, "the machine has ended") }
            for received in try lines.append(bytes.filter { $0 != 0xff }) {
                guard let answer = try? JSONDecoder().decode(JSONValue.self, from: Data(received)) else { continue }
                if isSynced {
                    if let error = answer["error"] {
                        throw EngineError(
                            .internal,
                            "qemu-guest-agent refused \(command): \(error["desc"]?.text ?? "no reason given")")
                    }
                    return answer["return"] ?? .null
                }
                if answer["return"]?.integer == token {
                    isSynced = true
                    stream.send(line(command, arguments))
                }
            }
        }
    }

    private func line(_ command: String, _ arguments: [String: JSONValue]) -> [UInt8] {
        var message: [String: JSONValue] = ["execute": .string(command)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        return Array(JSONValue.object(message).encoded.utf8) + [10]
    }
}
