import DriverKit
import Logging
import Model
import StateStore

// Interfaces that come and go while the instance runs.
extension InstanceActor {
    /// Brings the interfaces of the run from what `before` says to what `after` says. On failure those that were
    /// changed stay changed, the rest is as before, and the error names the one that failed.
    func applyNics(_ run: Run, from before: Devices, to after: Devices) async throws {
        guard before.nics != after.nics || before.proxies != after.proxies else { return }
        guard record.kind != .module else {
            throw EngineError(
                .unsupported, "the interfaces of a running module cannot change", hint: "stop it first")
        }
        guard before.sharedNetwork == nil, !before.hostNetwork, !after.hostNetwork, after.sharedNetwork == nil else {
            throw EngineError(
                .unsupported, "instance \(Names.quoted(record.name)) has no network of its own to connect",
                hint: "stop it first")
        }
        let ports = try await services.networks.chosenPorts(record, after, keeping: true)
        record.config.merge(ports) { $1 }
        let mode = try await services.networks.mode(for: record, devices: after)
        var wanted: [NetworkEndpoint] = []
        if case .endpoints(let list) = mode { wanted = list }
        let live = run.endpoints ?? []
        let gone = live.filter { old in !wanted.contains { $0.device == old.device } }
        for endpoint in gone {
            if record.kind == .machine {
                try await replaceInterface(run, endpoint, by: nil)
            } else {
                try await services.networks.detach(endpoint, from: namespace(run))
            }
            forgetEndpoint(endpoint)
        }
        for nic in before.nics where !after.nics.contains(where: { $0.device == nic.device }) {
            try await parts.store.release(id, device: nic.device)
        }
        let changed = wanted.filter { !live.contains($0) }
        guard !changed.isEmpty else { return }
        for endpoint in changed {
            let old = live.first { $0.device == endpoint.device }
            if let old, old.differsInRulesAlone(from: endpoint) {
                try await services.networks.refresh(old, to: endpoint)
            } else if record.kind == .machine {
                try await replaceInterface(run, old, by: endpoint)
            } else {
                let namespace = try await namespace(run)
                // A name on the host can be that of one link at a time.
                if let old, old.network != endpoint.network || old.direct != endpoint.direct || old.hostName != nil {
                    try await services.networks.detach(old, from: namespace)
                }
                try await services.networks.connect(endpoint, namespace: namespace)
            }
            forgetEndpoint(endpoint)
            if case .running(var current) = lifecycle, current.number == run.number {
                current.endpoints = ((current.endpoints ?? []) + [endpoint]).sorted { $0.device < $1.device }
                lifecycle = .running(current)
            }
        }
        await tellReadiness()
    }

    private func namespace(_ run: Run) async throws -> OwnedDescriptor {
        guard let namespace = try await run.handle.networkNamespace else {
            throw EngineError(.internal, "instance \(record.name) has no network namespace to connect")
        }
        return namespace
    }

    private func forgetEndpoint(_ endpoint: NetworkEndpoint) {
        guard case .running(var current) = lifecycle else { return }
        current.endpoints?.removeAll { $0.device == endpoint.device }
        lifecycle = .running(current)
    }
}

extension NetworkEndpoint {
    /// Whether the link can stay as it is.
    fileprivate func differsInRulesAlone(from other: NetworkEndpoint) -> Bool {
        var same = self
        same.rules = other.rules
        return same == other
    }
}
