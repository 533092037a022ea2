import CHost
import Glibc
import LinuxHost
import Model

/// Processors of the host that a process may run on.
enum Affinity {
    /// Binds all threads of `pid` to `list` (cpuset(7), "List format").
    static func apply(_ list: String, to pid: Int32) throws {
        let processors = try parse(list)
        var mask = [UInt8](repeating: 0, count: 128)
        for processor in processors { mask[processor / 8] |= 1 << UInt8(processor % 8) }
        for entry in try RootDirectory(path: "/proc/\(pid)/task").list() {
            guard let thread = Int32(entry.name.text) else { continue }
            let result = isle_set_affinity(thread, mask.count, mask)
            guard result == 0 || result == -ESRCH else {
                throw EngineError(.invalidArgument, "limits.cpu '\(list)' cannot be set: \(String(errno: -result))")
            }
        }
    }

    /// Lets all threads of `pid` run anywhere.
    static func release(_ pid: Int32) throws { try apply("0-1023", to: pid) }

    static func parse(_ list: String) throws -> [Int] {
        var processors: [Int] = []
        for part in list.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                (0...1023).contains(first), (first...1023).contains(last)
            else { throw EngineError(.invalidArgument, "limits.cpu \(Names.quoted(list)) is not a list of processors") }
            processors += Array(first...last)
        }
        return processors
    }
}
