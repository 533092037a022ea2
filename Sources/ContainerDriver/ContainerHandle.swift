import CHost
import DriverKit
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore
import Synchronization

/// One container that lives.
final class ContainerHandle: InstanceHandle {
    let id: InstanceID
    let paths: ContainerPaths
    let process: RuntimeSpec.Process
    let connection: ShimConnection
    let cgroups: CgroupHost
    /// Path of the `isle-shim` program.
    let shim: String
    let notices: [String]
    private let stored: Mutex<ContainerState>
    private let isDeleted = Atomic(false)
    private let sessions = Atomic<Int>(0)
    /// The control group, once it was looked for.
    private let group = Mutex<Cgroup?>(nil)
    /// The first process, as long as it runs: asking the shim each time costs a connection.
    private let first = Mutex<(pid: Int32?, hasEnded: Bool)>((nil, false))

    init(
        id: InstanceID, paths: ContainerPaths, state: ContainerState, process: RuntimeSpec.Process,
        connection: ShimConnection, cgroups: CgroupHost, shim: String, notices: [String] = []
    ) {
        self.id = id
        self.paths = paths
        self.process = process
        self.connection = connection
        self.cgroups = cgroups
        self.shim = shim
        self.notices = notices
        stored = Mutex(state)
    }

    var state: ContainerState { stored.withLock { $0 } }
    var runtime: Runtime { Runtime(path: state.runtime) }

    var attach: (any AttachFacet)? { ContainerAttach(connection: connection) }
    var exec: (any ExecFacet)? { ContainerExec(handle: self) }
    var pause: (any PauseFacet)? { ContainerControl(handle: self) }
    var limits: (any LimitsFacet)? { ContainerControl(handle: self) }
    var usage: (any UsageFacet)? { ContainerControl(handle: self) }
    var files: (any FilesFacet)? { ContainerFilesFacet(handle: self) }
    var devices: (any DevicesFacet)? { ContainerDevices(handle: self) }

    var pid: Int32? {
        get async {
            let known = first.withLock { $0 }
            if known.hasEnded || known.pid != nil { return known.pid }
            let asked = await connection.pid
            return first.withLock { first in
                if !first.hasEnded { first.pid = asked }
                return first.pid
            }
        }
    }

    var networkNamespace: OwnedDescriptor? { get async throws { try await connection.networkNamespace() } }

    /// The instance's control group; nil once it is gone with the instance. Where it is changes with its limits alone, and
    /// looking for it in every tree takes longer than reading what it says.
    var groupIfAny: Cgroup? {
        if let known = group.withLock({ $0 }), known.isThere { return known }
        let found = cgroups.find(id.raw)
        group.withLock { $0 = found }
        return found
    }

    /// To be looked for again: its limits make it join further trees.
    func forgetGroup() { group.withLock { $0 = nil } }

    /// The instance's control group.
    /// - Throws: `conflict` when it is gone with the instance.
    func cgroup() throws -> Cgroup {
        guard let group = groupIfAny else {
            throw EngineError(.conflict, "instance \(state.name) is not running: it has no control group")
        }
        return group
    }

    func nextSession() -> Int { sessions.wrappingAdd(1, ordering: .relaxed).newValue }

    func start() async throws {
        do {
            let pid = try await connection.start()
            first.withLock { if !$0.hasEnded { $0.pid = pid } }
        } catch {
            throw RuntimeFailure.translate(
                error, log: paths.runtimeLog, program: process.args.first ?? "", workingDirectory: process.cwd,
                instance: state.name)
        }
        let started = stored.withLock { state in
            state.started = true
            return state
        }
        let paths = paths
        try await runBlocking { try ContainerDriver.write(started, paths) }
    }

    func requestStop(signal: String?) async throws {
        if let signal, !signal.isEmpty {
            return try await self.signal(SignalName.number(signal))
        }
        guard state.kind == .system else { return try await self.signal(SIGTERM) }
        guard let pid = await connection.pid else { return }
        let executable = HostFiles.linkTarget("/proc/\(pid)/exe") ?? ""
        let arguments = (try? readSmallFile("/proc/\(pid)/cmdline", limit: 4096)) ?? []
        let name = String(decoding: arguments.prefix { $0 != 0 }, as: UTF8.self)
        try await self.signal(InitSystem.of(executable: executable, calledAs: name).stopSignal)
    }

    func signal(_ number: Int32) async throws {
        try await connection.signal(number)
        // A frozen process takes SIGKILL on a v1 freezer only once it is thawed, and a stop signal on none.
        if number == SIGKILL, let group = cgroups.find(id.raw), group.isFrozen { try group.thaw() }
    }

    func wait() async throws -> ExitRecord {
        defer { first.withLock { $0 = (nil, true) } }
        do {
            return ContainerEnd.record(
                try await connection.wait(), kind: state.kind,
                outOfMemoryKills: cgroups.find(id.raw)?.outOfMemoryKills() ?? 0)
        } catch let error as EngineError where error.code == .unavailable {
            // The shim was killed. Nobody can tell how the instance ends, so it ends now.
            await ContainerEnd.killLeftOver(cgroups, id)
            return ContainerEnd.lostShim()
        }
    }

    func delete() async throws {
        if isDeleted.load(ordering: .acquiring) { return }
        let group = cgroups.find(id.raw)
        if let group, group.isFrozen {
            group.killAll()
            try group.thaw()
        }
        try await connection.shutdown()
        await ContainerEnd.killLeftOver(cgroups, id)
        try await ContainerEnd.remove(paths, runtime: runtime, cgroups: cgroups, id: id)
        isDeleted.store(true, ordering: .releasing)
    }
}

/// How containers end, with a shim or without.
enum ContainerEnd {
    /// The record with what only the driver can tell.
    static func record(_ exit: ExitRecord, kind: InstanceKind, outOfMemoryKills: Int64) -> ExitRecord {
        var record = exit
        if record.signal == SIGKILL || record.code == 128 + SIGKILL, outOfMemoryKills > 0 { record.outOfMemory = true }
        guard kind == .system else { return record }
        // In a pid namespace reboot(2) ends process 1 by one of two signals (pid_namespaces(7)).
        switch exit.signal {
        case SIGHUP: (record.code, record.signal, record.reason) = (0, nil, ExitRecord.reboot)
        case SIGINT: (record.code, record.signal, record.reason) = (0, nil, "poweroff")
        default: break
        }
        return record
    }

    static func lostShim() -> ExitRecord {
        ExitRecord(
            code: 128 + SIGKILL, signal: SIGKILL, finishedAt: now(),
            reason: "its shim process was killed, so the instance was ended")
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Kills what is left in the control group: only processes of this instance were ever put there, so no number
    /// that was given out again can be hit.
    static func killLeftOver(_ cgroups: CgroupHost, _ id: InstanceID) async {
        guard let group = cgroups.find(id.raw) else { return }
        for _ in 0..<100 {
            if group.pids().isEmpty { return }
            group.killAll()
            // Cancellation must not leave processes behind; an interrupted pause only makes this loop faster.
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Takes away what `create` made, once nothing runs any more.
    static func remove(_ paths: ContainerPaths, runtime: Runtime, cgroups: CgroupHost, id: InstanceID) async throws {
        if !runtime.isCrun, HostFiles.exists(paths.runtimeState) {
            // crun keeps nothing outside the run directory; others may.
            let command = runtime.delete(paths)
            let result = try await ProcessRunner.run(command[0], Array(command.dropFirst()), timeout: .seconds(30))
            if !result.status.isSuccess, !result.errorText.contains("does not exist") {
                throw EngineError(.internal, "\(command[0]) delete \(id): \(result.lastWords)")
            }
        }
        try await Cgroup.removeAll(id.raw, of: cgroups)
        try await ContainerDriver.removeFolders(paths)
    }
}
