import DriverKit
import Model

// Disks and interfaces of a running machine.
extension InstanceActor {
    /// User id on the host under which the machine's hypervisor runs.
    private var hypervisorUser: UInt32 { LaunchPlan.hypervisorUser(id, record.mappedIDs) }

    /// Brings the disks of the run from what `before` says to what `after` says. On failure all is as before, but for a disk
    /// that a guest did not let go of.
    func applyAttached(_ run: Run, from before: Devices, to after: Devices) async throws {
        guard before.attached != after.attached, let facet = run.handle.hotplug else { return }
        // Their order at the boot counts at the next one.
        func plain(_ disk: Devices.AttachedDisk) -> Devices.AttachedDisk {
            var disk = disk
            disk.bootPriority = nil
            return disk
        }
        let (old, new) = (before.attached.map(plain), after.attached.map(plain))
        try await withReverter { reverter in
            for disk in old where !new.contains(disk) {
                for shown in try await disks(before, disk.device) {
                    try await facet.removeDisk(shown.name)
                    reverter.onFailure("showing disk \(disk.device) again") { try await facet.add(shown) }
                }
            }
            for disk in new where !old.contains(disk) {
                for shown in try await disks(after, disk.device) {
                    try await facet.add(shown)
                    reverter.onFailure("taking disk \(disk.device) away") { try await facet.removeDisk(shown.name) }
                }
            }
        }
    }

    private func disks(_ devices: Devices, _ device: String) async throws -> [MachineDisk] {
        try await services.volumes.disks(devices, only: device, project: record.project).map { disk in
            var disk = disk
            disk.bootOrder = nil
            return disk
        }
    }

    /// Only in that: the guest's own interface would have to go and come for it.
    private static func differInPorts(_ old: NetworkEndpoint, _ new: NetworkEndpoint) -> Bool {
        var same = old
        same.ports = new.ports
        return same == new
    }

    /// Takes an interface of the run away, and connects another in its place. Nil: none.
    func replaceInterface(_ run: Run, _ old: NetworkEndpoint?, by new: NetworkEndpoint?) async throws {
        guard let facet = run.handle.hotplug else {
            throw EngineError(
                .unsupported, "the interfaces of machine \(Names.quoted(record.name)) cannot change while it runs",
                hint: "stop it first")
        }
        if let old, let new, Self.differInPorts(old, new) {
            throw EngineError(
                .unsupported, "the published ports of machine \(Names.quoted(record.name)) cannot change while it runs",
                hint: "stop it first")
        }
        if let old {
            try await facet.removeInterface(old.device)
            try await services.networks.disconnect(old)
        }
        guard let new else { return }
        try await withReverter { reverter in
            let networks = services.networks
            reverter.onFailure("disconnecting \(new.device)") { try await networks.disconnect(new) }
            let tap = try await networks.tap(new, owner: hypervisorUser)
            try await facet.add(new, tap: tap)
        }
    }
}
