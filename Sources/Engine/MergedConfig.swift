public import Model

/// An instance's configuration and devices with its profiles merged below them.
public struct MergedConfig: Sendable {
    public var config: [String: String]
    public var devices: [String: [String: String]]

    /// Later profiles win over earlier ones, the instance's own keys over all; a device is replaced as a whole.
    public init(_ record: InstanceRecord, profiles: [ProfileRecord]) {
        var config: [String: String] = [:]
        var devices: [String: [String: String]] = [:]
        for profile in profiles {
            config.merge(profile.config) { $1 }
            // A module is granted nothing by default: a network only by a device of its own.
            let granted = profile.devices.filter { record.kind != .module || $0.value["type"] != "nic" }
            devices.merge(granted) { $1 }
        }
        self.config = config.merging(record.config) { $1 }
        self.devices = devices.merging(record.devices) { $1 }
    }

    func flag(_ key: String) -> Bool? { config[key].flatMap(Units.bool) }

    func seconds(_ key: String) -> Duration? {
        config[key].flatMap(Double.init).map { .milliseconds(Int64($0 * 1000)) }
    }

    /// The limits, `hostMemory` being what a percentage of memory refers to.
    func limits(hostMemory: Int64) throws -> Limits {
        var limits = Limits()
        if let text = config["limits.cpu"] {
            // `0` is the first processor: no count is zero.
            if let count = Int(text), count > 0 { limits.cpuCount = count } else { limits.cpuSet = text }
        }
        if let text = config["limits.cpu.allowance"] {
            if text.hasSuffix("%") {
                limits.cpuSharePercent = Int(text.dropLast())
            } else {
                limits.cpuQuota = Units.quota(text)
            }
        }
        if let text = config["limits.memory"] {
            limits.memory =
                text.hasSuffix("%") ? Int64(text.dropLast()).map { hostMemory / 100 * $0 } : Units.bytes(text)
        }
        limits.processes = config["limits.processes"].flatMap(Int64.init)
        limits.memoryReservation = config["limits.memory.reservation"].flatMap(Units.bytes)
        limits.swap = config["limits.memory.swap"].flatMap(Self.swap)
        limits.swappiness = config["limits.memory.swappiness"].flatMap(Int.init)
        limits.cpuShares = config["limits.cpu.shares"].flatMap(Int.init)
        limits.memoryNodes = config["limits.cpu.nodes"]
        limits.diskWeight = config["limits.disk.weight"].flatMap(Int.init)
        let pages = Limits.hugepageSizes.compactMap { size in
            config["limits.hugepages." + size].flatMap(Units.bytes).map { (size, $0) }
        }
        if !pages.isEmpty { limits.hugepages = Dictionary(uniqueKeysWithValues: pages) }
        applyPriorities(&limits)
        return limits
    }

    /// LXD's priorities from 0 to 10, where the plain weights are not given.
    private func applyPriorities(_ limits: inout Limits) {
        func priority(_ key: String) -> Int? { config[key].flatMap { Int($0) } }
        if let priority = priority("limits.cpu.priority"), limits.cpuShares == nil {
            limits.cpuShares = max(1024 * (limits.cpuSharePercent ?? 100) / 100 - (10 - priority), 2)
        }
        if let priority = priority("limits.disk.priority") {
            limits.diskWeight = limits.diskWeight ?? max(priority * 100, 10)
        }
        if let priority = priority("limits.memory.swap.priority") {
            limits.swappiness = limits.swappiness ?? 50 + priority
        }
        if config["limits.memory.enforce"] == "soft", let memory = limits.memory {
            (limits.memory, limits.memoryReservation) = (nil, limits.memoryReservation ?? memory)
        }
    }

    /// `true` is without bound, `false` none, else bytes beside the memory. `1` and `0` are LXD's true and false.
    private static func swap(_ text: String) -> Int64? {
        if let flag = Units.bool(text) { return flag ? -1 : 0 }
        return Units.bytes(text)
    }

    var security: SecurityOptionsValues {
        SecurityOptionsValues(
            privileged: flag("security.privileged") ?? false, nesting: flag("security.nesting") ?? false,
            readOnlyRoot: flag("security.readonly") ?? false, noNewPrivileges: flag("security.no_new_privileges"),
            add: capabilities("security.capabilities.add"), drop: capabilities("security.capabilities.drop"),
            seccomp: config["security.seccomp"]
                ?? (flag("security.syscalls.deny_default") == false ? "unconfined" : "default"))
    }

    private func capabilities(_ key: String) -> [String] {
        (config[key] ?? "").split(separator: ",").map { word in
            let name = word.uppercased()
            return name == "ALL" || name.hasPrefix("CAP_") ? name : "CAP_" + name
        }
    }
}

/// The `security.` keys as they were set; what is nil has a default that depends on the kind.
struct SecurityOptionsValues: Sendable {
    var privileged: Bool
    var nesting: Bool
    var readOnlyRoot: Bool
    var noNewPrivileges: Bool?
    var add: [String]
    var drop: [String]
    var seccomp: String
}
