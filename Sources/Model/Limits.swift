/// Resource limits of one instance; nil is unlimited. All but `cpuSet` of a machine may change while it runs.
public struct Limits: Sendable, Hashable, Codable {
    /// Number of processors' worth of time (`limits.cpu=2`); enforced as quota for containers and modules, as
    /// virtual processors for machines.
    public var cpuCount: Int?
    /// Processors it may run on (`limits.cpu=0-1,3`), in cpuset(7) list format.
    public var cpuSet: String?
    /// Hard share of time (`limits.cpu.allowance=25ms/100ms`), in microseconds.
    public var cpuQuota: CPUQuota?
    /// Soft share of time under contention (`limits.cpu.allowance=50%`), 1 to 100.
    public var cpuSharePercent: Int?
    /// Bytes (`limits.memory`); for a machine the size of its memory.
    public var memory: Int64?
    /// Number of processes and threads (`limits.processes`).
    public var processes: Int64?

    /// Bytes that are kept for it when the host runs short (`limits.memory.reservation`).
    public var memoryReservation: Int64?
    /// Bytes of swap beside `memory` (`limits.memory.swap`); -1 is without bound. Nil with a memory limit: none.
    public var swap: Int64?
    /// 0 to 100 (`limits.memory.swappiness`).
    public var swappiness: Int?
    /// Weight of its processor time under contention, 2 to 262144, 1024 being the usual (`limits.cpu.shares`).
    public var cpuShares: Int?
    /// Memory nodes it may use, in cpuset(7) list format (`limits.cpu.nodes`).
    public var memoryNodes: String?
    /// Weight of its disk traffic, 10 to 1000 (`limits.disk.weight`).
    public var diskWeight: Int?
    /// Most bytes of huge pages by their size (`limits.hugepages.2MB`); one of `hugepageSizes`.
    public var hugepages: [String: Int64]?

    /// Sizes of huge pages that processors have, as the kernel's control groups write them.
    public static let hugepageSizes = ["64KB", "1MB", "2MB", "1GB"]

    /// `quota` microseconds of processor time in each `period` microseconds.
    public struct CPUQuota: Sendable, Hashable, Codable {
        public var quota: Int64
        public var period: Int64
        public init(quota: Int64, period: Int64) {
            self.quota = quota
            self.period = period
        }
    }

    /// What may be read from and written to the disks below paths of the host; nil is no rate at all.
    public var diskRates: [DiskRate]?

    /// Rates of the disk that holds `path`; nil is unlimited.
    public struct DiskRate: Sendable, Hashable, Codable {
        /// Absolute, on the host.
        public var path: String
        /// Bytes a second.
        public var readBytes: Int64?
        public var writeBytes: Int64?
        /// Operations a second.
        public var readOperations: Int64?
        public var writeOperations: Int64?
        public init(
            path: String, readBytes: Int64? = nil, writeBytes: Int64? = nil, readOperations: Int64? = nil,
            writeOperations: Int64? = nil
        ) {
            self.path = path
            self.readBytes = readBytes
            self.writeBytes = writeBytes
            self.readOperations = readOperations
            self.writeOperations = writeOperations
        }
    }

    public init(
        cpuCount: Int? = nil, cpuSet: String? = nil, cpuQuota: CPUQuota? = nil, cpuSharePercent: Int? = nil,
        memory: Int64? = nil, processes: Int64? = nil
    ) {
        self.cpuCount = cpuCount
        self.cpuSet = cpuSet
        self.cpuQuota = cpuQuota
        self.cpuSharePercent = cpuSharePercent
        self.memory = memory
        self.processes = processes
    }
}

/// What an instance uses right now; nil where the host does not account it.
public struct Usage: Sendable, Hashable, Codable {
    /// Processor time since start, nanoseconds.
    public var cpuNanoseconds: Int64?
    /// Bytes of memory in use and the highest value since start.
    public var memory: Int64?
    public var memoryPeak: Int64?
    public var processes: Int64?
    /// Bytes of memory that a machine has; nil for what shares the host's.
    public var memoryTotal: Int64?

    public init(
        cpuNanoseconds: Int64? = nil, memory: Int64? = nil, memoryPeak: Int64? = nil, processes: Int64? = nil
    ) {
        self.cpuNanoseconds = cpuNanoseconds
        self.memory = memory
        self.memoryPeak = memoryPeak
        self.processes = processes
    }
}
