public import Model

/// The files of a control group that a set of limits is written to, in order.
public struct CgroupSetting: Sendable, Hashable {
    /// The controller that the file belongs to.
    public var controller: String
    public var file: String
    public var value: String
    /// A kernel without this file (swap accounting off) is no error.
    public var isOptional: Bool
    /// The configuration key to name in an error.
    public var key: String

    public init(_ controller: String, _ file: String, _ value: String, key: String, isOptional: Bool = false) {
        self.controller = controller
        self.file = file
        self.value = value
        self.key = key
        self.isOptional = isOptional
    }
}

extension Limits {
    /// Microseconds of processor time per period; nil is unlimited. Of a count and an allowance the smaller counts.
    var cpuTime: CPUQuota? {
        let count = cpuCount.map { CPUQuota(quota: Int64($0) * 100_000, period: 100_000) }
        guard let count, let share = cpuQuota else { return count ?? cpuQuota }
        return Double(count.quota) / Double(count.period) < Double(share.quota) / Double(share.period) ? count : share
    }

    /// The controllers that enforce these limits.
    var controllers: Set<String> {
        var names: Set<String> = []
        if cpuTime != nil || cpuSharePercent != nil { names.insert("cpu") }
        if cpuSet != nil { names.insert("cpuset") }
        if memory != nil { names.insert("memory") }
        if processes != nil { names.insert("pids") }
        return names
    }

    /// What to write on v2 (Documentation/admin-guide/cgroup-v2.rst). Every limit is written, so that one which was
    /// taken away is lifted; a memory limit holds for memory and swap together.
    public var unifiedSettings: [CgroupSetting] {
        let time = cpuTime
        return [
            CgroupSetting(
                "cpu", "cpu.max", time.map { "\($0.quota) \($0.period)" } ?? "max 100000", key: "limits.cpu"),
            CgroupSetting("cpu", "cpu.weight", "\(cpuSharePercent ?? 100)", key: "limits.cpu.allowance"),
            CgroupSetting("cpuset", "cpuset.cpus", cpuSet ?? "\n", key: "limits.cpu"),
            CgroupSetting("memory", "memory.max", memory.map(String.init) ?? "max", key: "limits.memory"),
            CgroupSetting(
                "memory", "memory.swap.max", memory == nil ? "max" : "0", key: "limits.memory", isOptional: true),
            CgroupSetting("pids", "pids.max", processes.map(String.init) ?? "max", key: "limits.processes"),
        ]
    }

    /// What to write on v1 (Documentation/admin-guide/cgroup-v1). The kernel wants the limit of memory and swap
    /// (`memsw`) never below that of memory: it goes first when the limit rises above `currentSwapLimit`.
    /// - Parameter allCPUs: what `cpuset.cpus` is without a limit: v1 takes no empty set.
    public func legacySettings(currentSwapLimit: Int64?, allCPUs: String) -> [CgroupSetting] {
        let time = cpuTime
        let bytes = memory.map(String.init) ?? "-1"
        let plain = CgroupSetting("memory", "memory.limit_in_bytes", bytes, key: "limits.memory")
        let swap = CgroupSetting(
            "memory", "memory.memsw.limit_in_bytes", bytes, key: "limits.memory", isOptional: true)
        let rises = memory.map { $0 > (currentSwapLimit ?? .max) } ?? true
        return [
            CgroupSetting("cpu", "cpu.cfs_period_us", "\(time?.period ?? 100_000)", key: "limits.cpu"),
            CgroupSetting("cpu", "cpu.cfs_quota_us", "\(time?.quota ?? -1)", key: "limits.cpu"),
            CgroupSetting("cpu", "cpu.shares", "\(1024 * (cpuSharePercent ?? 100) / 100)", key: "limits.cpu.allowance"),
            CgroupSetting("cpuset", "cpuset.cpus", cpuSet ?? allCPUs, key: "limits.cpu"),
        ] + (rises ? [swap, plain] : [plain, swap]) + [
            CgroupSetting("pids", "pids.max", processes.map(String.init) ?? "max", key: "limits.processes")
        ]
    }
}
