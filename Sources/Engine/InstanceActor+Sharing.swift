import DriverKit
import Model

/// The other instances in whose namespaces an instance lives.
struct Sharing: Sendable {
    var network: JoinedInstance?
    var processes: JoinedInstance?
    var ipc: JoinedInstance?

    var any: JoinedInstance? { network ?? processes ?? ipc }
}

extension InstanceActor {
    /// Finds the instances whose namespaces are to be joined; they must run.
    func sharing(_ merged: MergedConfig, _ devices: Devices) async throws -> Sharing {
        var sharing = Sharing()
        if let name = devices.sharedNetwork { sharing.network = try await services.join(name, record.project) }
        if let name = merged.joined("oci.pid") { sharing.processes = try await services.join(name, record.project) }
        if let name = merged.joined("oci.ipc") {
            sharing.ipc = try await services.join(name, record.project)
            if try await services.config(name, record.project)["oci.ipc"] == "private" {
                throw EngineError(
                    .conflict, "the IPC namespace of instance \(Names.quoted(name)) is private",
                    hint: "set oci.ipc=shareable on it")
            }
        }
        let all = [sharing.network, sharing.processes, sharing.ipc].compactMap { $0 }
        guard let first = all.first else { return sharing }
        guard record.kind == .application || record.kind == .system else {
            throw EngineError(
                .unsupported, "a \(record.kind.rawValue) cannot live in the namespaces of instance \(first.name)")
        }
        if let self = all.first(where: { $0.id == record.id }) {
            throw EngineError(.invalidArgument, "instance \(Names.quoted(self.name)) cannot share its own namespaces")
        }
        if let other = all.first(where: { $0.identity != first.identity }) {
            throw EngineError(
                .invalidArgument,
                "instances \(first.name) and \(other.name) have different ids: namespaces of both cannot be shared")
        }
        let ownIsHost = merged.security.privileged || merged.config["oci.userns"] == "host"
        if first.identity == nil, !ownIsHost {
            throw EngineError(
                .invalidArgument, "instance \(first.name) has the host's ids, which sharing its namespaces takes too",
                hint: "set oci.userns=host or security.privileged=true on \(record.name) as well")
        }
        if first.identity != nil, ownIsHost {
            throw EngineError(
                .invalidArgument,
                "an instance with the host's ids cannot share the namespaces of instance \(first.name)")
        }
        return sharing
    }

    func containerOptions(
        _ merged: MergedConfig, _ devices: Devices, _ mode: NetworkMode, _ sharing: Sharing
    ) throws -> ContainerOptions {
        var gateway: String?
        if case .endpoints(let all) = mode { gateway = all.lazy.compactMap { $0.gateway4 ?? $0.gateway6 }.first }
        var options = try merged.containerOptions(gateway: gateway)
        options.tmpfs = devices.tmpfs
        options.devices = try devices.resolvedNodes()
        if let other = sharing.processes { options.processes = .instance(other) }
        if let other = sharing.ipc { options.ipc = .instance(other) }
        let isContainer = record.kind == .application || record.kind == .system
        if !isContainer, let what = devices.tmpfs.first?.target ?? devices.nodes.first?.target {
            throw EngineError(
                .unsupported, "a \(record.kind.rawValue) cannot be given \(Names.quoted(what)) of the host's kernel")
        }
        return options
    }

    /// What another instance needs to live in this one's namespaces.
    func joinable() async throws -> JoinedInstance {
        let handle = try handle(for: "share its namespaces")
        guard record.kind == .application || record.kind == .system, let pid = await handle.pid else {
            throw EngineError(
                .unsupported,
                "instance \(Names.quoted(record.name)) is a \(record.kind.rawValue): its namespaces cannot be shared")
        }
        return JoinedInstance(id: id, name: record.name, pid: pid, identity: record.mappedIDs)
    }
}
