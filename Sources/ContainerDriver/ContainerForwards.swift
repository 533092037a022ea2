import DriverKit
import Glibc
import LinuxHost
import Model

// Processes that pass connections on: `isle-shim forward`.
extension ContainerDevices {
    func open(_ forward: ForwardSpec) async throws {
        let (pid, owners) = try await context()
        func id(_ id: UInt32, _ side: ForwardSpec.Side, _ kind: IDRange.Kind) throws -> String {
            String(side == .instance ? try owners.outside(id, kind) : id)
        }
        let arguments = [
            "forward", handle.paths.directory, forward.name, String(pid), forward.listenSide.rawValue,
            forward.listen.description, forward.connectSide.rawValue, forward.connect.description,
            String(forward.mode), try id(forward.owner, forward.listenSide, .user),
            try id(forward.group, forward.listenSide, .group),
            try id(forward.user, forward.connectSide, .user), try id(forward.primaryGroup, forward.connectSide, .group),
            forward.hasHeader ? "1" : "0",
        ]
        let result = try await ProcessRunner.run(handle.shim, arguments, limit: 4096, timeout: .seconds(10))
        guard result.outputText != "ok\n" else { return }
        throw EngineError(
            .conflict,
            "proxy device \(Names.quoted(forward.name)) of instance \(handle.state.name): \(result.lastWords)",
            hint: "choose another address to listen on")
    }

    func close(forward name: String) async throws {
        let file = "\(handle.paths.directory)/forward-\(name).pid"
        guard let text = try? readSmallFile(file) else { return }
        let words = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let pid = Int32(words[0]), pid > 1, Self.startTime(of: pid) == words[1] else {
            unlink(file)
            return
        }
        // It leads a group, in which are those that serve connections.
        kill(-pid, SIGKILL)
        for _ in 0..<200 where Self.startTime(of: pid) == words[1] { try await Task.sleep(for: .milliseconds(5)) }
        unlink(file)
    }

    /// Field 22 of proc_pid_stat(5); nil for a process that is gone.
    private static func startTime(of pid: Int32) -> Substring? {
        guard let bytes = try? readSmallFile("/proc/\(pid)/stat") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let name = text.lastIndex(of: ")") else { return nil }
        let fields = text[name...].split(separator: " ")
        // A process that has ended and waits to be reaped is gone too.
        guard fields.count > 20, fields[1] != "Z" else { return nil }
        return fields[20]
    }
}
