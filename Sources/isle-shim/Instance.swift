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
    var sources: [Source] = []
    /// Clients that attached before the start: output and error ends.
    var early: [(output: Sink?, error: Sink?)] = []
    /// With a terminal: a writable duplicate of its master and a slave that keeps it from hanging up while no process
    /// has it open, as between two logins on a system's console.
    var master: Int32 = -1
    var keeper: Int32 = -1
    var size: (columns: UInt16, rows: UInt16)
    var startReply: ((ShimReply) -> Void)?
    /// Called once, when the first process has ended and its output is in the log.
    var onEnded: (ShimExit) -> Void = { _ in }
    var shutdownReplies: [(ShimReply) -> Void] = []
    var isShuttingDown = false

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
}
