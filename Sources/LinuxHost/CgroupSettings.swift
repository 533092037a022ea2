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
        if cpuTime != nil || cpuSharePercent != nil || cpuShares != nil { names.insert("cpu") }
        if cpuSet != nil || memoryNodes != nil { names.insert("cpuset") }
        if memory != nil || memoryReservation != nil || swappiness != nil { names.insert("memory") }
        if processes != nil { names.insert("pids") }
        if diskWeight != nil || !(diskRates ?? []).isEmpty { names.insert("io") }
        if hugepages?.isEmpty == false { names.insert("hugetlb") }
        return names
    }

    /// What to write for huge pages (Documentation/admin-guide/cgroup-v1/hugetlb.rst, cgroup-v2.rst).
    private func hugepageSettings(_ file: String) -> [CgroupSetting] {
        (hugepages ?? [:]).sorted { $0.key < $1.key }.map { size, bytes in
            CgroupSetting("hugetlb", "hugetlb.\(size).\(file)", "\(bytes)", key: "limits.hugepages.\(size)")
        }
    }

    /// Docker's weight; the percentage of 1024 that LXD's allowance is.
    var legacyShares: Int { cpuShares ?? 1024 * (cpuSharePercent ?? 100) / 100 }

    /// The same on v2's scale of 1 to 10000 with 100 as the usual. Docker's weights of 2 to 262144 are laid over it as
    /// crun and runc do.
    var unifiedWeight: Int {
        if let cpuShares { return 1 + (cpuShares - 2) * 9999 / 262_142 }
        return cpuSharePercent ?? 100
    }

    /// Bytes of memory and swap together; nil is without bound.
    var memoryAndSwap: Int64? {
        guard let memory else { return nil }
        guard let swap else { return memory }
        return swap < 0 ? nil : memory.addingReportingOverflow(swap).overflow ? nil : memory + swap
    }

    /// What to write on v2 (Documentation/admin-guide/cgroup-v2.rst). Every limit is written, so that one which was
    /// taken away is lifted; a memory limit holds for memory and swap together.
    public var unifiedSettings: [CgroupSetting] {
        let time = cpuTime
        return [
            CgroupSetting(
                "cpu", "cpu.max", time.map { "\($0.quota) \($0.period)" } ?? "max 100000", key: "limits.cpu"),
            CgroupSetting("cpu", "cpu.weight", "\(unifiedWeight)", key: "limits.cpu.shares"),
            CgroupSetting("cpuset", "cpuset.cpus", cpuSet ?? "\n", key: "limits.cpu"),
            CgroupSetting("memory", "memory.max", memory.map(String.init) ?? "max", key: "limits.memory"),
            CgroupSetting(
                "memory", "memory.swap.max", unifiedSwap, key: "limits.memory.swap", isOptional: true),
            CgroupSetting("pids", "pids.max", processes.map(String.init) ?? "max", key: "limits.processes"),
        ] + unifiedExtras
    }

    /// Settings that are left alone unless they are asked for.
    private var unifiedExtras: [CgroupSetting] {
        var settings: [CgroupSetting] = []
        if let memoryReservation {
            settings.append(
                CgroupSetting("memory", "memory.low", "\(memoryReservation)", key: "limits.memory.reservation"))
        }
        if let memoryNodes {
            settings.append(CgroupSetting("cpuset", "cpuset.mems", memoryNodes, key: "limits.cpu.nodes"))
        }
        if let diskWeight {
            settings.append(CgroupSetting("io", "io.weight", "default \(diskWeight)", key: "limits.disk.weight"))
        }
        return settings + hugepageSettings("max")
    }

    private var unifiedSwap: String {
        guard memory != nil || swap != nil else { return "max" }
        guard let swap else { return "0" }
        return swap < 0 ? "max" : String(swap)
    }

    /// What to write on v1 (Documentation/admin-guide/cgroup-v1). The kernel wants the limit of memory and swap
    /// (`memsw`) never below that of memory: it goes first when the limit rises above `currentSwapLimit`.
    /// - Parameter allCPUs: what `cpuset.cpus` is without a limit: v1 takes no empty set.
    public func legacySettings(currentSwapLimit: Int64?, allCPUs: String) -> [CgroupSetting] {
        let time = cpuTime
        let bytes = memory.map(String.init) ?? "-1"
        let plain = CgroupSetting("memory", "memory.limit_in_bytes", bytes, key: "limits.memory")
        let total = memoryAndSwap
        let swap = CgroupSetting(
            "memory", "memory.memsw.limit_in_bytes", total.map(String.init) ?? "-1", key: "limits.memory.swap",
            isOptional: true)
        let rises = total.map { $0 > (currentSwapLimit ?? .max) } ?? true
        return [
            CgroupSetting("cpu", "cpu.cfs_period_us", "\(time?.period ?? 100_000)", key: "limits.cpu"),
            CgroupSetting("cpu", "cpu.cfs_quota_us", "\(time?.quota ?? -1)", key: "limits.cpu"),
            CgroupSetting("cpu", "cpu.shares", "\(legacyShares)", key: "limits.cpu.shares"),
            CgroupSetting("cpuset", "cpuset.cpus", cpuSet ?? allCPUs, key: "limits.cpu"),
        ] + (rises ? [swap, plain] : [plain, swap]) + legacyExtras + [
            CgroupSetting("pids", "pids.max", processes.map(String.init) ?? "max", key: "limits.processes")
        ]
    }

    private var legacyExtras: [CgroupSetting] {
        var settings: [CgroupSetting] = []
        if let memoryReservation {
            settings.append(
                CgroupSetting(
                    "memory", "memory.soft_limit_in_bytes", "\(memoryReservation)", key: "limits.memory.reservation"))
        }
        if let swappiness {
            settings.append(
                CgroupSetting("memory", "memory.swappiness", "\(swappiness)", key: "limits.memory.swappiness"))
        }
        if let memoryNodes {
            settings.append(CgroupSetting("cpuset", "cpuset.mems", memoryNodes, key: "limits.cpu.nodes"))
        }
        if let diskWeight {
            settings.append(
                CgroupSetting("io", "blkio.bfq.weight", "\(diskWeight)", key: "limits.disk.weight"))
        }
        return settings + hugepageSettings("limit_in_bytes")
    }
}
