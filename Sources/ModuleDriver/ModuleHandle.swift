import DriverKit
import LinuxHost
import Model
import ShimClient

/// A module that was made ready or runs.
final class ModuleHandle: InstanceHandle, AttachFacet, PauseFacet, LimitsFacet, UsageFacet {
    let id: InstanceID
    private let shim: ShimConnection
    private let group: Cgroup?
    private let runDirectory: String
    let notices: [String]

    init(id: InstanceID, shim: ShimConnection, group: Cgroup?, runDirectory: String, notices: [String] = []) {
        self.id = id
        self.shim = shim
        self.group = group
        self.runDirectory = runDirectory
        self.notices = notices
    }

    var pid: Int32? { get async { await shim.pid } }
    var networkNamespace: OwnedDescriptor? { get async throws { try await shim.networkNamespace() } }
    var attach: (any AttachFacet)? { self }
    var pause: (any PauseFacet)? { group == nil ? nil : self }
    var limits: (any LimitsFacet)? { group == nil ? nil : self }
    var usage: (any UsageFacet)? { group == nil ? nil : self }

    func start() async throws { _ = try await shim.start() }
    func requestStop(signal: String?) async throws { try await shim.signal(15) }
    func signal(_ number: Int32) async throws { try await shim.signal(number) }

    func wait() async throws -> ExitRecord { try await shim.wait() }

    func delete() async throws {
        try await shim.shutdown()
        group?.killAll()
        try await group?.remove()
        try await RunDirectory.remove(runDirectory)
    }

    func attach(withInput: Bool) async throws -> any AttachSession {
        let ends = try await shim.attach(withInput: withInput)
        return ModuleAttachment(
            streams: SessionStreams(input: ends.input, output: ends.output, error: ends.error), shim: shim)
    }

    func pause() async throws { try await group?.freeze() }
    func resume() async throws { try group?.thaw() }
    var isPaused: Bool { get async throws { group?.isFrozen ?? false } }
    func apply(_ limits: Limits) async throws { try group?.apply(Self.groupLimits(limits)) }

    /// Limits of the process around the module: its memory is the module's and the runner's own, so that a module that
    /// wants too much is told so by the runner before the kernel kills both.
    static func groupLimits(_ limits: Limits) -> Limits {
        var limits = limits
        limits.memory = limits.memory.map { $0 + (64 << 20) }
        return limits
    }

    func usage() async throws -> Usage { group?.usage() ?? Usage() }
}

private struct ModuleAttachment: AttachSession {
    let streams: SessionStreams
    let shim: ShimConnection
    func resize(_ size: TerminalSize) async throws { try await shim.resize(columns: size.columns, rows: size.rows) }
}
