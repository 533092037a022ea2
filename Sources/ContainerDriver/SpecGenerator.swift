import FoundationEssentials
import DriverKit
import Model

/// Writes the runtime configuration of an instance: a pure function of the plan and what was found out.
enum SpecGenerator {
    /// - Throws: `invalidArgument` for a plan that asks for what a container cannot be given.
    static func spec(_ plan: LaunchPlan, _ facts: SpecFacts) throws -> RuntimeSpec {
        let isSystem = plan.kind == .system
        guard let program = plan.process.arguments.first, !program.isEmpty else {
            throw EngineError(
                .invalidArgument, "instance \(plan.name) has no program to run",
                hint: "the image names none: give a command")
        }
        var spec = RuntimeSpec(
            process: try process(plan, facts),
            root: RuntimeSpec.Root(path: facts.rootfs, readonly: plan.security.readOnlyRoot),
            hostname: plan.options.hostName == .own ? plan.hostname : nil,
            domainname: plan.options.hostName == .own && facts.cgroupsPath == nil ? plan.options.domainName : nil,
            mounts: try SpecMounts.mounts(plan, facts),
            linux: RuntimeSpec.Linux(namespaces: namespaces(plan.options, facts)))
        if let identity = plan.identity {
            spec.linux.uidMappings = identity.extents(.user).map { RuntimeSpec.IDMapping($0) }
            spec.linux.gidMappings = identity.extents(.group).map { RuntimeSpec.IDMapping($0) }
        }
        if !isSystem, facts.networkNamespace != nil, plan.network.isOwn {
            // As Docker: programs that are not root may bind port 80 and use ping.
            spec.linux.sysctl = [
                "net.ipv4.ip_unprivileged_port_start": "0",
                "net.ipv4.ping_group_range": "0 \((plan.identity?.size ?? 65536) - 1)",
            ]
        }
        let own = SpecOptions.sysctls(plan.options, hasDomain: facts.cgroupsPath == nil)
        if !own.isEmpty { spec.linux.sysctl = (spec.linux.sysctl ?? [:]).merging(own) { $1 } }
        if !plan.security.privileged, !plan.security.nesting {
            spec.linux.maskedPaths = isSystem ? systemMaskedPaths : applicationMaskedPaths
            if !isSystem { spec.linux.readonlyPaths = applicationReadOnlyPaths }
        }
        if let path = facts.cgroupsPath {
            spec.linux.cgroupsPath = path
            spec.linux.resources = resources(plan.limits)
        }
        switch facts.seccomp {
        case .unconfined: break
        case .filter(let bytes):
            spec.annotations = ["run.oci.seccomp_bpf_data": Data(bytes).base64EncodedString()]
        case .profile(let profile): spec.linux.seccomp = profile.runtimeSpec
        }
        return spec
    }

    private static func process(_ plan: LaunchPlan, _ facts: SpecFacts) throws -> RuntimeSpec.Process {
        let environment = try ProcessEnvironment.merged(
            ProcessEnvironment.defaults(
                kind: plan.kind, hostname: plan.hostname, terminal: plan.stdio.terminal),
            plan.process.environment, home: facts.user.home)
        return RuntimeSpec.Process(
            terminal: plan.stdio.terminal, consoleSize: consoleSize(plan.stdio),
            user: RuntimeSpec.User(
                uid: facts.user.uid, gid: facts.user.gid, additionalGids: facts.user.additionalGroups),
            args: SpecOptions.arguments(try checkedArguments(plan.process.arguments), facts), env: environment,
            cwd: try workingDirectory(plan.process.workingDirectory),
            capabilities: RuntimeSpec.Capabilities(
                bounding: facts.capabilities, effective: facts.capabilities, permitted: facts.capabilities),
            rlimits: try SpecOptions.limits(plan.options, maximumOpenFiles: facts.maximumOpenFiles),
            noNewPrivileges: plan.kind == .application && plan.security.noNewPrivileges && !plan.security.privileged,
            oomScoreAdj: plan.options.outOfMemoryScore)
    }

    static func consoleSize(_ stdio: StdioOptions) -> RuntimeSpec.ConsoleSize? {
        guard stdio.terminal, let size = stdio.size else { return nil }
        return RuntimeSpec.ConsoleSize(height: size.rows, width: size.columns)
    }

    /// - Throws: `invalidArgument` for an argument that cannot be passed to a program.
    static func checkedArguments(_ arguments: [String]) throws -> [String] {
        for argument in arguments where argument.utf8.contains(0) {
            throw EngineError(.invalidArgument, "argument \(Names.quoted(argument)) has a NUL byte")
        }
        return arguments
    }

    /// - Throws: `invalidArgument` for a path that is not absolute.
    static func workingDirectory(_ path: String?) throws -> String {
        guard let path, !path.isEmpty else { return "/" }
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw EngineError(
                .invalidArgument, "working folder \(Names.quoted(path)) is not an absolute path")
        }
        return path
    }

    private static func namespaces(_ options: ContainerOptions, _ facts: SpecFacts) -> [RuntimeSpec.Namespace] {
        var result: [RuntimeSpec.Namespace] = []
        for (name, source) in options.sources where source != .host {
            result.append(RuntimeSpec.Namespace(name, path: facts.joined[name]))
        }
        result += ["mount", "cgroup"].map { RuntimeSpec.Namespace($0) }
        if let path = facts.networkNamespace { result.append(RuntimeSpec.Namespace("network", path: path)) }
        if let path = facts.userNamespace { result.append(RuntimeSpec.Namespace("user", path: path)) }
        return result
    }

    private static func resources(_ limits: Limits) -> RuntimeSpec.Resources {
        let allowed: [(String, Int64?, Int64?)] = [
            ("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 1, 8), ("c", 1, 9), ("c", 5, 0), ("c", 5, 1), ("c", 5, 2),
            ("c", 136, nil),
        ]
        var result = RuntimeSpec.Resources(
            devices: [RuntimeSpec.Resources.Device(allow: false, access: "rwm")]
                + allowed.map {
                    RuntimeSpec.Resources.Device(allow: true, type: $0.0, major: $0.1, minor: $0.2, access: "rwm")
                })
        result.memory = limits.memory.map { RuntimeSpec.Resources.Memory(limit: $0, swap: $0) }
        result.pids = limits.processes.map { RuntimeSpec.Resources.PIDs(limit: $0) }
        let quota =
            limits.cpuQuota ?? limits.cpuCount.map { Limits.CPUQuota(quota: Int64($0) * 100_000, period: 100_000) }
        if quota != nil || limits.cpuSharePercent != nil || limits.cpuSet != nil {
            result.cpu = RuntimeSpec.Resources.CPU(
                shares: limits.cpuSharePercent.map { UInt64(1024 * $0 / 100) }, quota: quota?.quota,
                period: quota.map { UInt64($0.period) }, cpus: limits.cpuSet)
        }
        return result
    }

    /// Files of the kernel that tell about the host or other instances.
    static let applicationMaskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]
    /// Files of the kernel that change the host.
    static let applicationReadOnlyPaths = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]
    static let systemMaskedPaths = [
        "/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list", "/sys/firmware",
    ]
}
