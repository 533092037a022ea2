import Glibc
import LinuxHost
import Model

/// A user namespace in which build steps run: its ids 0 to 65535 are ids of the host that nobody else has. It lives as
/// long as this object, kept by a process that does nothing.
final class UserNamespace: Sendable {
    /// First id on the host: the range below those of instances.
    static let base: UInt32 = 0x6fff_0000
    static let size: UInt32 = 65536

    private let holder: Pidfd
    private let input: OwnedDescriptor

    /// Names the namespace, for nsenter(1).
    var path: String { "/proc/\(holder.pid)/ns/user" }

    init() async throws {
        let pipe = try Spawn.pipe()
        // cat(1) ends when its input does, also when this process is killed.
        holder = try Spawn.start("unshare", ["--user", "--", "cat"], streams: Spawn.Streams(input: pipe.read))
        input = pipe.write
        pipe.read.close()
        do { try await map() } catch {
            await end()
            throw error
        }
    }

    private func map() async throws {
        let own = try Self.link("/proc/self/ns/user")
        let clock = ContinuousClock()
        let until = clock.now + .seconds(5)
        while try Self.link(path) == own {
            guard clock.now < until else {
                throw EngineError(
                    .unsupported, "a user namespace for builds cannot be made",
                    hint: "see 'user namespaces' in isle doctor")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        for name in ["uid_map", "gid_map"] {
            let file = "/proc/\(holder.pid)/\(name)"
            let text = Array("0 \(Self.base) \(Self.size)\n".utf8)
            let raw = open(file, O_WRONLY | O_CLOEXEC)
            guard raw >= 0 else { throw EngineError.system(errno, "open \(file)") }
            let descriptor = OwnedDescriptor(raw)
            guard write(descriptor.raw, text, text.count) == text.count else {
                throw EngineError.system(errno, "write \(file)")
            }
        }
    }

    /// Ends the process that keeps the namespace.
    func end() async {
        input.close()
        kill(holder.pid, SIGKILL)
        await Task {
            // Nothing more can be done about a child that cannot be waited for.
            try? await holder.ended()
            _ = try? holder.reap()
        }.value
    }

    private static func link(_ path: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { throw EngineError.system(errno, "read \(path)") }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
