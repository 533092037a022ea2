import CHost
import Glibc

/// What `info` and `version` say of the machine.
enum HostFacts {
    static var kernel: String { name { $0.release } }
    static var architecture: String { name { $0.machine } }
    static var processors: Int64 { Int64(sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
    static var memory: Int64 { Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE))) }

    /// `PRETTY_NAME` of os-release(5).
    static var operatingSystem: String {
        for line in (text("/etc/os-release") ?? "").split(separator: "\n") where line.hasPrefix("PRETTY_NAME=") {
            return line.dropFirst(12).filter { $0 != "\"" }
        }
        return "Linux"
    }

    /// Processor time of the whole machine since it started, nanoseconds (proc_stat(5)).
    static var systemCPU: Int64 {
        guard let line = text("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("cpu ") }) else {
            return 0
        }
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int64($0) }.reduce(0, +)
        return ticks * 1_000_000_000 / Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }

    static var isUnifiedCgroup: Bool { access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 }

    /// A small file; nil if it cannot be read.
    private static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }

    /// A field of uname(2).
    private static func name<Field>(_ field: (utsname) -> Field) -> String {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: field(name)) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
