import DriverKit
import Logging
import Model

// Devices of a running instance, and the rates of its disks.
extension InstanceActor {
    /// Takes away, and shows, the devices that a change of the configuration leaves out, or brings. On failure all is as
    /// before. What the driver cannot do while the instance runs takes effect with the next start.
    func applyDevices(_ run: Run, from before: MergedConfig, to after: MergedConfig) async throws {
        guard let facet = run.handle.devices else {
            return try await applyAttached(run, from: Devices(before.devices), to: Devices(after.devices))
        }
        let changed = Set(before.devices.keys).union(after.devices.keys)
            .filter { before.devices[$0] != after.devices[$0] }.sorted()
        guard !changed.isEmpty else { return }
        let (old, new) = (try Devices(before.devices), try Devices(after.devices))
        try await withReverter { reverter in
            for name in changed.reversed() where !isSame(name, old, new) {
                for mount in try await mounts(name, old) {
                    reverter.onFailure("showing disk \(name) again") { try await facet.attach(mount) }
                    try await facet.detach(target: mount.target)
                }
                for forward in old.forwards where forward.device == name {
                    let spec = forward.spec
                    reverter.onFailure("opening proxy \(name) again") { try await facet.open(spec) }
                    try await facet.close(forward: spec.name)
                }
                for node in oldNodes(of: name, old) {
                    reverter.onFailure("showing device \(name) again") { try await facet.attach(node) }
                    try await facet.detach(target: node.target)
                }
            }
            for name in changed where !isSame(name, old, new) {
                for mount in try await mounts(name, new) {
                    reverter.onFailure("taking disk \(name) away") { try await facet.detach(target: mount.target) }
                    try await facet.attach(mount)
                }
                for forward in new.forwards where forward.device == name {
                    let spec = forward.spec
                    reverter.onFailure("ending proxy \(name)") { try await facet.close(forward: spec.name) }
                    try await facet.open(spec)
                }
                for node in try new.resolvedNodes(of: name) {
                    reverter.onFailure("taking device \(name) away") { try await facet.detach(target: node.target) }
                    try await facet.attach(node)
                }
            }
        }
    }

    /// Begins to pass on the connections of the proxy devices that need a process.
    func openForwards(_ handle: any InstanceHandle, _ merged: MergedConfig) async throws {
        let forwards = try Devices(merged.devices).forwards
        guard let first = forwards.first else { return }
        guard let facet = handle.devices else {
            throw EngineError(
                .unsupported,
                "proxy device \(Names.quoted(first.device)) cannot be had by a \(record.kind.rawValue)",
                hint: "use one that leads from a port of the host to one of the instance")
        }
        for forward in forwards { try await facet.open(forward.spec) }
    }

    /// Frees the addresses of the host at once; the processes would end with the instance by themselves.
    func closeForwards(_ run: Run) async {
        guard let facet = run.handle.devices else { return }
        let forwards: [(device: String, spec: ForwardSpec)]
        do { forwards = try Devices(await merged().devices).forwards } catch {
            return logger.warning("proxy devices end later than the instance", metadata: ["error": "\(error)"])
        }
        for forward in forwards {
            do { try await facet.close(forward: forward.spec.name) } catch {
                logger.warning("ending a proxy device failed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// A device that the host has lost cannot be resolved any more, and is taken away all the same.
    private func oldNodes(of name: String, _ devices: Devices) -> [DeviceNode] {
        do { return try devices.resolvedNodes(of: name) } catch {
            logger.warning(
                "a device node stays in the instance until it stops",
                metadata: ["device": "\(name)", "error": "\(error)"])
            return []
        }
    }

    /// A disk whose rates alone have changed.
    private func isSame(_ name: String, _ old: Devices, _ new: Devices) -> Bool {
        guard let one = old.disks.first(where: { $0.device == name }),
            let two = new.disks.first(where: { $0.device == name })
        else { return false }
        return one.isShownAs(two)
    }

    private func mounts(_ name: String, _ devices: Devices) async throws -> [MountSpec] {
        try await services.volumes.mounts(
            devices.disks.filter { $0.device == name }, project: record.project, image: await knownImage())
    }

    /// The limits with the rates of the disks. Disks that only `before` limits are named without a rate.
    func limits(_ merged: MergedConfig, before: MergedConfig? = nil) async throws -> Limits {
        var limits = try merged.limits(hostMemory: parts.hostMemory)
        var rates = try await rates(merged)
        if let before {
            for old in try await self.rates(before) where !rates.contains(where: { $0.path == old.path }) {
                rates.append(Limits.DiskRate(path: old.path))
            }
        }
        limits.diskRates = rates.isEmpty ? nil : rates
        return limits
    }

    private func rates(_ merged: MergedConfig) async throws -> [Limits.DiskRate] {
        guard record.kind == .application || record.kind == .system else { return [] }
        let devices = try Devices(merged.devices)
        var rates: [Limits.DiskRate] = []
        if var rate = devices.rootRate {
            rate.path = parts.layout.state(of: id)
            rates.append(rate)
        }
        for disk in devices.disks {
            guard var rate = disk.rate, let mount = try await mounts(disk.device, devices).first else { continue }
            rate.path = mount.source
            rates.append(rate)
        }
        return rates
    }
}
