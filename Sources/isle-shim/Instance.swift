import CHost

/// The one instance of this shim: its first process, its streams, its end.
final class Instance {
    enum Phase {
        case created
        case starting
        case running(pid: Int32, pidfd: Int32)
        /// The first process has ended, its output may still be on the way.
        case draining(ShimExit)
        case ended(ShimExit)
    }

    let spec: ShimSpec
    let loop: Loop
    let log: Log
    let children = Children()
    let namespaces: Namespaces
    let directory: Int32
    let input: StandardInput
    var phase = Phase.created
    /// One source with a terminal, else standard output and error.
    private(set) var sources: [Source] = []
    /// Clients that attached before the start: output and error ends.
    private var early: [(output: Sink?, error: Sink?)] = []
    /// With a terminal: a writable duplicate of its master and a slave that keeps it from hanging up while no process
    /// has it open, as between two logins on a system's console.
    private var master: Int32 = -1
    private var keeper: Int32 = -1
    private var size: (columns: UInt16, rows: UInt16)
    var startReply: ((ShimReply) -> Void)?
    /// Called once, when the first process has ended and its output is in the log.
    var onEnded: (ShimExit) -> Void = { _ in }
    var shutdownReplies: [(ShimReply) -> Void] = []
    private var isShuttingDown = false

    init(_ spec: ShimSpec, _ loop: Loop, _ log: Log, _ namespaces: Namespaces, directory: Int32) {
        self.spec = spec
        self.loop = loop
        self.log = log
        self.namespaces = namespaces
        self.directory = directory
        input = StandardInput(loop, once: spec.stdinOnce)
        size = (spec.columns, spec.rows)
    }

    var pid: Int32 {
        if case .running(let pid, _) = phase { return pid }
        return 0
    }

    // MARK: Requests

    func start(_ reply: @escaping (ShimReply) -> Void) {
        guard case .created = phase, !isShuttingDown else {
            return reply(.failed(ShimFailure(.conflict, "the instance was started before")))
        }
        phase = .starting
        startReply = reply
        children.keepStrays()
        do {
            switch spec.launch {
            case .runtime(let arguments, let pidFile): try startRuntime(arguments, pidFile)
            case .process(let process): try startProcess(process)
            }
        } catch {
            startFailed(error)
        }
    }

    func signal(_ number: Int32) -> ShimReply {
        switch phase {
        case .created, .starting:
            return .failed(ShimFailure(.conflict, "the instance does not run yet"))
        case .running(_, let pidfd):
            let result = isle_pidfd_send_signal(pidfd, number)
            if result < 0, result != -ESRCH {
                return .failed(failure("sending signal " + decimal(number), result, .invalid))
            }
            return .done
        case .draining, .ended:
            return .done
        }
    }

    func resize(columns: UInt16, rows: UInt16) {
        size = (columns, rows)
        if master >= 0 { _ = isle_terminal_size(master, columns, rows) }
    }

    /// Takes over the descriptors.
    func attach(input clientInput: Int32?, output: Int32, error: Int32) -> ShimReply {
        switch phase {
        case .draining, .ended:
            isle_close(output)
            isle_close(error)
            if let clientInput { isle_close(clientInput) }
            return .failed(ShimFailure(.conflict, "the instance has ended"))
        default: break
        }
        let takesInput = clientInput != nil && (spec.openStdin || spec.terminal)
        if let clientInput {
            if takesInput { input.add(clientInput) } else { isle_close(clientInput) }
        }
        let outputSink = Sink(output, loop)
        var errorSink: Sink?
        if spec.terminal { isle_close(error) } else { errorSink = Sink(error, loop) }
        if sources.isEmpty {
            early.append((outputSink, errorSink))
        } else {
            connect(outputSink, errorSink)
        }
        return .attached(input: takesInput, separateError: !spec.terminal)
    }

    func shutdown(_ reply: @escaping (ShimReply) -> Void) {
        shutdownReplies.append(reply)
        isShuttingDown = true
        switch phase {
        case .created:
            children.killAll()
            finish()
        case .starting: children.killAll()
        case .running(_, let pidfd): _ = isle_pidfd_send_signal(pidfd, 9)
        case .draining: break
        case .ended: finish()
        }
    }

    // MARK: Start

    private func startRuntime(_ arguments: [String], _ pidFile: String) throws(ShimFailure) {
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

    private func startProcess(_ process: ShimProcess) throws(ShimFailure) {
        var slave: Int32 = -1
        var terminal: Int32 = -1
        var streams: Streams?
        if spec.terminal {
            terminal = try check(isle_open_terminal(&slave), "making a terminal")
            let base = process.sandbox != nil ? spec.identity?.base ?? 0 : 0
            _ = isle_chown(slave, base &+ process.uid, base &+ process.gid)
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

    private func connect(_ output: Sink?, _ error: Sink?) {
        if let output, output.isOpen, let first = sources.first { first.add(output) }
        if let error, error.isOpen, sources.count > 1 { sources[1].add(error) }
    }

    private func started(_ pid: Int32) {
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

    private func startFailed(_ failure: ShimFailure) {
        phase = .created
        children.releaseStrays()
        startReply?(.failed(failure))
        startReply = nil
        if isShuttingDown { finish() }
    }

    // MARK: End

    private func firstProcessEnded(_ pid: Int32, _ status: Int32) {
        var exit = ShimExit(status: status, outOfMemory: ranOutOfMemory(status), seconds: 0, nanoseconds: 0)
        isle_realtime(&exit.seconds, &exit.nanoseconds)
        if case .running(_, var pidfd) = phase { closeIfOpen(&pidfd) }
        phase = .draining(exit)
        writeExitRecord(exit)
        // Whatever it left: its group, and children that came to the shim.
        _ = isle_kill(-pid, 9)
        children.killAll()
        input.close()
        // With the last slave closed the terminal's output ends.
        closeIfOpen(&keeper)
        if sources.allSatisfy({ !$0.isOpen }) { return drained() }
        giveUpDraining()
    }

    /// A process outside of the instance may hold the writing ends for ever.
    private func giveUpDraining() {
        _ = loop.after(milliseconds: 2000) { [self] in
            guard case .draining = phase else { return }
            if sources.contains(where: { $0.isOpen && $0.isStalled }) { return giveUpDraining() }
            for source in sources { source.finish() }
        }
    }

    private func sourceEnded() {
        guard case .draining = phase, sources.allSatisfy({ !$0.isOpen }) else { return }
        drained()
    }

    private func drained() {
        guard case .draining(let exit) = phase else { return }
        phase = .ended(exit)
        onEnded(exit)
        deliverAndFinish()
    }

    /// Attached clients get the rest of the output, as long as they take it.
    private func deliverAndFinish() {
        if sources.contains(where: { !$0.isDelivered }) {
            _ = loop.after(milliseconds: 20) { [self] in deliverAndFinish() }
            return
        }
        finish()
    }

    private func finish() {
        for source in sources { source.closeSinks() }
        closeIfOpen(&master)
        // Nothing may be left behind, in whatever state a runtime was.
        var tries = 0
        children.killAll()
        while children.reap(), tries < 2000 {
            _ = isle_sleep_ms(1)
            children.killAll()
            tries += 1
        }
        // Gone before the answers are out: who asks next finds no shim.
        _ = isle_unlink(spec.directory + "/shim.sock")
        _ = isle_unlink(spec.directory + "/exit.new")
        for reply in shutdownReplies { reply(.done) }
        shutdownReplies = []
        loop.stop()
    }

    /// The record's blocks were taken at the start, so that a full disk cannot lose it.
    private func writeExitRecord(_ exit: ShimExit) {
        let reserved = spec.directory + "/exit.new"
        let line = exit.line()
        let descriptor = isle_open_write(reserved)
        if descriptor >= 0 {
            let result = writeAll(descriptor, line)
            let cut = isle_truncate(descriptor, Int64(line.count))
            isle_close(descriptor)
            if result == 0, cut == 0, isle_rename(reserved, spec.directory + "/exit") == 0 { return }
        }
        if writeFile(reserved, line, create: true) == 0 {
            _ = isle_rename(reserved, spec.directory + "/exit")
        }
    }

    /// Makes the file that becomes the exit record, filled, and takes an old record away.
    func reserveExitRecord() throws(ShimFailure) {
        _ = isle_unlink(spec.directory + "/exit")
        let path = spec.directory + "/exit.new"
        try check(writeFile(path, [UInt8](repeating: 0x20, count: 80), create: true), "making the file " + path)
    }

    /// Whether the kernel has killed in one of the control groups for want of memory, and this process was killed.
    private func ranOutOfMemory(_ status: Int32) -> Bool {
        guard status & 0x7f == 9 || status == 137 << 8 else { return false }
        for cgroup in spec.cgroups {
            // Control groups v2 and v1; both have lines of a name and a number.
            for file in ["/memory.events", "/memory.oom_control"] {
                guard let bytes = readFile(cgroup + file) else { continue }
                for line in bytes.split(separator: 0x0A) {
                    let fields = line.split(separator: 0x20)
                    if fields.count == 2, fields[0].elementsEqual("oom_kill".utf8), fields[1].first != 0x30 {
                        return true
                    }
                }
            }
        }
        return false
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
