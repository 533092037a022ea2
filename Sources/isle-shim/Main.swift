import CHost

/// `isle-shim DIRECTORY`: owns one running instance. Standard input is a memory file with the encoded `ShimSpec`;
/// standard output takes one `ShimReply`: `started` with the shim's pid when all is ready, else `failed`.
///
/// `isle-shim forward …`: passes connections on between the host and a running instance (`Forwarder`).
@main
struct IsleShim {
    static func main() {
        if let program = ContainerInit.program() { ContainerInit.run(program) }
        let arguments = commandLine()
        if arguments.count > 1, arguments[1].utf8.elementsEqual("forward".utf8) { Forwarder.main(arguments) }
        let spec: ShimSpec
        switch readSpec() {
        case .success(let value): spec = value
        case .failure(let failure): report(.failed(failure), on: 1, exit: 1)
        }
        // The first process ends at once, so that the shim is a child of init and nobody has to reap it.
        let pid = isle_fork(0)
        if pid < 0 { report(.failed(failure("making a process", pid)), on: 1, exit: 1) }
        if pid > 0 { leave(0) }
        run(spec)
    }

    /// This process's own arguments (proc_pid_cmdline(5)).
    private static func commandLine() -> [String] {
        var words: [String] = []
        for word in (readFile("/proc/self/cmdline") ?? []).split(separator: 0, omittingEmptySubsequences: false) {
            words.append(String(decoding: word, as: UTF8.self))
        }
        return words
    }

    private static func readSpec() -> Result<ShimSpec, ShimFailure> {
        guard case .success(let bytes) = readAll(0, limit: 4 << 20) else {
            return .failure(ShimFailure(.invalid, "reading the spec from standard input"))
        }
        guard let spec = try? ShimSpec(decoding: bytes) else {
            return .failure(ShimFailure(.invalid, "the spec on standard input is damaged"))
        }
        guard spec.directory.utf8.first == 0x2F else {
            return .failure(ShimFailure(.invalid, "the run directory is not an absolute path"))
        }
        return .success(spec)
    }

    private static func run(_ spec: ShimSpec) {
        // Out of the way of what becomes 0, 1 and 2.
        let status = isle_duplicate(1, 3)
        do throws(ShimFailure) {
            let loop: Loop
            let instance: Instance
            let connections: Connections
            do throws(ShimFailure) {
                try detach(keeping: status)
                loop = try Loop()
                instance = try prepare(spec, loop)
                connections = try Connections(instance)
            } catch {
                removeFiles(spec.directory)
                throw error
            }
            recordProcess(isle_pid(), in: spec.directory + "/shim.pid")
            _ = writeAll(status, ShimReply.started(pid: isle_pid()).encoded())
            isle_close(status)
            withExtendedLifetime((connections, instance)) { loop.run() }
            leave(0)
        } catch {
            report(.failed(error), on: status, exit: 1)
        }
    }

    /// Cuts what ties the process to the one that started it.
    private static func detach(keeping status: Int32) throws(ShimFailure) {
        try check(isle_setsid(), "making a session")
        try check(isle_chdir("/"), "entering /")
        _ = isle_umask(0o022)
        let null = try check(isle_open_null(), "opening /dev/null")
        for stream in [Int32(0), 1, 2] { try check(isle_set_stream(null, stream), "setting a standard stream") }
        isle_close(null)
        try check(isle_subreaper(), "becoming a subreaper")
        // An out-of-memory kill should hit the instance, not what keeps its exit status. Not every host allows it.
        writeFile("/proc/self/oom_score_adj", [0x2D, 0x39, 0x30, 0x30])
    }

    private static func prepare(_ spec: ShimSpec, _ loop: Loop) throws(ShimFailure) -> Instance {
        let signals = try check(isle_child_signals(), "waiting for signals")
        let directory = try check(isle_open_path(spec.directory), "opening the run directory " + spec.directory)
        let log = try Log(spec)
        let namespaces = try Namespaces(
            identity: spec.identity, network: spec.newNetwork, joins: spec.joins)
        try Mounts.enterNamespace()
        try namespaces.show(in: spec.directory)
        let mounts = Mounts(namespaces: namespaces, identity: spec.identity, directory: spec.directory)
        for mount in spec.mounts { try mounts.perform(mount) }
        let instance = Instance(spec, loop, log, namespaces, directory: directory)
        try instance.reserveExitRecord()
        // The child that held the namespaces has ended by now or will soon; nobody waits for it.
        let watcher = loop.add(signals, Int(ISLE_EPOLLIN)) { _ in
            isle_drain_signals(signals)
            instance.children.reap()
        }
        guard watcher != nil else { throw ShimFailure(.system, "waiting for signals") }
        return instance
    }

    private static func removeFiles(_ directory: String) {
        for name in ["shim.sock", "shim.pid", "exit.new", "ns/user", "ns/net", "ns/pid", "ns/ipc", "ns/uts", "empty"] {
            _ = isle_unlink(directory + "/" + name)
        }
        _ = isle_rmdir(directory + "/ns")
    }

    private static func report(_ reply: ShimReply, on descriptor: Int32, exit code: Int32) -> Never {
        _ = writeAll(descriptor, reply.encoded())
        leave(code)
    }
}
