public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
public import Model
import ShimClient
import ShimCore

/// What a `ContainerDriver` needs to know about its daemon.
public struct ContainerDriverConfiguration: Sendable {
    /// Path of the `isle-shim` program.
    public var shim: String
    /// Name of the control group above those of the instances; another daemon has another one.
    public var cgroupParent: String
    /// A lasting folder of the driver's own, for compiled seccomp filters.
    public var cacheDirectory: String

    public init(shim: String, cgroupParent: String, cacheDirectory: String) {
        self.shim = shim
        self.cgroupParent = cgroupParent
        self.cacheDirectory = cacheDirectory
    }
}

/// Runs application and system containers with an OCI runtime (crun unless `oci.runtime` names another).
///
/// The shim holds the namespaces and the mounts of the root filesystem; the runtime joins and uses them. Nothing
/// of an instance shows in the host's mount table. With crun the shim puts the first process into control groups and
/// crun gets a compiled seccomp filter, which makes a start three times as fast as its own handling of both.
public final class ContainerDriver: InstanceDriver {
    public let kinds: Set<InstanceKind> = [.application, .system]

    let configuration: ContainerDriverConfiguration
    let cgroups: CgroupHost
    let seccomp: SeccompCache

    /// - Throws: `unsupported` on a host without control groups.
    public init(_ configuration: ContainerDriverConfiguration) throws {
        self.configuration = configuration
        cgroups = try CgroupHost.host(parent: configuration.cgroupParent)
        seccomp = SeccompCache(directory: configuration.cacheDirectory)
    }

    public func create(_ plan: LaunchPlan) async throws -> any InstanceHandle {
        var plan = plan
        let notices = try await plan.settleMappings(obstacle: OwnerShift.obstacle)
        return try await create(plan, notices: notices)
    }

    private func create(_ plan: LaunchPlan, notices: [String]) async throws -> ContainerHandle {
        guard kinds.contains(plan.kind), case .overlay(let overlay) = plan.root else {
            throw EngineError(
                .unsupported, "instance \(plan.name) of kind \(plan.kind.rawValue) is not a container")
        }
        let runtime = try Runtime.find(plan.config["oci.runtime"])
        let paths = ContainerPaths(directory: plan.runDirectory, id: plan.id)
        let capabilities = try capabilities(plan)
        try await KernelModules.load(plan.config["linux.kernel_modules"])
        let groups = cgroups
        return try await withReverter { reverter in
            reverter.onFailure("remove \(paths.directory)") { try await Self.removeFolders(paths) }
            let sources = try await runBlocking { try Self.makeFolders(plan, paths) }
            let files = try await runBlocking { try Self.writeFiles(plan, paths) }
            let folders = try await makeCgroup(plan, runtime)
            reverter.onFailure("remove the control group of \(plan.name)") {
                try await groups.find(plan.id.raw)?.remove()
            }
            let state = ContainerState(
                kind: plan.kind, name: plan.name, runtime: runtime.path, identity: plan.identity,
                terminal: plan.stdio.terminal, started: false)
            try await runBlocking { try Self.write(state, paths) }

            let spec = shimSpec(plan, overlay, paths, runtime, sources: sources, cgroups: folders)
            let connection = try await Shim.spawn(spec, executable: configuration.shim)
            reverter.onFailure("end the shim of \(plan.name)") { try await connection.shutdown() }

            let facts = try await facts(
                plan, paths, runtime, connection, capabilities: capabilities, files: files, sources: sources)
            let configuration = try SpecGenerator.spec(plan, facts)
            try await runBlocking {
                try HostFiles.write(paths.configuration, Self.encoded(configuration), mode: 0o600)
            }
            return ContainerHandle(
                id: plan.id, paths: paths, state: state, process: configuration.process, connection: connection,
                cgroups: cgroups, shim: self.configuration.shim, notices: notices)
        }
    }

    private func capabilities(_ plan: LaunchPlan) throws -> [String] {
        let wanted =
            plan.security.privileged && plan.security.dropCapabilities.isEmpty
            ? CapabilitySet.all
            : try CapabilitySet.of(
                plan.kind, adding: plan.security.addCapabilities, dropping: plan.security.dropCapabilities)
        // A user namespace begins with all; without one the daemon's own are the most that there is.
        guard plan.identity == nil else { return wanted }
        // Where root is the host's own, device files that it makes would be the host's disks.
        let safe = plan.security.privileged ? wanted : wanted.filter { $0 != "CAP_MKNOD" }
        return CapabilitySet.available(
            safe, status: String(decoding: try readSmallFile("/proc/self/status"), as: UTF8.self))
    }

    private func makeCgroup(_ plan: LaunchPlan, _ runtime: Runtime) async throws -> [String] {
        guard runtime.isCrun else { return [] }
        let groups = cgroups
        return try await runBlocking {
            let owner = plan.kind == .system ? plan.identity?.root.user : nil
            var group = try groups.create(plan.id.raw, limits: plan.limits, delegatedTo: owner)
            for device in plan.options.devices {
                let denied = "rwm".filter { !device.access.contains($0) }
                guard !denied.isEmpty else { continue }
                try group.deny(
                    denied, isBlock: device.isBlock, major: device.major, minor: device.minor, path: device.target)
            }
            return group.joinFolders
        }
    }

    private func facts(
        _ plan: LaunchPlan, _ paths: ContainerPaths, _ runtime: Runtime, _ connection: ShimConnection,
        capabilities: [String], files: [(source: String, target: String)], sources: [String]
    ) async throws -> SpecFacts {
        let preparation = try RootPreparation(
            shim: connection.shimPID, rootfs: paths.rootfs, identity: plan.identity)
        let lookup = try UserLookup(root: preparation.root)
        var user = try lookup.resolve(plan.process.user)
        for group in plan.options.groups {
            let id = try lookup.group(group)
            if !user.additionalGroups.contains(id) { user.additionalGroups.append(id) }
        }
        try await preparation.makeWorkingDirectory(SpecGenerator.workingDirectory(plan.process.workingDirectory))
        if plan.kind == .system {
            let guestResolves =
                if case .endpoints(let all) = plan.network {
                    all.contains { $0.configuredByGuest || $0.direct != nil }
                } else {
                    false
                }
            try await preparation.writeSystemFiles(Self.networkFiles(plan), replacesResolver: !guestResolves)
        }
        let options = plan.options
        let joined = options.joinedNames.map { ($0, paths.namespace($0)) }
        return SpecFacts(
            rootfs: paths.rootfs, userNamespace: plan.identity == nil ? nil : paths.userNamespace,
            networkNamespace: plan.network.isHost ? nil : paths.networkNamespace, user: user,
            capabilities: capabilities,
            seccomp: try await seccompChoice(plan, runtime, capabilities), files: files, mountSources: sources,
            hasUnifiedTree: cgroups.layout.unified != nil, isUnified: cgroups.layout.isUnified,
            cgroupsPath: runtime.isCrun ? nil : "/\(cgroups.parent)/\(plan.id.raw)",
            devices: ["/dev/fuse", "/dev/net/tun"].filter(HostFiles.exists), maximumOpenFiles: Self.maximumOpenFiles(),
            joined: Dictionary(uniqueKeysWithValues: joined),
            deviceNodes: options.devices.enumerated().map { (paths.device($0.offset), $0.element.target) },
            hasHostQueues: HostFiles.exists("/dev/mqueue"), sharedMemory: paths.sharedMemory,
            initProgram: options.hasInit ? configuration.shim : nil)
    }

    private func shimSpec(
        _ plan: LaunchPlan, _ overlay: OverlayRoot, _ paths: ContainerPaths, _ runtime: Runtime, sources: [String],
        cgroups folders: [String]
    ) -> ShimSpec {
        var mounts: [ShimMount] = [
            .idmap(source: overlay.layersDirectory, target: paths.layers),
            .idmap(source: overlay.instanceDirectory, target: paths.instance),
        ]
        if let frozen = overlay.frozenDirectory, !overlay.frozen.isEmpty {
            mounts.append(.idmap(source: frozen, target: paths.frozen))
        }
        mounts.append(
            .overlay(
                lower: overlay.frozen.map { "\(paths.frozen)/\($0)" } + overlay.lower.map { "\(paths.layers)/\($0)" },
                upper: "\(paths.instance)/\(overlay.upper)", work: "\(paths.instance)/\(overlay.work)",
                target: paths.rootfs, volatile: false))
        for (mount, target) in zip(plan.mounts, sources) {
            mounts.append(
                .bind(source: mount.source, target: target, readOnly: mount.readOnly, shifted: mount.idMapped))
        }
        if runtime.isCrun, cgroups.layout.isHybrid, let unified = cgroups.layout.unified {
            // crun refuses a unified tree with controllers beside v1; it makes no use of it here.
            mounts.append(.emptyFile(target: "\(unified)/cgroup.controllers"))
        }
        mounts += Self.optionMounts(plan, paths)
        return ShimSpec(
            directory: paths.directory, logPath: plan.log.path, logMaxSize: plan.log.maxSize,
            logFiles: plan.log.files, terminal: plan.stdio.terminal, openStdin: plan.stdio.openStdin,
            stdinOnce: plan.stdio.stdinOnce, columns: plan.stdio.size?.columns ?? 0, rows: plan.stdio.size?.rows ?? 0,
            identity: plan.identity.map { ShimSpec.Identity($0) },
            newNetwork: plan.network.isOwn,
            joins: Self.joins(plan), mounts: mounts, cgroups: folders,
            launch: .runtime(
                arguments: runtime.run(paths, terminal: plan.stdio.terminal), pidFile: paths.pidFile))
    }
}
