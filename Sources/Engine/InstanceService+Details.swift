import DriverKit
import Logging
import Model
import StateStore

// What is read once for many instances.
extension InstanceService {
    /// The views with the traffic of their interfaces and their backups. What cannot be read is left out and logged.
    ///
    /// - Parameter inside: also look into every container for interfaces and addresses that it has got by itself; else
    ///   only into those that have an interface on no network of ours.
    func detailed(_ views: [InstanceView], inside: Bool) async -> [InstanceView] {
        func logged<Part>(_ what: String, _ read: () async throws -> Part) async -> Part? {
            do { return try await read() } catch {
                parts.logger.warning("\(what) cannot be read", metadata: ["error": "\(error)"])
                return nil
            }
        }
        var views = views
        let endpoints = views.filter { $0.pid != nil }.flatMap(\.endpoints)
        let ends = await logged("the traffic of instances") { try await services.networks.links(of: endpoints) } ?? [:]
        let records = await logged("the list of backups") { try await parts.store.backups() } ?? []
        let backups = Dictionary(grouping: records, by: \.owner)
        for index in views.indices {
            let view = views[index]
            views[index].backups = backups[BackupRecord.Owner.instance(view.record.id).description] ?? []
            guard view.pid != nil else { continue }
            for endpoint in view.endpoints { views[index].hostEnds[endpoint.device] = ends[endpoint] }
            guard view.record.kind == .application || view.record.kind == .system, !view.endpoints.isEmpty,
                inside || view.endpoints.contains(where: { $0.direct != nil }), let actor = actors[view.record.id]
            else { continue }
            views[index].interfaces =
                await logged("the interfaces of instance \(view.record.name)") { try await actor.interfaces() } ?? []
        }
        return views
    }
}

extension InstanceService {
    /// Why its last start, or its being taken over by this daemon, failed; nil if it did not.
    public func startFailure(_ name: String, project: String = "default") async throws -> String? {
        try await find(name, project).lastError
    }
}

extension InstanceActor {
    /// As they are inside; empty if there is no namespace of its own to look into.
    func interfaces() async throws -> [GuestInterface] {
        guard case .running(let run) = lifecycle, let namespace = try await run.handle.networkNamespace else {
            return []
        }
        return try await services.networks.interfaces(in: namespace)
    }
}
