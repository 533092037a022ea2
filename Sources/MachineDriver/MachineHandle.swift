import DriverKit
import Glibc
import GuestCore
import LinuxHost
import Model
import QMP
import ShimClient
import Synchronization

/// A live machine: QEMU below its shim, its control socket, and the agent in the guest.
final class MachineHandle: InstanceHandle {
    let id: InstanceID
    let record: MachineRecord
    let shim: ShimConnection
    let run: RootDirectory
    let agent: AgentSlot
    /// Where the control group of QEMU is; nil on a host without any.
    let cgroups: CgroupHost?
    /// A file that the first process goes on from.
    private let savedState: String?
    let notices: [String]
    private let control = Mutex(Control())

    private struct Control {
        var client: QMPClient?
        var watcher: Task<Void, Never>?
    }

    init(
        id: InstanceID, record: MachineRecord, shim: ShimConnection, run: RootDirectory, cgroups: CgroupHost?,
        savedState: String? = nil, notices: [String] = []
    ) {
        self.cgroups = cgroups
        self.savedState = savedState
        self.id = id
        self.record = record
        self.shim = shim
        self.run = run
        self.notices = notices
        agent = AgentSlot(path: "\(run.path)/\(MachineFiles.folder)/agent")
    }

    deinit { control.withLock { $0.watcher }?.cancel() }

    var pid: Int32? { get async { await shim.pid } }
    var networkNamespace: OwnedDescriptor? { get async throws { nil } }

    func start() async throws {
        for share in record.shares { try await share.serve(shim, run: run, user: record.user) }
        if let tpm = record.tpm { try await tpm.serve(shim, run: run, user: record.user) }
        let words = try await shim.attach(withInput: false)
        let pid = try await shim.start()
        do {
            // Before QEMU makes its other threads, which inherit it.
            if let set = record.processorSet { try Affinity.apply(set, to: pid) }
            try await connectControl(timeout: .seconds(20))
            if let savedState { try await MachineState.restore(savedState, try qmp()) }
        } catch {
            // QEMU says on its error output what it does not like, and ends.
            let text = try? await readWords(words.error ?? words.output)
            try? await shim.signal(SIGKILL)
            throw EngineError(
                .internal,
                "QEMU does not run machine \(id): \(text.flatMap { $0.isEmpty ? nil : $0 } ?? "no reason given")",
                cause: text?.isEmpty == false ? nil : error)
        }
        if record.agent == .isle {
            // Finds the agent while the guest boots, so that the first exec need not.
            await agent.begin()
        }
    }

    private func readWords(_ descriptor: OwnedDescriptor) async throws -> String {
        try await withDeadline(.seconds(2), "QEMU's words") {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            _ = fcntl(descriptor.raw, F_SETFL, O_NONBLOCK)
            while bytes.count < 16384 {
                let count = read(descriptor.raw, &buffer, buffer.count)
                if count == 0 { break }
                if count < 0 {
                    guard errno == EAGAIN else { break }
                    try await DescriptorEvents.readable(descriptor)
                    continue
                }
                bytes += buffer[..<count]
            }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(3).joined(separator: "; ")
        }
    }

    // MARK: The control socket

    /// Connects to QEMU and watches its events.
    func connectControl(timeout: Duration) async throws {
        let path = "\(run.path)/\(MachineFiles.folder)/qmp"
        let client = try await withThrowingTaskGroup(of: QMPClient?.self) { group in
            group.addTask { try await QMPClient.connect(path, timeout: timeout) }
            group.addTask { [shim] in
                let exit = try await shim.wait()
                throw EngineError(.internal, "QEMU ended with exit code \(exit.code)")
            }
            defer { group.cancelAll() }
            while let result = try await group.next() { if let result { return result } }
            throw CancellationError()
        }
        let watcher = Task { [agent] in
            for await event in client.events where event.name == "RESET" { await agent.reset() }
        }
        control.withLock { state in
            state.client = client
            state.watcher = watcher
        }
    }

    func qmp() throws -> QMPClient {
        guard let client = control.withLock({ $0.client }) else {
            throw EngineError(.conflict, "machine \(id) is not running")
        }
        return client
    }

    // MARK: Its end

    func requestStop(signal: String?) async throws {
        if record.isApplication {
            let number = try Signals.number(signal ?? "SIGTERM")
            let agent = try await agent.get(timeout: .seconds(30))
            return agent.send(Frame(.signal, numbers: [UInt32(number)]))
        }
        if record.agent == .isle, let agent = try? await agent.get(timeout: .seconds(3)) {
            return try await agent.shutdown(reboot: false)
        }
        try await qmp().execute("system_powerdown")
    }

    func signal(_ number: Int32) async throws {
        if number == SIGKILL { return try await shim.signal(SIGKILL) }
        guard record.agent == .isle else {
            if number == SIGTERM || number == SIGINT { return try await requestStop(signal: nil) }
            throw EngineError(
                .unsupported, "signal \(number) cannot be sent to machine \(id): it has no agent of Isle's",
                hint: "SIGKILL ends it, SIGTERM presses its power button")
        }
        try await agent.get(timeout: .seconds(30)).send(Frame(.signal, numbers: [UInt32(number)]))
    }

    func wait() async throws -> ExitRecord {
        let qemu = try await shim.wait()
        await agent.reset()
        return ExitReport.outcome(of: qemu, record: record, run: run)
    }

    func delete() async throws {
        try await shim.shutdown()
        await disconnect()
        if let cgroups { try await Cgroup.removeAll(id.raw, of: cgroups) }
        try await MachineHandle.removeFiles(run)
    }

    /// Gives up the connections; the machine goes on.
    func disconnect() async {
        let (watcher, client) = control.withLock { state in
            defer { state = Control() }
            return (state.watcher, state.client)
        }
        watcher?.cancel()
        client?.close()
        await agent.reset()
    }

    static func removeFiles(_ run: RootDirectory) async throws {
        try await runBlocking {
            for name in [
                MachineFiles.folder, "machine.json", "shim.sock", "shim.pid", "pid", "exit", "ns", "root", "shares",
                TPM.shown,
            ] {
                try run.removeTree(name)
            }
        }
    }

    // MARK: Facets

    var attach: (any AttachFacet)? { MachineConsole(machine: self) }
    var exec: (any ExecFacet)? {
        switch record.agent {
        case .isle: AgentExec(agent: agent)
        case .qemu: GuestAgentExec(client: guestAgent)
        }
    }
    /// Of a guest of its own.
    var guestAgent: GuestAgentClient { GuestAgentClient(path: "\(run.path)/\(MachineFiles.folder)/agent") }
    var pause: (any PauseFacet)? { MachinePause(machine: self) }
    var limits: (any LimitsFacet)? { MachineLimits(machine: self) }
    var usage: (any UsageFacet)? { MachineUsage(machine: self) }
    var reboot: (any RebootFacet)? { record.isApplication ? nil : MachineReboot(machine: self) }
    var state: (any StateFacet)? { MachineState(machine: self) }
    var hotplug: (any HotplugFacet)? { record.isApplication ? nil : MachineHotplug(machine: self) }
    var files: (any FilesFacet)? {
        exec.map { GuestFilesFacet(command: GuestCommand(exec: $0, machine: id)) }
    }
    var screen: (any ScreenFacet)? {
        record.hasScreen == true ? MachineScreen(machine: self) : nil
    }
}
