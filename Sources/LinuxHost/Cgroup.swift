import Glibc
public import Model

/// The control group of one instance: one folder in each tree that it has joined.
public struct Cgroup: Sendable {
    /// Its folder in one tree.
    public struct Folder: Sendable, Hashable {
        public var path: String
        /// The controllers of a v1 tree; empty in the unified tree, where the files tell.
        public var controllers: Set<String>
        public var isUnified: Bool
    }

    public let name: String
    let host: CgroupHost
    public internal(set) var folders: [Folder]

    var files: any CgroupFiles { host.files }
    var unified: String? { folders.first(where: \.isUnified)?.path }

    /// Whether it has not been removed: looked up in one of its trees.
    public var isThere: Bool { folders.first.map { files.exists($0.path) } ?? false }

    /// The folders whose `cgroup.procs` a process writes itself into to join.
    public var joinFolders: [String] { folders.map(\.path) }

    /// The folders for a further process of an instance that makes groups of its own: on the unified tree a group
    /// that passes controllers on takes no processes, so those get a leaf, which belongs to the instance.
    public func leafFolders(owner: UInt32) throws -> [String] {
        try folders.map { folder in
            guard folder.isUnified else { return folder.path }
            let leaf = "\(folder.path)/isle.exec"
            let result = files.makeDirectory(leaf)
            guard result == 0 || result == -EEXIST else {
                throw EngineError.cgroup(-result, "create control group \(leaf)")
            }
            if result == 0 { try delegate(folder: leaf, to: owner) }
            return leaf
        }
    }

    func path(of controller: String) -> String? {
        folders.first {
            $0.isUnified
                ? host.layout.isUnified : $0.controllers.contains(CgroupLayout.legacyName(controller))
        }?.path
    }

    // MARK: - Making

    /// Joins a further v1 tree.
    mutating func add(_ hierarchy: CgroupLayout.Hierarchy) throws {
        guard !folders.contains(where: { $0.controllers == hierarchy.controllers }) else { return }
        let parent = "\(hierarchy.path)/\(host.parent)"
        let path = "\(parent)/\(name)"
        try host.make(path, parent: parent)
        if hierarchy.controllers.contains("cpuset") { try fillCpuset([hierarchy.path, parent, path]) }
        folders.append(Folder(path: path, controllers: hierarchy.controllers, isUnified: false))
    }

    /// A v1 cpuset takes no process before it has processors and memory nodes; they come from its parent.
    private func fillCpuset(_ chain: [String]) throws {
        for (outer, inner) in zip(chain, chain.dropFirst()) {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                guard host.words("\(inner)/\(file)").isEmpty else { continue }
                let value = host.words("\(outer)/\(file)").first ?? "0"
                let result = files.write(value, to: "\(inner)/\(file)")
                guard result == 0 else { throw EngineError.cgroup(-result, "set \(file) of \(inner)") }
            }
        }
    }

    func delegate(to owner: UInt32) throws {
        if let unified { try delegate(folder: unified, to: owner) }
    }

    private func delegate(folder: String, to owner: UInt32) throws {
        for path in ["", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"].map({ folder + $0 }) {
            let result = files.changeOwner(path, user: owner, group: owner)
            guard result == 0 else { throw EngineError.cgroup(-result, "give control group \(path) to id \(owner)") }
        }
    }

    // MARK: - Limits

    /// Applies the limits as a whole; those that are nil are lifted. What was written before a failure stays.
    /// - Throws: `conflict` when more is in use than the new limit allows; `unsupported` when the host lacks a
    ///   controller; `invalidArgument` when the kernel refuses the value.
    public func apply(_ limits: Limits) throws {
        if host.layout.isUnified {
            for setting in limits.unifiedSettings + (try limits.diskSettings(unified: true)) {
                try write(setting, isNeeded: limits.controllers)
            }
            return
        }
        var group = self
        for controller in limits.controllers.sorted() where path(of: controller) == nil {
            guard let hierarchy = host.layout.hierarchy(of: controller) else {
                throw EngineError(
                    .unsupported, "this host has no control group controller '\(controller)', which a limit needs")
            }
            try group.add(hierarchy)
            try group.moveAll(to: "\(hierarchy.path)/\(host.parent)/\(name)")
        }
        let swap = group.path(of: "memory").flatMap { host.words("\($0)/memory.memsw.limit_in_bytes").first }
        let cpus = host.layout.hierarchy(of: "cpuset").flatMap { host.words("\($0.path)/cpuset.cpus").first }
        let settings = limits.legacySettings(currentSwapLimit: swap.flatMap { Int64($0) }, allCPUs: cpus ?? "0")
        for setting in settings + (try limits.diskSettings(unified: false)) {
            try group.write(setting, isNeeded: limits.controllers)
        }
    }

    private func write(_ setting: CgroupSetting, isNeeded: Set<String>) throws {
        guard let folder = path(of: setting.controller) else { return }
        let result = files.write(setting.value, to: "\(folder)/\(setting.file)")
        if result == 0 { return }
        let missing = [-ENOENT, -EACCES, -EPERM, -EOPNOTSUPP].contains(result)
        if missing, setting.isOptional || !isNeeded.contains(setting.controller) { return }
        switch -result {
        case EBUSY:
            throw EngineError(
                .conflict, "\(setting.key)=\(setting.value): the instance uses more than that now",
                hint: "choose a higher limit or stop the instance first")
        case EINVAL, ERANGE, ENODEV:
            throw EngineError(
                .invalidArgument, "\(setting.key)=\(setting.value) is refused by the kernel (\(setting.file))")
        case ENOENT:
            throw EngineError(.unsupported, "this host cannot do \(setting.key): its kernel has no \(setting.file)")
        default: throw EngineError.cgroup(-result, "write '\(setting.value)' to \(folder)/\(setting.file)")
        }
    }

    /// Moves every process of the instance into a tree that it joins late. Children of a process that has moved
    /// are in the new group already, so this ends.
    private func moveAll(to folder: String) throws {
        var moved: Set<Int32> = []
        for _ in 0..<64 {
            let rest = pids().filter { !moved.contains($0) }
            if rest.isEmpty { return }
            for pid in rest {
                let result = files.write("\(pid)", to: "\(folder)/cgroup.procs")
                guard result == 0 || result == -ESRCH else {
                    throw EngineError.cgroup(-result, "move process \(pid) into control group \(folder)")
                }
                moved.insert(pid)
            }
        }
        throw EngineError(.busy, "the processes of the instance multiply faster than they can be moved to \(folder)")
    }

    // MARK: - Processes

    /// Numbers of all processes in the group and the groups below it.
    public func pids() -> [Int32] {
        guard let folder = folders.first(where: { !$0.isUnified }) ?? folders.first else { return [] }
        return pids(below: folder.path)
    }

    private func pids(below path: String) -> [Int32] {
        let own = host.words("\(path)/cgroup.procs").compactMap { Int32($0) }
        return own + files.directories(path).flatMap { pids(below: "\(path)/\($0)") }
    }

    /// Sends SIGKILL to every process in the group.
    public func killAll() {
        if let unified, files.write("1", to: "\(unified)/cgroup.kill") == 0 { return }
        for pid in pids() where pid > 0 { kill(pid, SIGKILL) }
    }

    /// Sleeps in full even in a cancelled task.
    private static func uncancelledSleep(_ duration: Duration) async {
        let sleeper = Task { () -> Void in
            // A task of its own, which nobody cancels.
            _ = try? await Task.sleep(for: duration)
        }
        await sleeper.value
    }

    /// Removes what there is of the group `name`, whichever trees it is in; no error if there is nothing.
    public static func removeAll(_ name: String, of host: CgroupHost) async throws {
        try await Cgroup(name: name, host: host, folders: host.candidates(name)).remove()
    }

    /// Removes the group, waiting at most `timeout` for processes that are ending to leave it.
    /// - Throws: `busy` if some stay.
    public func remove(timeout: Duration = .seconds(5)) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        var pause = Duration.microseconds(200)
        for folder in host.candidates(name) {
            while true {
                let result = host.removeRecursively(folder.path)
                if result == 0 { break }
                guard result == -EBUSY || result == -ENOTEMPTY else {
                    throw EngineError.cgroup(-result, "remove control group \(folder.path)")
                }
                guard clock.now < deadline else {
                    throw EngineError(
                        .busy, "control group \(folder.path) still has processes: \(pids().prefix(8))")
                }
                // Cancellation must not leave a group behind.
                await Self.uncancelledSleep(pause)
                pause = min(pause * 2, .milliseconds(20))
            }
        }
        host.removeParentIfEmpty()
    }
}
