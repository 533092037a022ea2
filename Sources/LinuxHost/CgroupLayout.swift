import Glibc
import Model

/// Where a host's control groups are mounted (cgroups(7)): the unified tree alone (v2), or one tree per group of
/// controllers (v1), often with an additional unified tree that has few controllers or none ("hybrid").
public struct CgroupLayout: Sendable, Hashable {
    /// One tree of v1.
    public struct Hierarchy: Sendable, Hashable {
        /// Its mount point.
        public var path: String
        public var controllers: Set<String>

        public init(path: String, controllers: Set<String>) {
            self.path = path
            self.controllers = controllers
        }
    }

    /// The trees of v1 with controllers; empty on v2.
    public var hierarchies: [Hierarchy]
    /// Mount point of the unified tree; nil on v1 without one.
    public var unified: String?
    /// Mount points of v1 trees that have a name and no controllers (`name=systemd`). Nothing is put there; OCI
    /// runtimes do.
    public var named: [String]

    public init(hierarchies: [Hierarchy], unified: String?, named: [String] = []) {
        self.hierarchies = hierarchies
        self.unified = unified
        self.named = named
    }

    /// Whether the unified tree alone is in use.
    public var isUnified: Bool { hierarchies.isEmpty && unified != nil }

    /// Whether v1 is in use with a unified tree beside it.
    public var isHybrid: Bool { !hierarchies.isEmpty && unified != nil }

    /// The v1 tree of a controller; `io` is called `blkio` there.
    public func hierarchy(of controller: String) -> Hierarchy? {
        hierarchies.first { $0.controllers.contains(Self.legacyName(controller)) }
    }

    static func legacyName(_ controller: String) -> String { controller == "io" ? "blkio" : controller }

    /// Reads the layout out of a text in the format of `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)).
    ///
    /// Of several mounts of one tree the first counts.
    public init(mountInfo: String) {
        var hierarchies: [Hierarchy] = []
        var unified: String?
        var named: [String] = []
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash > 4, fields.count > dash + 3 else { continue }
            let path = Self.unescaped(fields[4])
            switch fields[dash + 1] {
            case "cgroup2" where unified == nil:
                unified = path
            case "cgroup":
                let options = fields[dash + 3].split(separator: ",").map(String.init)
                let controllers = Set(options).intersection(Self.knownControllers)
                if controllers.isEmpty, options.contains(where: { $0.hasPrefix("name=") }) {
                    named.append(path)
                } else if !controllers.isEmpty, !hierarchies.contains(where: { $0.controllers == controllers }) {
                    hierarchies.append(Hierarchy(path: path, controllers: controllers))
                }
            default: continue
            }
        }
        self.init(hierarchies: hierarchies, unified: unified, named: named)
    }

    /// The layout of this host.
    /// - Throws: `unsupported` if no control groups are mounted.
    public static func host(mountInfo path: String = "/proc/self/mountinfo") throws -> CgroupLayout {
        let layout = CgroupLayout(mountInfo: String(decoding: try readSmallFile(path, limit: 16 << 20), as: UTF8.self))
        guard layout.isUnified || !layout.hierarchies.isEmpty else {
            throw EngineError(
                .unsupported, "no control groups are mounted on this host",
                hint: "mount them: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        }
        return layout
    }

    private static let knownControllers: Set<String> = [
        "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "net_cls", "blkio", "perf_event", "net_prio",
        "hugetlb", "pids", "rdma", "misc",
    ]

    /// Undoes the octal escapes of space, tab, newline and backslash.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (48...55).contains($0) }) {
                bytes.append(digits.reduce(0) { $0 &* 8 &+ ($1 - 48) })
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
