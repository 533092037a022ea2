public import DriverKit
import Glibc
public import Model
import Synchronization

/// A live instance of `FakeInstanceDriver`.
public final class FakeHandle: InstanceHandle {
    private struct State {
        var started = false
        var paused = false
        var deleted = false
        var exit: ExitRecord?
        var limits: Limits
        var waiters: [CheckedContinuation<ExitRecord, Never>] = []
        var outputs: [OwnedDescriptor] = []
    }
    public let plan: LaunchPlan
    public var id: InstanceID { plan.id }
    private let program: FakeProgram
    let faults: Faults
    private let state: Mutex<State>

    init(plan: LaunchPlan, program: FakeProgram, faults: Faults) {
        self.plan = plan
        self.program = program
        self.faults = faults
        state = Mutex(State(limits: plan.limits))
    }

    public var exit: ExitRecord? { state.withLock { $0.exit } }
    public var isDeleted: Bool { state.withLock { $0.deleted } }
    public var isStarted: Bool { state.withLock { $0.started } }
    /// The limits that hold now.
    public var currentLimits: Limits { state.withLock { $0.limits } }

    /// What the key `user.notice` says.
    public var notices: [String] { plan.config["user.notice"].map { [$0] } ?? [] }
    public var pid: Int32? { get async { isStarted ? 4242 : nil } }

    public var networkNamespace: OwnedDescriptor? {
        get async throws {
            try faults.reach("namespace")
            return plan.kind == .machine ? nil : OwnedDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC))
        }
    }

    public func start() async throws {
        try faults.reach("start")
        try state.withLock { state in
            guard !state.started, !state.deleted else { throw EngineError(.conflict, "started or deleted already") }
            state.started = true
        }
        if case .ends(let code, let output) = program {
            write(output)
            end(ExitRecord(code: code, finishedAt: Self.now))
        }
    }

    public func requestStop(signal: String?) async throws {
        faults.note("stop \(signal ?? "-")")
        if program != .ignoringTerm { end(ExitRecord(code: 143, signal: 15, finishedAt: Self.now)) }
    }

    public func signal(_ number: Int32) async throws {
        faults.note("signal \(number)")
        guard isStarted else { throw EngineError(.conflict, "instance \(id) has not started") }
        if number == 9 || (number == 15 && program != .ignoringTerm) {
            end(ExitRecord(code: 128 + number, signal: number, finishedAt: Self.now))
        }
    }

    public func wait() async throws -> ExitRecord {
        await withCheckedContinuation { continuation in
            let exit = state.withLock { state in
                if state.exit == nil { state.waiters.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    public func delete() async throws {
        try faults.reach("delete")
        end(ExitRecord(code: 137, signal: 9, finishedAt: Self.now))
        state.withLock { $0.deleted = true }
    }

    /// Ends the instance, as its program would by itself; only the first end counts.
    public func end(code: Int32, reason: String? = nil) {
        end(ExitRecord(code: code, finishedAt: Self.now, reason: reason))
    }

    private func end(_ exit: ExitRecord) {
        let (waiters, outputs) = state.withLock { state in
            guard state.exit == nil else { return ([CheckedContinuation<ExitRecord, Never>](), [OwnedDescriptor]()) }
            state.exit = exit
            defer { (state.waiters, state.outputs) = ([], []) }
            return (state.waiters, state.outputs)
        }
        for output in outputs { output.close() }
        for waiter in waiters { waiter.resume(returning: exit) }
    }

    /// Output of the first process, to every attached client.
    public func write(_ text: String) {
        for output in state.withLock({ $0.outputs }) {
            _ = text.withCString { Glibc.write(output.raw, $0, strlen($0)) }
        }
    }

    /// Seconds since 1970.
    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension FakeHandle: AttachFacet, ExecFacet, PauseFacet, LimitsFacet, UsageFacet {
    public var attach: (any AttachFacet)? { self }
    public var exec: (any ExecFacet)? { plan.kind == .module ? nil : self }
    public var pause: (any PauseFacet)? { self }
    public var limits: (any LimitsFacet)? { self }
    public var usage: (any UsageFacet)? { self }

    public func attach(withInput: Bool) async throws -> any AttachSession {
        try faults.reach("attach")
        let session = try FakeSession()
        state.withLock { state in
            if state.exit == nil { state.outputs.append(session.writer) } else { session.writer.close() }
        }
        return session
    }

    /// The process ends at once with the number of its arguments as code, having written its environment.
    public func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession {
        guard exit == nil, isStarted else { throw EngineError(.conflict, "instance \(id) does not run") }
        if process.arguments.first == "missing" { throw EngineError(.notFound, "program missing is not there") }
        let session = try FakeSession(code: Int32(process.arguments.count))
        let text = process.environment.joined(separator: "\n")
        _ = text.withCString { Glibc.write(session.writer.raw, $0, strlen($0)) }
        session.writer.close()
        return session
    }

    public func pause() async throws { state.withLock { $0.paused = true } }
    public func resume() async throws { state.withLock { $0.paused = false } }
    public var isPaused: Bool { get async throws { state.withLock { $0.paused } } }

    public func apply(_ limits: Limits) async throws {
        try faults.reach("apply")
        state.withLock { $0.limits = limits }
    }

    public func usage() async throws -> Usage { Usage(cpuNanoseconds: 1, memory: 4096, memoryPeak: 8192, processes: 1) }
}

/// One pipe from the fake to its client.
final class FakeSession: AttachSession, ExecSession {
    let streams: SessionStreams
    let writer: OwnedDescriptor
    private let code: Int32

    init(code: Int32 = 0) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw EngineError(.resourceExhausted, "no pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        streams = SessionStreams(input: nil, output: OwnedDescriptor(ends[0]), error: nil)
        writer = OwnedDescriptor(ends[1])
        self.code = code
    }

    func resize(_ size: TerminalSize) async throws {}
    func signal(_ number: Int32) async throws {}
    func wait() async throws -> ExitRecord { ExitRecord(code: code, finishedAt: FakeHandle.now) }
}
