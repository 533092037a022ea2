/// The options of docker run that say more about a container than `InstanceOptions` has, as typed.
public struct ContainerFlags: Sendable {
    public var ulimits: [String] = []
    public var sysctls: [String] = []
    public var tmpfs: [String] = []
    public var sharedMemory: String?
    public var hosts: [String] = []
    public var nameServers: [String] = []
    public var searchDomains: [String] = []
    public var resolverOptions: [String] = []
    public var domainName: String?
    public var hasInit = false
    public var groups: [String] = []
    public var userNamespace: String?
    public var processes: String?
    public var ipc: String?
    public var hostNames: String?
    public var outOfMemoryScore: String?
    public var swap: String?
    public var reservation: String?
    public var swappiness: String?
    public var cpuShares: String?
    public var cpuSet: String?
    public var memoryNodes: String?
    public var cpuPeriod: String?
    public var cpuQuota: String?
    public var diskWeight: String?
    public var healthCommand: String?
    public var healthInterval: String?
    public var healthTimeout: String?
    public var healthStartPeriod: String?
    public var healthStartInterval: String?
    public var healthRetries: String?
    public var healthAction: String?
    public var noHealthCheck = false
    public var logDriver: String?
    public var logOptions: [String] = []
    public var aliases: [String] = []
    public var ipv4: String?
    public var ipv6: String?
    public var mac: String?

    public init() {}

    /// The configuration keys that they stand for. `memory` is `--memory`, which `--memory-swap` includes.
    func config(memory: String?) throws(UsageError) -> [String: String] {
        var config: [String: String] = [:]
        for text in ulimits {
            let (name, value) = try KeyValue.pair(text, option: "--ulimit")
            config["limits.kernel." + name] = value
        }
        for text in sysctls {
            let (name, value) = try KeyValue.pair(text, option: "--sysctl")
            config["linux.sysctl." + name] = value
        }
        config["oci.shm_size"] = try size(sharedMemory, "--shm-size")
        if !hosts.isEmpty { config["oci.hosts"] = try hosts.map(Self.host).joined(separator: ",") }
        config["oci.dns.servers"] = Self.list(nameServers)
        config["oci.dns.search"] = Self.list(searchDomains)
        config["oci.dns.options"] = Self.list(resolverOptions)
        config["oci.domainname"] = domainName
        if hasInit { config["oci.init"] = "true" }
        config["oci.groups"] = Self.list(groups)
        config["oci.userns"] = userNamespace
        config["oci.pid"] = processes.map(Self.namespace)
        config["oci.ipc"] = ipc.map(Self.namespace)
        config["oci.uts"] = hostNames
        config["oci.oom_score_adj"] = outOfMemoryScore
        try addLimits(to: &config, memory: memory)
        try addHealth(to: &config)
        config["logs.driver"] = logDriver
        for text in logOptions {
            let (name, value) = try KeyValue.pair(text, option: "--log-opt")
            switch name {
            case "max-size": config["logs.max_size"] = try Quantity.size(value, option: "--log-opt max-size")
            case "max-file": config["logs.files"] = value
            default:
                throw UsageError("--log-opt \(Quantity.quoted(name)) is not known", hint: "max-size and max-file are")
            }
        }
        return config
    }

    private func addLimits(to config: inout [String: String], memory: String?) throws(UsageError) {
        config["limits.memory.reservation"] = try size(reservation, "--memory-reservation")
        if let swap {
            if swap == "-1" {
                config["limits.memory.swap"] = "true"
            } else {
                // Docker's figure is memory and swap together.
                guard let memory else {
                    throw UsageError("--memory-swap needs --memory", hint: "it is the sum of memory and swap")
                }
                let total = try Self.bytes(swap, "--memory-swap")
                let own = try Self.bytes(memory, "--memory")
                guard total >= own else { throw UsageError("--memory-swap is less than --memory") }
                config["limits.memory.swap"] = total == own ? "false" : "\(total - own)B"
            }
        }
        config["limits.memory.swappiness"] = swappiness
        config["limits.cpu.shares"] = cpuShares
        // One number alone would be a count.
        if let cpuSet { config["limits.cpu"] = cpuSet.allSatisfy(\.isNumber) ? "\(cpuSet)-\(cpuSet)" : cpuSet }
        config["limits.cpu.nodes"] = memoryNodes
        if let cpuQuota {
            config["limits.cpu.allowance"] = "\(cpuQuota)us/\(cpuPeriod ?? "100000")us"
        } else if cpuPeriod != nil {
            throw UsageError("--cpu-period needs --cpu-quota")
        }
        config["limits.disk.weight"] = diskWeight
    }

    private func addHealth(to config: inout [String: String]) throws(UsageError) {
        if noHealthCheck {
            guard healthCommand == nil else { throw UsageError("--health-cmd and --no-healthcheck exclude each other") }
            config["health.test"] = #"["NONE"]"#
        }
        if let healthCommand { config["health.test"] = JSONText.array(["CMD-SHELL", healthCommand]) }
        config["health.interval"] = healthInterval
        config["health.timeout"] = healthTimeout
        config["health.start_period"] = healthStartPeriod
        config["health.start_interval"] = healthStartInterval
        config["health.retries"] = healthRetries
        config["health.on_failure"] = healthAction
    }

    /// Devices that they stand for; `nic` is the one that `--network` made or the profile's.
    func devices() throws(UsageError) -> [String: [String: String]] {
        var devices: [String: [String: String]] = [:]
        for (index, text) in tmpfs.enumerated() { devices["tmpfs-\(index)"] = try Self.tmpfs(text) }
        return devices
    }

    /// What is said about the interface.
    var nic: [String: String] {
        var keys: [String: String] = [:]
        keys["aliases"] = Self.list(aliases)
        keys["ipv4.address"] = ipv4
        keys["ipv6.address"] = ipv6
        keys["hwaddr"] = mac
        return keys
    }

    /// `PATH[:size=64m,mode=1777,…]`.
    private static func tmpfs(_ text: String) throws(UsageError) -> [String: String] {
        let halves = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard let path = halves.first, path.hasPrefix("/") else {
            throw UsageError("--tmpfs \(Quantity.quoted(text)) is no path", hint: "write /run or /run:size=64m")
        }
        var device = ["type": "disk", "source": "tmpfs:", "path": path]
        // Docker's default; `exec` among the options takes it back.
        var words = ["noexec"]
        for option in halves.count == 2 ? halves[1].split(separator: ",").map(String.init) : [] {
            let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2, ["size", "mode", "uid", "gid"].contains(parts[0]) {
                device[parts[0]] = parts[1]
            } else {
                words.append(option)
            }
        }
        device["raw.mount.options"] = words.joined(separator: ",")
        return device
    }

    /// `NAME:ADDRESS`, or with `=` between them.
    private static func host(_ text: String) throws(UsageError) -> String {
        let separator = text.firstIndex(of: "=") ?? text.firstIndex(of: ":")
        guard let separator, separator > text.startIndex else {
            throw UsageError("--add-host \(Quantity.quoted(text)) is no host", hint: "write NAME:ADDRESS")
        }
        var address = text[text.index(after: separator)...]
        if address.hasPrefix("["), address.hasSuffix("]") { address = address.dropFirst().dropLast() }
        return "\(text[..<separator])=\(address)"
    }

    /// Docker's `container:NAME`.
    static func namespace(_ text: String) -> String {
        text.hasPrefix("container:") ? "instance:" + text.dropFirst("container:".count) : text
    }

    private static func bytes(_ text: String, _ option: String) throws(UsageError) -> Int64 {
        let canonical = try Quantity.size(text, option: option)
        let digits = canonical.prefix { $0.isNumber || $0 == "." }
        let powers: [Substring: Double] = [
            "": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1024, "MiB": 1_048_576,
            "GiB": 1_073_741_824, "TiB": 1_099_511_627_776,
        ]
        guard let number = Double(digits), let factor = powers[canonical.dropFirst(digits.count)],
            number * factor < 1e18
        else { throw UsageError("\(option) \(Quantity.quoted(text)) is no size in bytes") }
        return Int64(number * factor)
    }

    private func size(_ text: String?, _ option: String) throws(UsageError) -> String? {
        guard let text else { return nil }
        return try Quantity.size(text, option: option)
    }

    private static func list(_ items: [String]) -> String? { items.isEmpty ? nil : items.joined(separator: ",") }
}

/// `--device` in Docker's form: `/dev/x[:/dev/y][:rwm]`.
enum DeviceFlag {
    /// The keys of the device but its type, which the host's file tells; nil if `text` is of LXD's form.
    static func keys(_ text: String, isBlock: (String) -> Bool) throws(UsageError) -> [String: String]? {
        guard text.hasPrefix("/") else { return nil }
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var keys = ["source": parts.removeFirst()]
        if let last = parts.last, !last.hasPrefix("/") {
            guard !last.isEmpty, last.allSatisfy({ "rwm".contains($0) }) else {
                throw UsageError(
                    "--device \(Quantity.quoted(text)): \(Quantity.quoted(last)) is no permission", hint: "some of rwm")
            }
            keys["permissions"] = last
            parts.removeLast()
        }
        guard parts.count <= 1 else {
            throw UsageError("--device \(Quantity.quoted(text)) is no device", hint: "write /dev/x[:/dev/y][:rwm]")
        }
        keys["path"] = parts.first ?? keys["source"]
        keys["type"] = isBlock(keys["source"] ?? "") ? "unix-block" : "unix-char"
        return keys
    }
}
