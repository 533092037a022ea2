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

    /// The bound on its processes and threads, if they have reached it: the kernel refuses further ones then.
    public func reachedProcessLimit() -> Int64? {
        guard let folder = path(of: "pids"), let limit = number("\(folder)/pids.max"),
            let count = number("\(folder)/pids.current"), count >= limit
        else { return nil }
        return limit
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

    private func number(_ path: String) -> Int64? {
        files.read(path).flatMap { text in
            var text = text
            return text.withUTF8 { Self.leadingNumber($0) }
        }
    }

    /// The value of a line `name value`.
    func field(_ name: String, in path: String) -> Int64? {
        guard var text = files.read(path) else { return nil }
        var name = name
        return text.withUTF8 { text in name.withUTF8 { Self.field($0, in: text) } }
    }

    private static func field(_ name: UnsafeBufferPointer<UInt8>, in text: UnsafeBufferPointer<UInt8>) -> Int64? {
        var start = 0
        while start + name.count < text.count {
            let value = start + name.count
            if text[value] == 0x20, text[start..<value].elementsEqual(name) {
                return leadingNumber(UnsafeBufferPointer(rebasing: text[(value + 1)...]))
            }
            guard let end = text[start...].firstIndex(of: 0x0a) else { return nil }
            start = end + 1
        }
        return nil
    }

    /// Digits up to the end of the line or the next blank; nil for anything else.
    private static func leadingNumber(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
        var value: Int64 = 0
        var count = 0
        for byte in text {
            if byte == 0x0a || byte == 0x20 { break }
            guard (48...57).contains(byte) else { return nil }
            let (larger, isOver) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOverToo) = larger.addingReportingOverflow(Int64(byte - 48))
            guard !isOver, !isOverToo else { return nil }
            value = sum
            count += 1
        }
        return count == 0 ? nil : value
    }
}
