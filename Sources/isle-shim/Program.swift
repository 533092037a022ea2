import CHost

/// A program to be executed by a child of the shim.
struct Program {
    var arguments: [String]
    /// Nil passes on the shim's own.
    var environment: [String]?
    var cgroups: [String]
    /// What becomes standard input, output and error.
    var input: Int32
    var output: Int32
    var error: Int32
    /// Standard input is a terminal, to be made the controlling one.
    var terminal = false
    /// The control group that the child is in from its first moment; empty for none.
    private var born = ""

    init(
        arguments: [String], environment: [String]?, cgroups: [String], input: Int32, output: Int32, error: Int32,
        terminal: Bool = false
    ) {
        self.arguments = arguments
        self.environment = environment
        self.cgroups = cgroups
        self.input = input
        self.output = output
        self.error = error
        self.terminal = terminal
    }

    /// fork(2), if possible into the control group of the unified tree: 0 in the child, the child's pid, or -errno.
    mutating func fork(namespaces: UInt = 0) -> Int32 {
        for cgroup in cgroups where !Self.isLegacy(cgroup) {
            let folder = isle_open_path(cgroup)
            guard folder >= 0 else { break }
            defer { isle_close(folder) }
            born = cgroup
            let pid = isle_fork_into(namespaces, folder)
            if pid >= 0 { return pid }
            // An older kernel, or a group that says more about it when it is joined.
            born = ""
            break
        }
        return isle_fork(namespaces)
    }

    /// A group of a v1 tree has a file of threads.
    private static func isLegacy(_ cgroup: String) -> Bool {
        let file = isle_open_path(cgroup + "/tasks")
        if file >= 0 { isle_close(file) }
        return file >= 0
    }

    /// To be called in the child: the things every program gets, before what is special about it.
    func prepare() throws(ShimFailure) {
        isle_default_signals()
        for cgroup in cgroups where cgroup != born {
            // This process has one thread. To move its own thread, which only v1 can, it needs none of the lock that
            // moving a process takes: that waits up to 10 ms for an RCU grace period.
            let path = cgroup + (Self.isLegacy(cgroup) ? "/tasks" : "/cgroup.procs")
            try check(writeFile(path, [0x30]), "joining the control group " + cgroup)
        }
        // The shim's own score must not protect the instance.
        writeFile("/proc/self/oom_score_adj", [0x30])
        try check(isle_setsid(), "making a session")
        try check(isle_set_stream(input, 0), "setting standard input")
        try check(isle_set_stream(output, 1), "setting standard output")
        try check(isle_set_stream(error, 2), "setting standard error")
        if terminal { try check(isle_controlling_terminal(0), "making the terminal the controlling one") }
    }

    /// Executes it; returns only on failure.
    func execute() -> ShimFailure {
        guard let name = arguments.first else { return ShimFailure(.invalid, "there is no program to execute") }
        let result = withVector(arguments) { argv in
            guard let environment else { return isle_execute(argv, isle_own_environment()) }
            return withVector(environment) { isle_execute(argv, $0) }
        }
        let kind: ShimFailure.Kind =
            switch -result {
            case ENOENT, ENOTDIR: .notFound
            case EACCES, ENOEXEC, ELIBBAD, EISDIR: .notExecutable
            default: .system
            }
        return failure("executing " + name, result, kind)
    }

    /// Calls `body` with a null-terminated vector of C strings. They are not freed: the process is about to end.
    private func withVector(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Int32)
        -> Int32
    {
        var pointers: [UnsafeMutablePointer<CChar>?] = []
        for text in strings { pointers.append(isle_copy_string(text)) }
        pointers.append(nil)
        return pointers.withUnsafeBufferPointer { buffer in buffer.baseAddress.map { body($0) } ?? -EINVAL }
    }
}

/// A child that tells whether it could be executed: the descriptor is at end of file once it was, else it holds a
/// `ShimReply.failed`.
struct StartingChild {
    var pid: Int32
    var report: Int32

    /// Forks for `program` into `namespaces` and runs `body` there, which returns only if it fails.
    init(_ program: Program, namespaces: UInt = 0, _ body: (Program) -> ShimFailure) throws(ShimFailure) {
        let pipe = try Pipe()
        var program = program
        pid = program.fork(namespaces: namespaces)
        if pid == 0 {
            let reply = ShimReply.failed(body(program))
            _ = writeAll(pipe.write, reply.encoded())
            leave(127)
        }
        isle_close(pipe.write)
        report = pipe.read
        if pid < 0 {
            isle_close(report)
            throw failure("making a process", pid)
        }
    }

    /// What it reported; nil if it was executed. To be called when `report` is readable.
    func outcome() -> ShimFailure? {
        defer { isle_close(report) }
        guard case .success(let bytes) = readAll(report, limit: 1 << 16), !bytes.isEmpty else { return nil }
        if let reply = try? ShimReply(decoding: bytes), case .failed(let failure) = reply { return failure }
        return ShimFailure(.system, "starting a process: its report is not understood")
    }
}
