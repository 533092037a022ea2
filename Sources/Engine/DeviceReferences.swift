import Model

// Networks, volumes and pools that devices name.
extension InstanceServices {
    /// `notFound` for a network or a volume that is not there, unless the device makes it.
    /// - Parameter made: names of volumes that are about to be made.
    func checkNamed(_ devices: Devices, project: String, made: Set<String> = []) async throws {
        for nic in devices.nics where nic.direct == nil { _ = try await networks.get(nic.network) }
        let shown = devices.disks.filter { !$0.create }.map { ($0.source, $0.pool) }
        for (name, pool) in shown + devices.attached.map({ ($0.source, $0.pool) }) {
            guard let pool, !made.contains(name) else { continue }
            _ = try await volumes.get(name, project: project, pool: pool)
        }
    }
}

extension InstanceActor {
    /// The same for what a change adds. What was named before and is gone does not keep anything else from changing.
    func checkNamed(_ after: MergedConfig, instead before: MergedConfig) async throws {
        let new = try Devices(after.devices.filter { before.devices[$0.key] != $0.value })
        try await services.checkNamed(new, project: record.project)
        let (old, now) = (try Devices(before.devices).rootPool, try Devices(after.devices).rootPool)
        let own = record.pool ?? PoolRecord.standard
        if now != old, let now, now != own {
            throw EngineError(
                .conflict,
                "the root disk of instance \(Names.quoted(record.name)) is in the pool \(own), not in \(now)",
                hint: "isle move or lxc move takes it there: --storage \(now)")
        }
    }
}
