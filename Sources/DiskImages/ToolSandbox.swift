import CHost
import Glibc
import LinuxHost
import Model

/// Runs a tool on files that nobody trusts: in a root folder that holds the system's programs and libraries read-only
/// and the named files, nothing else; without network; as a user that owns nothing, without capabilities or a way to
/// get any; with limits on memory, processor time and what it writes.
struct ToolSandbox: Sendable {
    /// A file as the tool sees it: `/in/<name>`, read-only.
    struct Input: Sendable {
        var name: String
        var file: OwnedDescriptor
    }

    /// Bytes of address space; a tool that wants more fails.
    static let memory: UInt64 = 4 << 30

    /// An empty folder for the sandbox's root to be mounted on; nothing of it shows outside.
    var mountPoint: String
    var inputs: [Input]
    /// The file that the tool may write, seen as `/out`.
    var output: OwnedDescriptor?
    /// User and group id that the tool runs with.
    var user: UInt32
    /// Bytes that the output may get.
    var outputLimit: UInt64
    /// Seconds of processor time.
    var processorTime: Int

    /// Runs `tool` of /usr/bin to its end.
    /// - Parameter codes: exit codes that mean success.
    /// - Parameter onOutput: gets what it writes to standard output, as it comes.
    /// - Throws: `timeout`, `resourceExhausted`, `notFound` (no such tool), `invalidArgument` with the tool's last words.
    func run(
        _ tool: String, _ arguments: [String], timeout: Duration, accepting codes: Set<Int32> = [0],
        onOutput: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> String {
        let (outRead, outWrite) = try Spawn.pipe()
        let (errRead, errWrite) = try Spawn.pipe()
        let null = OwnedDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC))
        let child = try await start(
            tool, arguments, streams: Spawn.Streams(input: null, output: outWrite, error: errWrite))
        outWrite.close()
        errWrite.close()
        let watched = WatchedChild(child: child, tool: tool)
        async let error = runBlocking { Self.drain(errRead) { _ in } }
        async let output = runBlocking { Self.drain(outRead, onOutput) }
        let status = try await watched.wait(timeout: timeout)
        let (outText, errText) = (await output, await error)
        if status.signal != nil || !codes.contains(status.code) { throw failure(status, tool, errText) }
        return outText
    }

    private func failure(_ status: WaitStatus, _ tool: String, _ words: String) -> EngineError {
        switch status.signal {
        case SIGXFSZ:
            return EngineError(
                .resourceExhausted, "\(tool) wrote more than the \(outputLimit) bytes that there is room for")
        case SIGXCPU:
            return EngineError(
                .resourceExhausted, "\(tool) used more than \(processorTime) seconds of processor time")
        case let signal?:
            return EngineError(.invalidArgument, "\(tool) was ended by signal \(signal): the file may be damaged")
        case nil:
            let last = words.split(separator: "\n").suffix(2).joined(separator: "; ")
            return EngineError(.invalidArgument, "\(tool) failed: \(Names.printable(last))")
        }
    }

    private func start(_ tool: String, _ arguments: [String], streams: Spawn.Streams) async throws -> Pidfd {
        let wrapped =
            [
                "--as=\(Self.memory)", "--cpu=\(processorTime):\(processorTime + 5)", "--fsize=\(outputLimit)",
                "--core=0", "--nofile=256",
                "--", "/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--no-new-privs",
                "--inh-caps=-all", "--bounding-set=-all", "--", "/usr/bin/\(tool)",
            ] + arguments
        return try await runOnOwnThread {
            try enter()
            return try Spawn.start(
                "/usr/bin/prlimit", wrapped, environment: ["PATH=/usr/bin", "LC_ALL=C"], streams: streams)
        }
    }

    /// Puts the calling thread, which ends soon, into the sandbox; its child inherits all of it.
    private func enter() throws {
        func check(_ result: Int32, _ action: String) throws {
            guard result >= 0 else { throw EngineError.system(-result, action) }
        }
        let root = mountPoint
        // The descriptors, not paths: what was checked is what is shown.
        func mount(_ file: OwnedDescriptor, _ name: String, readOnly: Bool) throws -> (OwnedDescriptor, String) {
            let tree = isle_thread_clone_mount(file.raw, readOnly ? 1 : 0)
            try check(tree, "prepare \(name) for a sandbox")
            return (OwnedDescriptor(tree), name)
        }
        var mounts = try inputs.map { try mount($0.file, "in/\($0.name)", readOnly: true) }
        if let output { mounts.append(try mount(output, "out", readOnly: false)) }
        try check(isle_thread_private_mounts(), "make a mount namespace")
        try check(isle_thread_no_network(), "make a network namespace")
        let flags = UInt(MS_NOSUID | MS_NODEV)
        try check(isle_thread_mount("tmpfs", root, "tmpfs", flags, "mode=0755,size=1m"), "mount a sandbox on \(root)")
        let tree = try RootDirectory(path: root)
        try tree.makeDirectory("usr")
        try check(isle_thread_bind("/usr", "\(root)/usr", 1), "show /usr in a sandbox")
        let host = try RootDirectory(path: "/")
        for name in ["lib", "lib64", "bin"] {
            switch try host.status(name)?.kind {
            case .symbolicLink: try tree.makeSymbolicLink(name, target: host.readLink(name))
            case .directory:
                try tree.makeDirectory(name)
                try check(isle_thread_bind("/\(name)", "\(root)/\(name)", 1), "show /\(name) in a sandbox")
            default: break
            }
        }
        try tree.makeDirectory("in")
        for (mount, name) in mounts {
            _ = try tree.createFile(name)
            try check(isle_thread_attach_mount(mount.raw, "\(root)/\(name)"), "show \(name) in a sandbox")
        }
        try check(isle_thread_enter_root(root), "enter a sandbox")
    }

    /// Reads to the end, keeping the first 64 KiB.
    private static func drain(_ pipe: OwnedDescriptor, _ onOutput: (String) -> Void) -> String {
        var kept: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(pipe.raw, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return String(decoding: kept, as: UTF8.self) }
            if kept.count < 65536 { kept += buffer[..<count] }
            onOutput(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }
}

/// A child that is killed with all it started when its time is over or the task is cancelled.
private struct WatchedChild: Sendable {
    let child: Pidfd
    let tool: String

    func wait(timeout: Duration) async throws -> WaitStatus {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await child.ended() }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    throw EngineError(.timeout, "\(tool) did not end within \(timeout)")
                }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            // It leads a session, and with it a process group, of its own.
            kill(-child.pid, SIGKILL)
            await Task {
                // Nothing more can be done about a child that cannot be waited for.
                try? await child.ended()
                _ = try? child.reap()
            }.value
            throw error
        }
        return try child.reap() ?? WaitStatus(raw: 0)
    }
}
