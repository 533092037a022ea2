import LinuxHost
import Model

/// The host's huge pages of the usual size (Documentation/admin-guide/mm/hugetlbpage.rst).
enum HugePages {
    /// `conflict`, naming what is missing, if the host has not enough that are free for `bytes` of memory.
    static func check(bytes: Int64, machine: String) throws {
        let text = String(decoding: try readSmallFile("/proc/meminfo"), as: UTF8.self)
        try check(bytes: bytes, machine: machine, information: text)
    }

    static func check(bytes: Int64, machine: String, information text: String) throws {
        func number(_ key: String) -> Int64? {
            let line = text.split(separator: "\n").first { $0.hasPrefix(key + ":") }
            return line?.split(separator: " ").dropFirst().first.flatMap { Int64($0) }
        }
        guard let size = number("Hugepagesize").map({ $0 << 10 }), size > 0, let free = number("HugePages_Free") else {
            throw EngineError(
                .unsupported, "machine \(machine) wants huge pages, which this host's kernel does not have",
                hint: "unset limits.memory.hugepages")
        }
        guard bytes % size == 0 else {
            throw EngineError(
                .invalidArgument,
                "the memory of machine \(machine), \(bytes) bytes, is not made of whole huge pages of \(size) bytes",
                hint: "choose another limits.memory")
        }
        let reserved = number("HugePages_Rsvd") ?? 0
        guard free - reserved >= bytes / size else {
            throw EngineError(
                .conflict,
                "machine \(machine) wants \(bytes / size) huge pages, and this host has \(max(free - reserved, 0)) free",
                hint: "raise vm.nr_hugepages on the host, or unset limits.memory.hugepages")
        }
    }
}
