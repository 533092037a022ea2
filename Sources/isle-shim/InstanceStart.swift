import CHost

// How the first process is started: by a runtime, or by the shim itself.
extension Instance {
    func startRuntime(_ arguments: [String], _ pidFile: String) throws(ShimFailure) {
        var console: Console?
        if spec.terminal { console = try Console(0, in: directory, path: spec.directory, size: size, loop) }
        var words: [String] = []
        for argument in arguments {
            if argument.utf8.elementsEqual("{console}".utf8) {
                words.append(console.map { $0.path } ?? "")
            } else if argument.utf8.elementsEqual("{shim}".utf8) {
                words.append(decimal(isle_pid()))
            } else {
                words.append(argument)
            }
        }
        _ = isle_unlink(pidFile)
        let streams: Streams
        do throws(ShimFailure) {
            streams = try Streams(openStdin: spec.openStdin && !spec.terminal)
        } catch {
            dropConsole(console)
            throw error
        }
        var program = Program(
            arguments: words, environment: nil, cgroups: spec.cgroups, input: streams.childInput,
            output: streams.childOutput, error: streams.childError)
        let runtime = program.fork()
        if runtime == 0 { Self.become(program) }
        streams.closeChildEnds()
        if runtime < 0 {
            streams.closeOwnEnds()
            dropConsole(console)
            throw failure("making a process", runtime)
        }
        children.expect(runtime) { [self] status in
            let master = console.map { $0.finish() } ?? -1
            runtimeEnded(status, pidFile, streams, master)
        }
    }

    /// Runs a program whose standard error takes the reason when that does not work.
    static func become(_ program: Program) -> Never {
        do {
            try program.prepare()
            tell(program.execute())
        } catch {
            tell(error)
        }
    }

    private static func tell(_ failure: ShimFailure) -> Never {
        var text: [UInt8] = []
        text.append(contentsOf: failure.text.utf8)
        text.append(0x0A)
        _ = writeAll(2, text)
        leave(127)
    }

    private func runtimeEnded(_ status: Int32, _ pidFile: String, _ streams: Streams, _ master: Int32) {
        func fail(_ failure: ShimFailure) {
            streams.closeOwnEnds()
            if master >= 0 { isle_close(master) }
            startFailed(failure)
        }
        guard status == 0 else {
            let words = runtimeWords(streams.error, master)
            return fail(
                ShimFailure(.runtime, words.isEmpty ? "the runtime failed, " + describe(status) : words))
        }
        guard let pid = readPid(pidFile) else {
            return fail(ShimFailure(.runtime, "the runtime left no process id in " + pidFile))
        }
        guard children.owns(pid) else {
            return fail(
                ShimFailure(.runtime, "process " + decimal(pid) + " of " + pidFile + " is not the shim's child"))
        }
        if spec.terminal {
            guard master >= 0 else { return fail(ShimFailure(.runtime, "the runtime handed over no terminal")) }
            // What the runtime itself has said on these is of no interest any more.
            streams.closeOwnEnds()
            connectTerminal(master, keeper: isle_terminal_peer(master))
        } else {
            connectStreams(streams)
        }
        started(pid)
    }

    func startProcess(_ process: ShimProcess) throws(ShimFailure) {
        var slave: Int32 = -1
        var terminal: Int32 = -1
        var streams: Streams?
        if spec.terminal {
            terminal = try check(isle_open_terminal(&slave), "making a terminal")
            let root = process.sandbox != nil ? spec.identity : nil
            _ = isle_chown(slave, (root?.user ?? 0) &+ process.uid, (root?.group ?? 0) &+ process.gid)
            if size.columns > 0 { _ = isle_terminal_size(terminal, size.columns, size.rows) }
        } else {
            streams = try Streams(openStdin: spec.openStdin)
        }
        func giveUp() {
            streams?.closeChildEnds()
            streams?.closeOwnEnds()
            closeIfOpen(&terminal)
            closeIfOpen(&slave)
        }
        let program = Program(
            arguments: process.arguments, environment: process.environment,
            cgroups: spec.cgroups, input: streams.map { $0.childInput } ?? slave,
            output: streams.map { $0.childOutput } ?? slave, error: streams.map { $0.childError } ?? slave,
            terminal: spec.terminal)
        let shim = isle_pid()
        let root = spec.directory + "/root"
        let child: StartingChild
        do throws(ShimFailure) {
            if process.sandbox != nil { try check(isle_mkdir(root), "making the folder " + root) }
            child = try StartingChild(program, namespaces: process.sandbox == nil ? 0 : SandboxBuilder.cloneFlags) {
                program in
                do throws(ShimFailure) {
                    try program.prepare()
                    if let sandbox = process.sandbox {
                        try SandboxBuilder(process: process, sandbox: sandbox, namespaces: namespaces, root: root)
                            .enter()
                    } else {
                        try Self.takeIdentity(process, shim: shim)
                    }
                    return program.execute()
                } catch {
                    return error
                }
            }
        } catch {
            giveUp()
            throw error
        }
        streams?.closeChildEnds()
        let report = child.report
        var watcher: Watcher?
        let proceed = { [self] in
            loop.remove(watcher)
            if let failure = child.outcome() {
                giveUp()
                children.expect(child.pid) { _ in }
                startFailed(failure)
            } else {
                if let streams { connectStreams(streams) } else { connectTerminal(terminal, keeper: slave) }
                started(child.pid)
            }
        }
        watcher = loop.add(report, Int(ISLE_EPOLLIN)) { _ in proceed() }
        if watcher == nil { proceed() }
    }

    /// An unsandboxed process: another user has no capabilities by the kernel's own rule.
    private static func takeIdentity(_ process: ShimProcess, shim: Int32) throws(ShimFailure) {
        try openDescriptors(process)
        try check(isle_chdir(process.workingDirectory), "entering the folder " + process.workingDirectory)
        try setIdentity(process)
        try check(isle_no_new_privileges(), "forbidding new privileges")
        try check(isle_die_with_parent(), "binding the process to the shim")
        // It may have died before the line above.
        if isle_parent() != shim { leave(127) }
    }

    private func connectStreams(_ streams: Streams) {
        sources = [
            Source(streams.output, .output, loop, log) { [self] in sourceEnded() },
            Source(streams.error, .error, loop, log) { [self] in sourceEnded() },
        ]
        if streams.input >= 0 { input.connect(streams.input) }
    }

    private func connectTerminal(_ master: Int32, keeper: Int32) {
        self.master = isle_duplicate(master, 3)
        self.keeper = keeper
        if size.columns > 0 { _ = isle_terminal_size(master, size.columns, size.rows) }
        let forInput = isle_duplicate(master, 3)
        sources = [Source(master, .output, loop, log) { [self] in sourceEnded() }]
        if forInput >= 0 { input.connect(forInput) }
    }

    func connect(_ output: Sink?, _ error: Sink?) {
        if let output, output.isOpen, let first = sources.first { first.add(output) }
        if let error, error.isOpen, sources.count > 1 { sources[1].add(error) }
    }

    func started(_ pid: Int32) {
        let pidfd = isle_pidfd_open(pid)
        phase = .running(pid: pid, pidfd: pidfd)
        recordProcess(pid, in: spec.directory + "/pid")
        for client in early { connect(client.output, client.error) }
        early = []
        for source in sources { source.resume() }
        startReply?(.started(pid: pid))
        startReply = nil
        // It may have ended already, then this calls at once.
        children.expect(pid) { [self] status in firstProcessEnded(pid, status) }
        children.releaseStrays()
        if isShuttingDown, case .running = phase { _ = isle_pidfd_send_signal(pidfd, 9) }
    }

    func startFailed(_ failure: ShimFailure) {
        phase = .created
        children.releaseStrays()
        startReply?(.failed(failure))
        startReply = nil
        if isShuttingDown { finish() }
    }
}

/// Closes a console's socket and what came through it.
func dropConsole(_ console: Console?) {
    guard let console else { return }
    var master = console.finish()
    closeIfOpen(&master)
}

/// The process id that a runtime wrote into a file; nil if it did not.
func readPid(_ path: String) -> Int32? {
    guard let bytes = readFile(path), let pid = parseDecimal(bytes.prefix { $0 > 0x20 }), pid > 1 else { return nil }
    return Int32(exactly: pid)
}

/// `exit code 1` or `signal 9` for a wait(2) status.
func describe(_ status: Int32) -> String {
    status & 0x7f == 0 ? "exit code " + decimal((status >> 8) & 0xff) : "signal " + decimal(status & 0x7f)
}
