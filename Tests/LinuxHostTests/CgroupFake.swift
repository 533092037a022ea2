import Glibc
import Synchronization

@testable import LinuxHost

/// A control group tree in memory that behaves as the kernel's does where it matters here: a new group gets its
/// files, a group with groups in it is not removed, writes are recorded in order.
final class FakeCgroups: CgroupFiles {
    struct State {
        var directories: Set<String> = []
        var files: [String: String] = [:]
        var writes: [String] = []
        var owners: [String: UInt32] = [:]
        /// What a write to a path gives, instead of taking it.
        var failures: [String: [Int32]] = [:]
    }
    let state: Mutex<State>
    /// Files of a new group by the mount point it is under.
    let template: [String: [String: String]]

    init(roots: [String: [String: String]], template: [String: [String: String]]) {
        var state = State()
        for (root, files) in roots {
            state.directories.insert(root)
            for (name, content) in files { state.files["\(root)/\(name)"] = content }
        }
        self.state = Mutex(state)
        self.template = template
    }

    static func hybrid() -> FakeCgroups {
        let memory = [
            "memory.limit_in_bytes": "max", "memory.memsw.limit_in_bytes": "9223372036854771712\n",
            "memory.usage_in_bytes": "5000\n", "memory.max_usage_in_bytes": "7000\n",
            "memory.stat": "cache 1\ntotal_inactive_file 1000\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ]
        let cpu = [
            "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000", "cpu.shares": "1024", "cpuacct.usage": "77\n",
        ]
        return FakeCgroups(
            roots: [
                "/cg/memory": [:], "/cg/cpu,cpuacct": [:], "/cg/pids": [:], "/cg/freezer": [:], "/cg/unified": [:],
                "/cg/cpuset": ["cpuset.cpus": "0-3\n", "cpuset.mems": "0\n"],
            ],
            template: [
                "/cg/memory": memory, "/cg/cpu,cpuacct": cpu, "/cg/pids": ["pids.max": "max", "pids.current": "3\n"],
                "/cg/freezer": ["freezer.state": "THAWED\n"], "/cg/cpuset": ["cpuset.cpus": "", "cpuset.mems": ""],
                "/cg/unified": [
                    "cgroup.freeze": "0", "cgroup.events": "populated 1\nfrozen 0\n", "cgroup.threads": "",
                    "cgroup.subtree_control": "", "cgroup.kill": "",
                ],
            ])
    }

    static func unified(controllers: String = "cpuset cpu io memory hugetlb pids") -> FakeCgroups {
        FakeCgroups(
            roots: ["/cg": ["cgroup.controllers": controllers + "\n", "cgroup.subtree_control": "\n"]],
            template: [
                "/cg": [
                    "cgroup.controllers": controllers + "\n", "cgroup.subtree_control": "\n", "cgroup.threads": "",
                    "cgroup.freeze": "0", "cgroup.events": "populated 1\nfrozen 0\n", "cgroup.kill": "",
                    "cpu.max": "max 100000", "cpu.weight": "100", "cpu.stat": "usage_usec 12\nuser_usec 1\n",
                    "cpuset.cpus": "", "memory.max": "max", "memory.swap.max": "max", "memory.current": "4096\n",
                    "memory.peak": "8192\n", "memory.stat": "inactive_file 96\n",
                    "memory.events": "oom 1\noom_kill 1\n", "pids.max": "max", "pids.current": "2\n",
                ]
            ])
    }

    static let hybridMounts = """
        31 23 0:28 / /cg rw,relatime - tmpfs tmpfs rw,mode=755
        32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        34 31 0:31 / /cg/cpuset rw shared:9 master:1 - cgroup cgroup rw,cpuset
        35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory
        37 31 0:34 / /cg/freezer rw - cgroup cgroup rw,freezer
        39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids
        40 31 0:37 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd
        41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw
        42 31 0:38 / /elsewhere rw - cgroup2 cgroup2 rw
        43 31 0:36 / /elsewhere/pids rw - cgroup cgroup rw,pids
        broken line
        """
    static let unifiedMounts = "30 23 0:26 / /cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

    func makeDirectory(_ path: String) -> Int32 {
        state.withLock { state in
            if state.directories.contains(path) { return -EEXIST }
            let parent = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
            guard state.directories.contains(parent) else { return -ENOENT }
            state.directories.insert(path)
            state.files["\(path)/cgroup.procs"] = ""
            for (root, files) in template where path.hasPrefix(root + "/") {
                for (name, content) in files { state.files["\(path)/\(name)"] = content }
            }
            return 0
        }
    }

    func removeDirectory(_ path: String) -> Int32 {
        state.withLock { state in
            guard state.directories.contains(path) else { return -ENOENT }
            if let code = state.failures[path]?.first {
                state.failures[path]?.removeFirst()
                return code
            }
            let inner = state.directories.contains { $0.hasPrefix(path + "/") }
            if inner || !(state.files["\(path)/cgroup.procs"] ?? "").isEmpty { return -EBUSY }
            state.directories.remove(path)
            state.files = state.files.filter { !$0.key.hasPrefix(path + "/") }
            return 0
        }
    }

    func write(_ text: String, to path: String) -> Int32 {
        state.withLock { state in
            if let code = state.failures[path]?.first {
                state.failures[path]?.removeFirst()
                return code
            }
            guard let old = state.files[path] else { return -ENOENT }
            state.writes.append("\(path) \(text == "\n" ? "empty" : text)")
            if path.hasSuffix("subtree_control") {
                state.files[path] = old.filter { $0 != "\n" } + " " + text.dropFirst()
            } else if path.hasSuffix("cgroup.procs") {
                state.files[path] = old + text + "\n"
            } else {
                state.files[path] = text
            }
            if path.hasSuffix("cgroup.freeze") {
                state.files[path.replacing("cgroup.freeze", with: "cgroup.events")] = "populated 1\nfrozen \(text)\n"
            }
            if path.hasSuffix("freezer.state") { state.files[path] = text + "\n" }
            return 0
        }
    }

    func read(_ path: String) -> String? { state.withLock { $0.files[path] } }

    func directories(_ path: String) -> [String] {
        state.withLock { state in
            state.directories.filter { $0.hasPrefix(path + "/") }.map { String($0.dropFirst(path.count + 1)) }
                .filter { !$0.contains("/") }.sorted()
        }
    }

    func exists(_ path: String) -> Bool {
        state.withLock { $0.directories.contains(path) || $0.files[path] != nil }
    }

    func changeOwner(_ path: String, user: UInt32, group: UInt32) -> Int32 {
        state.withLock { $0.owners[path] = user }
        return 0
    }

    var owners: [String: UInt32] { state.withLock { $0.owners } }
    var writes: [String] { state.withLock { $0.writes } }
    func clearWrites() { state.withLock { $0.writes = [] } }
    func fail(_ path: String, _ codes: [Int32]) { state.withLock { $0.failures[path] = codes } }
    func set(_ path: String, _ text: String) { state.withLock { $0.files[path] = text } }
    var folders: [String] { state.withLock { $0.directories.sorted() } }
}
