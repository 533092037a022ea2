import Model

/// Docker's limits as `limits.` keys.
enum LimitTranslation {
    static func config(_ resources: ResourcesBody, warnings: inout [String]) throws -> [String: String] {
        var config: [String: String] = [:]
        if let memory = resources.memory { config["limits.memory"] = "\(memory)" }
        if let allowance = try allowance(resources, &warnings) { config["limits.cpu.allowance"] = allowance }
        if let set = resources.cpusetCpus {
            // A single number would be read as a count.
            config["limits.cpu"] = set.utf8.allSatisfy { (48...57).contains($0) } ? "\(set)-\(set)" : set
        }
        if let processes = resources.pidsLimit, processes > 0 { config["limits.processes"] = "\(processes)" }
        if let shares = resources.cpuShares {
            guard shares >= 2 else { throw EngineError(.invalidArgument, "CpuShares \(shares): at least 2") }
            config["limits.cpu.shares"] = "\(min(262_144, shares))"
        }
        if let bytes = resources.memoryReservation { config["limits.memory.reservation"] = "\(bytes)" }
        if let swap = resources.memorySwap { config["limits.memory.swap"] = try Self.swap(swap, resources.memory) }
        if let swappiness = resources.swappiness, swappiness >= 0 {
            config["limits.memory.swappiness"] = "\(swappiness)"
        }
        if let nodes = resources.cpusetMems { config["limits.cpu.nodes"] = nodes }
        if let weight = resources.blkioWeight { config["limits.disk.weight"] = "\(weight)" }
        for field in resources.ignored { warnings.append("\(field) is not supported here: it was ignored") }
        return config
    }

    /// Docker counts memory and swap together; -1 is swap without bound.
    private static func swap(_ both: Int64, _ memory: Int64?) throws -> String {
        if both < 0 { return "true" }
        guard let memory else {
            throw EngineError(.invalidArgument, "You should always set the Memory limit when using Memoryswap limit")
        }
        guard both >= memory else {
            throw EngineError(
                .invalidArgument, "Minimum memoryswap limit should be larger than memory limit, see usage")
        }
        return both == memory ? "false" : "\(both - memory)"
    }

    /// The period is 100 ms and quotas are whole milliseconds.
    private static func allowance(_ resources: ResourcesBody, _ warnings: inout [String]) throws -> String? {
        var share: Double?
        if let nano = resources.nanoCPUs {
            guard nano > 0 else { throw EngineError(.invalidArgument, "invalid NanoCPUs: \(nano)") }
            if resources.cpuQuota != nil || resources.cpuPeriod != nil {
                throw EngineError(
                    .invalidArgument, "Conflicting options: Nano CPUs and CPU Period cannot both be set.")
            }
            share = Double(nano) / 1e9
        } else if let quota = resources.cpuQuota, quota > 0 {
            let period = resources.cpuPeriod ?? 100_000
            guard (1000...1_000_000).contains(period) else {
                throw EngineError(
                    .invalidArgument,
                    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
            }
            guard quota >= 1000 else {
                throw EngineError(.invalidArgument, "CPU cfs quota can not be less than 1ms (i.e. 1000)")
            }
            share = Double(quota) / Double(period)
        }
        if let share { return "\(min(1_000_000, max(1, Int((share * 100).rounded()))))ms/100ms" }
        return nil
    }

    /// Limits that are in force back in Docker's terms, for inspect. A quota shows as it was asked for.
    static func shown(_ keys: [String: String]) -> JSON {
        var members: [JSON.Member] = []
        for (field, key) in [
            ("Memory", "limits.memory"), ("CpuShares", "limits.cpu.shares"), ("PidsLimit", "limits.processes"),
            ("MemoryReservation", "limits.memory.reservation"), ("MemorySwappiness", "limits.memory.swappiness"),
            ("BlkioWeight", "limits.disk.weight"),
        ] {
            if let value = keys[key].flatMap({ Int64($0) }) {
                members.append(.init(key: field, value: .integer(value)))
            }
        }
        if let nodes = keys["limits.cpu.nodes"] { members.append(.init(key: "CpusetMems", value: .string(nodes))) }
        if let set = keys["limits.cpu"], set.contains("-") || set.contains(",") {
            let ends = set.split(separator: "-")
            let isOne = !set.contains(",") && ends.count == 2 && ends[0] == ends[1]
            members.append(.init(key: "CpusetCpus", value: .string(isOne ? String(ends[0]) : set)))
        }
        switch keys["limits.memory.swap"] {
        case nil: break
        case "true": members.append(.init(key: "MemorySwap", value: -1))
        case let swap?:
            let memory = keys["limits.memory"].flatMap { Int64($0) } ?? 0
            members.append(.init(key: "MemorySwap", value: .integer(memory + (Int64(swap) ?? 0))))
        }
        return .object(members)
    }

    /// A quota back in Docker's terms, for inspect: nanoseconds per second.
    static func nanoCPUs(_ allowance: String?) -> Int64? {
        let parts = (allowance ?? "").split(separator: "/")
        guard parts.count == 2, let quota = Double(parts[0].dropLast(2)), let period = Double(parts[1].dropLast(2)),
            period > 0
        else { return nil }
        return Int64(quota / period * 1e9)
    }
}
