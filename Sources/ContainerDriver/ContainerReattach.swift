public import DriverKit
import LinuxHost
public import Model
import ShimClient

extension ContainerDriver {
    public func reattach(
        _ id: InstanceID, kind: InstanceKind, runDirectory: String, stateDirectory: String
    ) async throws -> Reattached {
        let paths = ContainerPaths(directory: runDirectory, id: id)
        if let connection = try await Shim.connect(directory: runDirectory) {
            if let handle = try await adopt(id, paths, connection) { return .running(handle) }
            // Created and never started, or without the files that are needed to go on: it is taken away.
            try await connection.shutdown()
        }
        let outcome = try outcome(id, paths, kind: kind)
        await ContainerEnd.killLeftOver(cgroups, id)
        let runtime = try Self.readState(paths).map { Runtime(path: $0.runtime) }
        try await ContainerEnd.remove(paths, runtime: runtime ?? Runtime(path: "crun"), cgroups: cgroups, id: id)
        return outcome
    }

    /// The handle of a container whose shim lives and whose first process runs.
    private func adopt(
        _ id: InstanceID, _ paths: ContainerPaths, _ connection: ShimConnection
    ) async throws -> ContainerHandle? {
        guard await connection.pid != nil, var state = try Self.readState(paths) else { return nil }
        // The daemon may have died between the start and writing it down.
        state.started = true
        return ContainerHandle(
            id: id, paths: paths, state: state, process: try Self.readProcess(paths), connection: connection,
            cgroups: cgroups, shim: configuration.shim)
    }

    private func outcome(_ id: InstanceID, _ paths: ContainerPaths, kind: InstanceKind) throws -> Reattached {
        if let exit = try Shim.exitRecord(directory: paths.directory) {
            let kills = cgroups.find(id.raw)?.outOfMemoryKills() ?? 0
            return .exited(ContainerEnd.record(exit, kind: kind, outOfMemoryKills: kills))
        }
        guard let state = try Self.readState(paths), state.started else { return .gone }
        return .exited(ContainerEnd.lostShim())
    }
}
