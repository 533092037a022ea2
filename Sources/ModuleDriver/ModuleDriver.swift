public import DriverKit
import Glibc
public import LinuxHost
public import Model
import ShimClient
import ShimCore

/// Runs WASI modules: compiled once, each run in a process of its own with namespaces, a cgroup, an empty root and
/// nothing but the folders, variables and network it was given.
public struct ModuleDriver: InstanceDriver {
    public let kinds: Set<InstanceKind> = [.module]
    private let programs: ModulePrograms
    private let cache: ArtifactCache
    private let cgroups: CgroupHost

    /// - Parameters:
    ///   - cacheDirectory: where compiled modules are kept; only root may enter it.
    ///   - cgroups: below which each module gets its group.
    public init(programs: ModulePrograms, cacheDirectory: String, cgroups: CgroupHost) {
        self.programs = programs
        cache = ArtifactCache(directory: cacheDirectory, programs: programs)
        self.cgroups = cgroups
    }

    public func check() async -> [HostCheck] {
        guard access(programs.library, R_OK) == 0 else {
            return [
                HostCheck(
                    "libwasmtime", .warning, "not at \(programs.library)",
                    advice: "modules cannot run; make setup fetches it, all other kinds work without")
            ]
        }
        guard access(programs.runner, X_OK) == 0 else {
            return [
                HostCheck(
                    "isle-wasm", .error, "not at \(programs.runner)",
                    advice: "modules cannot run; make install puts it there")
            ]
        }
        return [HostCheck("libwasmtime", .ok, programs.library)]
    }

    public func create(_ plan: LaunchPlan) async throws -> any InstanceHandle {
        guard case .module(let path, let digest) = plan.root else {
            throw EngineError(.invalidArgument, "instance \(plan.name) holds no module")
        }
        let options = try ModuleOptions(plan)
        var plan = plan
        let notices = try await plan.settleMappings(obstacle: OwnerShift.obstacle)
        let artifact = try await cache.artifact(path: path, digest: digest, usesFuel: options.fuel != nil)
        try RunDirectory.make(plan.runDirectory)
        let group = try cgroups.create(plan.id.raw, limits: ModuleHandle.groupLimits(plan.limits))
        do {
            let spec = try ModuleSpec(plan: plan, options: options, artifact: artifact, programs: programs)
                .shimSpec(cgroups: group.joinFolders)
            let shim = try await Shim.spawn(spec, executable: programs.shim)
            return ModuleHandle(
                id: plan.id, shim: shim, group: group, runDirectory: plan.runDirectory, notices: notices)
        } catch {
            try? await group.remove()
            try? await RunDirectory.remove(plan.runDirectory)
            throw error
        }
    }

    public func reattach(
        _ id: InstanceID, kind: InstanceKind, runDirectory: String, stateDirectory: String
    ) async throws -> Reattached {
        let group = cgroups.find(id.raw)
        if let shim = try await Shim.connect(directory: runDirectory) {
            let handle = ModuleHandle(id: id, shim: shim, group: group, runDirectory: runDirectory)
            // A shim whose process never started waits for a daemon that is gone.
            if await shim.pid != nil { return .running(handle) }
            if try Shim.exitRecord(directory: runDirectory) == nil {
                try await handle.delete()
                return .gone
            }
        }
        let exit = try Shim.exitRecord(directory: runDirectory)
        let started = Shim.recordedProcess("pid", directory: runDirectory) != nil
        group?.killAll()
        try await group?.remove()
        try await RunDirectory.remove(runDirectory)
        if let exit { return .exited(exit) }
        return started
            ? .exited(ExitRecord(code: 137, signal: 9, finishedAt: Double(time(nil)), reason: "its shim was killed"))
            : .gone
    }
}
