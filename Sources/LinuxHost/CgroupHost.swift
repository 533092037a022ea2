import Glibc
public import Model

/// Makes the control groups of instances: one per instance, all below one parent group, on v1, v2 and hybrid hosts.
///
/// On v2 the parent lies at the root of the tree, or, where that may not be written, in this process's own group.
/// The controllers that limits need are enabled on the way down. On v1 an instance has a group only in the trees that
/// it needs: joining each one costs about 0.1 ms.
public struct CgroupHost: Sendable {
    public let layout: CgroupLayout
    /// Name of the parent group; another daemon has another one.
    public let parent: String
    /// Path of this process's own group below the unified tree's mount point, for a tree whose root is not ours.
    let ownPath: String
    let files: any CgroupFiles

    /// - Parameter parent: one path component, as `isle`.
    public init(
        parent: String, layout: CgroupLayout, ownPath: String = "/", files: any CgroupFiles = KernelCgroupFiles()
    ) throws {
        guard !parent.isEmpty, !parent.contains("/"), parent != ".", parent != "..", parent.utf8.count < 200 else {
            throw EngineError(.invalidArgument, "\(Names.quoted(parent)) is not a name for a control group")
        }
        self.parent = parent
        self.layout = layout
        self.ownPath = ownPath
        self.files = files
    }

    /// The control groups of this host.
    /// - Throws: `unsupported` if none are mounted.
    public static func host(parent: String) throws -> CgroupHost {
        let own = String(decoding: try readSmallFile("/proc/self/cgroup"), as: UTF8.self)
        return try CgroupHost(parent: parent, layout: .host(), ownPath: unifiedPath(in: own))
    }

    /// The path in the unified tree that a text in the format of `/proc/<pid>/cgroup` names; `/` if it names none.
    public static func unifiedPath(in text: String) -> String {
        for line in text.split(separator: "\n") where line.hasPrefix("0::/") { return String(line.dropFirst(3)) }
        return "/"
    }

    /// Makes the group of an instance and sets its limits; nothing is in it yet.
    ///
    /// A group of that name that is left from before is used again.
    /// - Parameter delegatedTo: the host id of the instance's root: the instance may make groups of its own in the
    ///   unified tree (nested init systems do). It cannot change its limits.
    public func create(_ name: String, limits: Limits, delegatedTo owner: UInt32? = nil) throws -> Cgroup {
        try check(name)
        let group: Cgroup
        do {
            group = try layout.isUnified ? createUnified(name, limits) : createLegacy(name, limits)
            try group.apply(limits)
            if let owner { try group.delegate(to: owner) }
        } catch {
            removeTree(name)
            throw error
        }
        return group
    }

    /// The group that was made earlier under this name; nil if there is none.
    public func find(_ name: String) -> Cgroup? {
        let folders = candidates(name).filter { files.exists($0.path) }
        return folders.isEmpty ? nil : Cgroup(name: name, host: self, folders: folders)
    }

    /// Names of all groups below the parent.
    public func names() -> Set<String> {
        Set(parents.flatMap { files.directories($0) })
    }

    /// Removes the parent group if nothing is in it any more.
    public func removeParentIfEmpty() {
        // A group that is still in use refuses, and that is the point.
        for path in parents { _ = files.removeDirectory(path) }
    }

    // MARK: - Trees

    /// The parent group's folder in every tree that may have one.
    var parents: [String] {
        let legacy = (layout.hierarchies.map(\.path) + layout.named).map { "\($0)/\(parent)" }
        return legacy + (layout.isUnified ? unifiedBases : layout.unified.map { [$0] } ?? []).map { "\($0)/\(parent)" }
    }

    private var unifiedBases: [String] {
        guard let root = layout.unified else { return [] }
        return ownPath == "/" ? [root] : [root, root + ownPath]
    }

    func candidates(_ name: String) -> [Cgroup.Folder] {
        var legacy = layout.hierarchies.map {
            Cgroup.Folder(path: "\($0.path)/\(parent)/\(name)", controllers: $0.controllers, isUnified: false)
        }
        legacy += layout.named.map {
            Cgroup.Folder(path: "\($0)/\(parent)/\(name)", controllers: [], isUnified: false)
        }
        let bases = layout.isUnified ? unifiedBases : layout.unified.map { [$0] } ?? []
        return legacy
            + bases.map { Cgroup.Folder(path: "\($0)/\(parent)/\(name)", controllers: [], isUnified: true) }
    }

    private func check(_ name: String) throws {
        guard !name.isEmpty, !name.contains("/"), name != ".", name != "..", name.utf8.count < 200 else {
            throw EngineError(.invalidArgument, "\(Names.quoted(name)) is not a name for a control group")
        }
    }

    private func createUnified(_ name: String, _ limits: Limits) throws -> Cgroup {
        var failure: EngineError?
        for base in unifiedBases {
            let top = "\(base)/\(parent)"
            let result = files.makeDirectory(top)
            guard result == 0 || result == -EEXIST else {
                failure = EngineError.cgroup(-result, "create control group \(top)")
                continue
            }
            try enableControllers(base, limits)
            try enableControllers(top, limits)
            let folder = "\(top)/\(name)"
            try make(folder, parent: top)
            return Cgroup(
                name: name, host: self, folders: [Cgroup.Folder(path: folder, controllers: [], isUnified: true)])
        }
        throw failure ?? EngineError(.unsupported, "no control groups are mounted on this host")
    }

    /// Enables in the children of `group` every controller that Isle uses; one that a limit needs must be there.
    private func enableControllers(_ group: String, _ limits: Limits) throws {
        let available = Set(words("\(group)/cgroup.controllers"))
        let enabled = Set(words("\(group)/cgroup.subtree_control"))
        let missing = limits.controllers.subtracting(available)
        if let controller = missing.sorted().first {
            throw EngineError(
                .unsupported, "the control group \(group) has no controller '\(controller)', which a limit needs",
                hint: "enable it in the parent groups' cgroup.subtree_control, or lift the limit")
        }
        for controller in ["cpu", "memory", "pids", "cpuset", "io", "hugetlb"]
        where available.contains(controller) && !enabled.contains(controller) {
            var result = files.write("+\(controller)", to: "\(group)/cgroup.subtree_control")
            if result == -EBUSY, leaveInnerGroup(group) {
                result = files.write("+\(controller)", to: "\(group)/cgroup.subtree_control")
            }
            if result != 0, limits.controllers.contains(controller) {
                throw EngineError.cgroup(-result, "enable controller '\(controller)' below control group \(group)")
            }
        }
    }

    /// A group with processes cannot pass controllers on. Where it is our own (a container's root, a delegated unit)
    /// its processes move into a leaf.
    private func leaveInnerGroup(_ group: String) -> Bool {
        guard let root = layout.unified, group == root + (ownPath == "/" ? "" : ownPath) else { return false }
        let leaf = "\(group)/\(parent)-daemon"
        let made = files.makeDirectory(leaf)
        guard made == 0 || made == -EEXIST else { return false }
        for pid in words("\(group)/cgroup.procs") { _ = files.write(pid, to: "\(leaf)/cgroup.procs") }
        return true
    }

    private func createLegacy(_ name: String, _ limits: Limits) throws -> Cgroup {
        var wanted: Set<String> = limits.controllers
        // What usage, out-of-memory reports and freezing need.
        wanted.formUnion(["memory", "cpuacct"])
        if layout.unified == nil { wanted.insert("freezer") }
        var group = Cgroup(name: name, host: self, folders: [])
        for controller in wanted.sorted() {
            guard let hierarchy = layout.hierarchy(of: controller) else {
                guard limits.controllers.contains(controller) else { continue }
                throw EngineError(
                    .unsupported, "this host has no control group controller '\(controller)', which a limit needs")
            }
            try group.add(hierarchy)
        }
        if let unified = layout.unified {
            let folder = "\(unified)/\(parent)/\(name)"
            try make(folder, parent: "\(unified)/\(parent)")
            group.folders.append(Cgroup.Folder(path: folder, controllers: [], isUnified: true))
        }
        return group
    }

    /// Makes a group and, if it went away with the last other instance, its parent.
    func make(_ folder: String, parent: String) throws {
        for _ in 0..<8 {
            let result = files.makeDirectory(folder)
            if result == 0 || result == -EEXIST { return }
            guard result == -ENOENT else { throw EngineError.cgroup(-result, "create control group \(folder)") }
            let made = files.makeDirectory(parent)
            guard made == 0 || made == -EEXIST else {
                throw EngineError.cgroup(-made, "create control group \(parent)")
            }
        }
        throw EngineError(.busy, "control group \(parent) is being removed again and again")
    }

    /// Removes what is there of a group that could not be completed; nothing runs in it.
    func removeTree(_ name: String) {
        for folder in candidates(name) { _ = removeRecursively(folder.path) }
        removeParentIfEmpty()
    }

    /// Removes a group and the groups in it, leaves first; 0 or the negated errno of the first that stays.
    func removeRecursively(_ path: String) -> Int32 {
        for name in files.directories(path) {
            let result = removeRecursively("\(path)/\(name)")
            if result != 0 { return result }
        }
        let result = files.removeDirectory(path)
        return result == -ENOENT ? 0 : result
    }

    func words(_ path: String) -> [String] {
        (files.read(path) ?? "").split { $0 == " " || $0 == "\n" }.map(String.init)
    }
}

extension EngineError {
    static func cgroup(_ number: Int32, _ action: String) -> EngineError {
        let code: Code =
            switch number {
            case EACCES, EPERM, EROFS: .permissionDenied
            case EBUSY: .conflict
            case ENOSPC, ENOMEM: .resourceExhausted
            default: .internal
            }
        return EngineError(code, "cannot \(action): \(String(errno: number))")
    }
}
