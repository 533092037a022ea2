import Glibc
import LinuxHost
import Model

/// Runs buildah(1) in namespaces of its own: it sees its folder, mounts of its own and processes of its own, is root
/// over ids that mean nothing on the host, and is gone with all it started when its task is cancelled.
struct BuildSandbox: Sendable {
    /// Folder of builds in the state folder, which only root may enter.
    let folder: String
    /// Where the sandbox shows it.
    let shown: String

    /// The fixed steps from the host into the sandbox; what varies comes as arguments.
    private static let script = """
        mount --bind "$1" "$2" && cd "$2" && space="$3" && shift 3 && exec nsenter --user="$space" --setuid 0 --setgid 0 -- "$@"
        """

    /// Arguments that every call of buildah has.
    private var common: [String] {
        [
            "--root", "\(shown)/storage", "--runroot", "\(shown)/running", "--storage-driver", "overlay",
        ]
    }

    /// Runs `buildah COMMAND`.
    /// - Parameter withNetwork: else there is none.
    /// - Parameter onLine: gets the lines of both streams as they come.
    /// - Throws: `CancellationError`; `internal` with the last words for any exit code but 0.
    func run(
        _ command: [String], withNetwork: Bool = true, onLine: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> String {
        let space = try await UserNamespace()
        do {
            let text = try await run(command, space, withNetwork, onLine)
            await space.end()
            return text
        } catch {
            await space.end()
            throw error
        }
    }

    private func run(
        _ command: [String], _ space: UserNamespace, _ withNetwork: Bool, _ onLine: @escaping @Sendable (String) -> Void
    ) async throws -> String {
        var arguments = ["--mount", "--propagation", "private", "--", "sh", "-c", Self.script, "sh", folder, shown]
        arguments += [space.path, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if !withNetwork { arguments.append("--net") }
        arguments += ["--", "buildah"] + common + command
        let (outRead, outWrite) = try Spawn.pipe()
        let (errRead, errWrite) = try Spawn.pipe()
        let streams = Spawn.Streams(output: outWrite, error: errWrite)
        let (all, environment) = (arguments, environment)
        let child = try await runBlocking {
            try Spawn.start("unshare", all, environment: environment, streams: streams)
        }
        outWrite.close()
        errWrite.close()
        async let outText = runBlocking { LineReader.read(outRead, onLine) }
        async let errText = runBlocking { LineReader.read(errRead, onLine) }
        do {
            try await child.ended()
        } catch {
            // A session, and with it a process group, of its own; the first process of the inner namespace goes with it.
            kill(-child.pid, SIGKILL)
            await Task {
                try? await child.ended()
                _ = try? child.reap()
            }.value
            _ = (await outText, await errText)
            throw CancellationError()
        }
        let (text, words) = (await outText, await errText)
        let status = try child.reap() ?? WaitStatus(raw: 0)
        guard status.isSuccess else {
            let lines = words.split(separator: "\n").filter { !$0.hasPrefix("time=") }
            let last = lines.suffix(2).joined(separator: "; ")
            throw EngineError(
                .invalidArgument, last.isEmpty ? "buildah ended with \(status.code)" : Self.plain(last),
                hint: nil)
        }
        return text
    }

    /// Without buildah's own `Error: `.
    private static func plain(_ text: String) -> String {
        text.hasPrefix("Error: ") ? String(text.dropFirst("Error: ".utf8.count)) : text
    }

    private var environment: [String] {
        var values = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=\(shown)/home",
            "TMPDIR=\(shown)/tmp", "XDG_RUNTIME_DIR=\(shown)/running", "BUILDAH_ISOLATION=chroot", "LC_ALL=C.UTF-8",
            // It is root in a user namespace already and need not make one.
            "_CONTAINERS_USERNS_CONFIGURED=done", "_CONTAINERS_ROOTLESS_UID=0",
        ]
        for name in ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
            if let value = getenv(name) { values.append("\(name)=\(String(cString: value))") }
        }
        return values
    }
}

/// Reads a stream line by line to its end; blocks.
enum LineReader {
    /// Bytes that are kept of the whole stream, and of one line.
    private static let keep = 256 << 10
    private static let longest = 16 << 10

    static func read(_ pipe: OwnedDescriptor, _ onLine: (String) -> Void) -> String {
        var kept: [UInt8] = []
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        func finish() {
            onLine(String(decoding: line, as: UTF8.self))
            line.removeAll(keepingCapacity: true)
        }
        while true {
            let count = Glibc.read(pipe.raw, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            kept += buffer[..<count]
            if kept.count > keep { kept.removeFirst(kept.count - keep) }
            for byte in buffer[..<count] {
                if byte == UInt8(ascii: "\n") || line.count >= longest {
                    finish()
                } else {
                    line.append(byte)
                }
            }
        }
        if !line.isEmpty { finish() }
        return String(decoding: kept, as: UTF8.self)
    }
}
