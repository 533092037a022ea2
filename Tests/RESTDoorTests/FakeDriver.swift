import CHost
import DriverKit
import Glibc
import LinuxHost
import Model
import Synchronization

/// Runs the programs of "instances" as plain processes of the host: real streams, ptys and exit codes, no isolation.
struct FakeDriver: InstanceDriver {
    let kinds: Set<InstanceKind> = Set(InstanceKind.allCases)
    let processes = FakeProcesses()

    func check() async -> [HostCheck] { [HostCheck("fake", .warning, "only for tests", advice: "use a real one")] }

    func create(_ plan: LaunchPlan) async throws -> any InstanceHandle {
        FakeHandle(plan.id, plan.process, plan.stdio, processes)
    }

    func reattach(_: InstanceID, kind: InstanceKind, runDirectory: String, stateDirectory: String) async throws
        -> Reattached
    { .gone }
}

/// Every process of one driver, so that a test that failed leaves none behind.
final class FakeProcesses: Sendable {
    private let all = Mutex<[FakeProcess]>([])

    func start(_ process: ProcessSpec, _ stdio: StdioOptions) throws -> FakeProcess {
        let process = try FakeProcess(process, stdio)
        all.withLock { $0.append(process) }
        return process
    }

    func kill() async {
        for process in all.withLock({ $0 }) { try? await process.signal(9) }
    }
}

/// A process of the host with the daemon's ends of its streams.
final class FakeProcess: ExecSession, AttachSession {
    let streams: SessionStreams
    private let pidfd: Pidfd
    private let exit = Mutex<ExitRecord?>(nil)
    private let reaper: Task<ExitRecord, any Error>

    init(_ process: ProcessSpec, _ stdio: StdioOptions) throws {
        let arguments = process.arguments
        func start(_ streams: Spawn.Streams) throws -> Pidfd {
            try Spawn.start(
                arguments[0], Array(arguments.dropFirst()), environment: process.environment,
                workingDirectory: process.workingDirectory, streams: streams)
        }
        if stdio.terminal {
            var (main, other): (Int32, Int32) = (-1, -1)
            var size = winsize()
            if let wanted = stdio.size { size = Self.window(wanted) }
            guard openpty(&main, &other, nil, nil, &size) == 0 else { throw EngineError(.internal, "openpty") }
            let (ours, theirs) = (OwnedDescriptor(main), OwnedDescriptor(other))
            pidfd = try start(.init(input: theirs, output: theirs, error: theirs))
            theirs.close()
            streams = SessionStreams(input: ours, output: ours, error: nil)
        } else {
            let (input, output, error) = (try Spawn.pipe(), try Spawn.pipe(), try Spawn.pipe())
            pidfd = try start(
                .init(input: stdio.openStdin ? input.read : nil, output: output.write, error: error.write))
            for end in [input.read, output.write, error.write] { end.close() }
            streams = SessionStreams(
                input: stdio.openStdin ? input.write : nil, output: output.read, error: error.read)
        }
        let pidfd = pidfd
        reaper = Task {
            while true {
                try await pidfd.ended()
                if let status = try pidfd.reap() {
                    return ExitRecord(code: status.code, signal: status.signal, finishedAt: 1)
                }
            }
        }
    }

    var pid: Int32 { pidfd.pid }

    private static func window(_ size: TerminalSize) -> winsize {
        winsize(ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0)
    }

    func resize(_ size: TerminalSize) async throws {
        var window = Self.window(size)
        _ = ioctl(streams.output.raw, UInt(TIOCSWINSZ), &window)
    }

    func signal(_ number: Int32) async throws { try pidfd.signal(number) }
    func wait() async throws -> ExitRecord { try await reaper.value }
}

/// An instance whose first process starts with the handle; attach gives that process's own streams.
final class FakeHandle: InstanceHandle, AttachFacet, ExecFacet {
    let id: InstanceID
    private let process: ProcessSpec
    private let stdio: StdioOptions
    private let processes: FakeProcesses
    private let running = Mutex<FakeProcess?>(nil)
    private let started: AsyncStream<FakeProcess>
    private let announce: AsyncStream<FakeProcess>.Continuation

    init(_ id: InstanceID, _ process: ProcessSpec, _ stdio: StdioOptions, _ processes: FakeProcesses) {
        self.id = id
        self.process = process
        self.stdio = stdio
        self.processes = processes
        (started, announce) = AsyncStream.makeStream()
    }

    private var live: FakeProcess {
        get throws {
            guard let process = running.withLock({ $0 }) else { throw EngineError(.conflict, "not started") }
            return process
        }
    }

    var pid: Int32? { get async { running.withLock { $0?.pid } } }
    var networkNamespace: OwnedDescriptor? { get async throws { nil } }
    var attach: (any AttachFacet)? { self }
    var exec: (any ExecFacet)? { self }

    func start() async throws {
        let process = try processes.start(self.process, stdio)
        running.withLock { $0 = process }
        announce.finish()
    }

    func requestStop(signal: String?) async throws { try await live.signal(15) }
    func signal(_ number: Int32) async throws { try await live.signal(number) }
    func wait() async throws -> ExitRecord {
        for await _ in started {}
        return try await live.wait()
    }
    func delete() async throws { try? await live.signal(9) }
    func attach(withInput: Bool) async throws -> any AttachSession { try live }
    func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession {
        try processes.start(process, stdio)
    }
}
