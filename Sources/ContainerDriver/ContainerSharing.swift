import DriverKit
import Model
import ShimCore

/// What the shim is told about namespaces of others and devices of the host.
extension ContainerDriver {
    /// The namespaces of other instances that this one lives in. Whoever shares any shares the users too: a namespace
    /// obeys only the root user of the user namespace that it was made in.
    static func joins(_ plan: LaunchPlan) -> [ShimSpec.Join] {
        var joins: [ShimSpec.Join] = []
        func add(_ name: String, _ other: JoinedInstance) {
            joins.append(ShimSpec.Join(name: name, path: "/proc/\(other.pid)/ns/\(name)"))
        }
        if let other = plan.joined, other.identity != nil { add("user", other) }
        if case .instance(let other) = plan.network { add("net", other) }
        for (name, source) in plan.options.sources {
            if case .instance(let other) = source { add(name, other) }
        }
        return joins
    }

    static func optionMounts(_ plan: LaunchPlan, _ paths: ContainerPaths) -> [ShimMount] {
        var mounts: [ShimMount] = []
        if case .instance(let other) = plan.options.ipc {
            mounts.append(
                .bindFrom(process: UInt32(other.pid), source: "/dev/shm", target: paths.sharedMemory))
        }
        guard !plan.options.devices.isEmpty else { return mounts }
        mounts.append(.deviceFolder(target: paths.devices))
        for (index, device) in plan.options.devices.enumerated() {
            // An id that the instance does not have would be shown to nobody.
            let ids = plan.identity.map {
                ($0.outside(device.uid, .user) ?? $0.root.user, $0.outside(device.gid, .group) ?? $0.root.group)
            }
            mounts.append(
                .device(
                    target: paths.device(index), isBlock: device.isBlock, major: device.major, minor: device.minor,
                    mode: device.mode, uid: ids?.0 ?? device.uid, gid: ids?.1 ?? device.gid))
        }
        return mounts
    }
}

extension ContainerOptions {
    /// The kinds of namespace that can be another's, by the kernel's names.
    var sources: [(String, NamespaceSource)] { [("pid", processes), ("ipc", ipc), ("uts", hostName)] }

    var joinedNames: [String] {
        sources.compactMap { name, source in if case .instance = source { name } else { nil } }
    }
}

extension LaunchPlan {
    /// The instance in whose namespaces this one lives, if it lives in any.
    var joined: JoinedInstance? {
        if case .instance(let other) = network { return other }
        return options.joined
    }
}
