import CHost

/// One further process.
final class Execution {
    private let number: Int32
    private let request: ShimExec
    private let instance: Instance
    private var console: Console?
    private var pidfd: Int32 = -1
    private let pidFile: String
    /// Called with `started` and, later, `exited`; or once with `failed`. The descriptor is the terminal's master or -1,
    /// and stays the caller's only for the call.
    var onReply: (ShimReply, Int32) -> Void = { _, _ in }

    init(_ number: Int32, _ request: ShimExec, _ instance: Instance) {
        self.number = number
        self.request = request
        self.instance = instance
        pidFile = instance.spec.directory + "/exec." + decimal(number) + ".pid"
    }

    deinit { closeIfOpen(&pidfd) }

    func signal(_ number: Int32) {
        if pidfd >= 0 { _ = isle_pidfd_send_signal(pidfd, number) }
    }

    /// Takes over the descriptors: `[input,] output, error`, or none with a terminal.
    func start(_ descriptors: [Int32]) {
        instance.children.keepStrays()
        do throws(ShimFailure) {
            try run(descriptors)
        } catch {
            failed(error)
        }
    }

    private func run(_ descriptors: [Int32]) throws(ShimFailure) {
        var ends = descriptors
        defer { for end in ends { isle_close(end) } }
        var detaches = false
        var words: [String] = []
        if request.terminal {
            console = try Console(
                number, in: instance.directory, path: instance.spec.directory, size: (request.columns, request.rows),
                instance.loop)
        }
        for argument in request.arguments {
            if argument.utf8.elementsEqual("{console}".utf8) {
                words.append(console.map { $0.path } ?? "")
            } else if argument.utf8.elementsEqual("{pidfile}".utf8) {
                words.append(pidFile)
                detaches = true
            } else if argument.utf8.elementsEqual("{shim}".utf8) {
                words.append(decimal(isle_pid()))
            } else {
                words.append(argument)
            }
        }
        if request.terminal, !detaches {
            throw ShimFailure(.invalid, "an exec with a terminal needs the word {pidfile} in its arguments")
        }
        // The runtime's own words, where it has no streams of the client's.
        var errors: Int32 = -1
        if request.terminal {
            let pipe = try Pipe()
            errors = pipe.read
            ends = [pipe.write]
        }
        let null = try check(isle_open_null(), "opening /dev/null")
        ends.append(null)
        let hasInput = !request.terminal && request.openStdin
        var program = Program(
            arguments: words, environment: request.environment.isEmpty ? nil : request.environment,
            cgroups: request.cgroups,
            input: hasInput ? ends[0] : null,
            output: request.terminal ? ends[0] : ends[hasInput ? 1 : 0],
            error: request.terminal ? ends[0] : ends[hasInput ? 2 : 1])
        if detaches {
            let runtime = program.fork()
            if runtime == 0 { Instance.become(program) }
            if runtime < 0 {
                closeIfOpen(&errors)
                throw failure("making a process", runtime)
            }
            instance.children.expect(runtime) { [self] status in runtimeEnded(status, errors) }
        } else {
            let child = try StartingChild(program) { program in
                do throws(ShimFailure) {
                    try program.prepare()
                    return program.execute()
                } catch {
                    return error
                }
            }
            waitForStart(child)
        }
    }

    private func waitForStart(_ child: StartingChild) {
        var watcher: Watcher?
        let proceed = { [self] in
            instance.loop.remove(watcher)
            if let failure = child.outcome() {
                instance.children.expect(child.pid) { _ in }
                failed(failure)
            } else {
                started(child.pid, master: -1)
            }
        }
        watcher = instance.loop.add(child.report, Int(ISLE_EPOLLIN)) { _ in proceed() }
        if watcher == nil { proceed() }
    }

    private func runtimeEnded(_ status: Int32, _ errors: Int32) {
        var errors = errors
        var master = console.map { $0.finish() } ?? -1
        console = nil
        defer {
            closeIfOpen(&errors)
            closeIfOpen(&master)
            _ = isle_unlink(pidFile)
        }
        guard status == 0 else {
            let words = errors >= 0 ? runtimeWords(errors, master) : ""
            // Without a terminal the client has the runtime's words in its own error stream.
            return failed(ShimFailure(.runtime, words.isEmpty && request.terminal ? describe(status) : words))
        }
        guard let pid = readPid(pidFile), instance.children.owns(pid) else {
            return failed(ShimFailure(.runtime, "the runtime left no process of its own in " + pidFile))
        }
        if request.terminal {
            guard master >= 0 else { return failed(ShimFailure(.runtime, "the runtime handed over no terminal")) }
        }
        started(pid, master: master)
    }

    private func started(_ pid: Int32, master: Int32) {
        pidfd = max(-1, isle_pidfd_open(pid))
        onReply(.started(pid: pid), master)
        instance.children.expect(pid) { [self] status in
            var exit = ShimExit(status: status, seconds: 0, nanoseconds: 0)
            isle_realtime(&exit.seconds, &exit.nanoseconds)
            closeIfOpen(&pidfd)
            reply(.exited(exit))
        }
        instance.children.releaseStrays()
    }

    private func failed(_ failure: ShimFailure) {
        dropConsole(console)
        console = nil
        instance.children.releaseStrays()
        reply(.failed(failure))
    }

    /// The last reply: nothing refers to this object from then on.
    private func reply(_ last: ShimReply) {
        let call = onReply
        onReply = { _, _ in }
        call(last, -1)
    }
}
