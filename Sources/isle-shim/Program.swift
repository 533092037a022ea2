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

    /// To be called in the child: the things every program gets, before what is special about it.
    func prepare() throws(ShimFailure) {
        isle_default_signals()
        for cgroup in cgroups {
            let path = cgroup + "/cgroup.procs"
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

    /// Forks into `namespaces` and runs `body` there, which returns only if it fails.
    init(namespaces: UInt = 0, _ body: () -> ShimFailure) throws(ShimFailure) {
        let pipe = try Pipe()
        pid = isle_fork(namespaces)
        if pid == 0 {
            let reply = ShimReply.failed(body())
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
