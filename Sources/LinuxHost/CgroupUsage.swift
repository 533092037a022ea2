public import Model

extension Cgroup {
    /// What the group uses now.
    public func usage() -> Usage {
        host.layout.isUnified ? unifiedUsage() : legacyUsage()
    }

    /// How many of its processes the kernel has killed because the memory limit was reached.
    public func outOfMemoryKills() -> Int64 {
        guard let memory = path(of: "memory") else { return 0 }
        let file = host.layout.isUnified ? "memory.events" : "memory.oom_control"
        return field("oom_kill", in: "\(memory)/\(file)") ?? 0
    }

    private func unifiedUsage() -> Usage {
        guard let unified else { return Usage() }
        return Usage(
            cpuNanoseconds: field("usage_usec", in: "\(unified)/cpu.stat").map { $0 * 1000 },
            memory: number("\(unified)/memory.current").map {
                // As the tools of the field do: cache that would be dropped first is not "used".
                max(0, $0 - (field("inactive_file", in: "\(unified)/memory.stat") ?? 0))
            },
            memoryPeak: number("\(unified)/memory.peak"),
            processes: number("\(unified)/pids.current") ?? Int64(pids().count))
    }

    private func legacyUsage() -> Usage {
        let memory = path(of: "memory")
        let used = memory.flatMap { folder in
            number("\(folder)/memory.usage_in_bytes").map {
                max(0, $0 - (field("total_inactive_file", in: "\(folder)/memory.stat") ?? 0))
            }
        }
        return Usage(
            cpuNanoseconds: path(of: "cpuacct").flatMap { number("\($0)/cpuacct.usage") },
            memory: used,
            memoryPeak: memory.flatMap { number("\($0)/memory.max_usage_in_bytes") },
            processes: path(of: "pids").flatMap { number("\($0)/pids.current") } ?? Int64(pids().count))
    }

    private func number(_ path: String) -> Int64? { host.words(path).first.flatMap { Int64($0) } }

    /// The value of a line `name value`.
    func field(_ name: String, in path: String) -> Int64? {
        for line in (files.read(path) ?? "").split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == name { return Int64(parts[1]) }
        }
        return nil
    }
}
