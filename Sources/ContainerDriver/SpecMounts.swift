import DriverKit
import Model

/// The mounts of a container, in the order in which they are made.
enum SpecMounts {
    static func mounts(_ plan: LaunchPlan, _ facts: SpecFacts) throws -> [RuntimeSpec.Mount] {
        let isSystem = plan.kind == .system
        let options = plan.options
        var mounts = [
            kernelTree("proc", at: "/proc", shared: options.processes == .host, ["nosuid", "nodev", "noexec"]),
            RuntimeSpec.Mount(
                "tmpfs", "tmpfs", at: "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            RuntimeSpec.Mount(
                "devpts", "devpts", at: "/dev/pts",
                ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            sharedMemory(plan, facts),
        ]
        if options.ipc != .host || facts.hasHostQueues {
            mounts.append(
                kernelTree("mqueue", at: "/dev/mqueue", shared: options.ipc == .host, ["nosuid", "noexec", "nodev"]))
        }
        mounts.append(sysfs(plan, facts))
        if isSystem ? facts.hasUnifiedTree : facts.isUnified {
            mounts.append(
                RuntimeSpec.Mount(
                    "cgroup2", "cgroup2", at: "/sys/fs/cgroup",
                    ["nosuid", "noexec", "nodev", "relatime", isSystem ? "rw" : "ro"]))
        }
        if isSystem {
            mounts.append(
                RuntimeSpec.Mount("tmpfs", "tmpfs", at: "/run", ["nosuid", "nodev", "mode=755", "size=10%"]))
            mounts.append(
                RuntimeSpec.Mount(
                    "tmpfs", "tmpfs", at: "/run/lock", ["nosuid", "nodev", "noexec", "mode=1777", "size=5120k"]))
            mounts += facts.devices.map { RuntimeSpec.Mount("bind", $0, at: $0, ["bind", "rprivate"]) }
        }
        mounts += try SpecOptions.mounts(options, facts)
        let user = try SpecOptions.tmpfs(options) + userMounts(plan, facts)
        let taken = Set(user.map(\.destination))
        for file in facts.files where !taken.contains(file.target) {
            mounts.append(RuntimeSpec.Mount("bind", file.source, at: file.target, ["bind", "rprivate"]))
        }
        return mounts + user
    }

    /// A filesystem of the kernel that shows a namespace. That of the host's own namespaces cannot be mounted from a user
    /// namespace, so the host's mount is shown.
    private static func kernelTree(_ type: String, at target: String, shared: Bool, _ options: [String])
        -> RuntimeSpec.Mount
    {
        shared
            ? RuntimeSpec.Mount("bind", target, at: target, ["rbind", "rprivate"] + options)
            : RuntimeSpec.Mount(type, type, at: target, options)
    }

    /// `/dev/shm` goes with the IPC namespace: shared memory of POSIX lies there.
    private static func sharedMemory(_ plan: LaunchPlan, _ facts: SpecFacts) -> RuntimeSpec.Mount {
        let flags = ["nosuid", "noexec", "nodev"]
        switch plan.options.ipc {
        case .host: return RuntimeSpec.Mount("bind", "/dev/shm", at: "/dev/shm", ["rbind", "rprivate"] + flags)
        case .instance:
            return RuntimeSpec.Mount("bind", facts.sharedMemory, at: "/dev/shm", ["rbind", "rprivate"] + flags)
        case .own: break
        }
        let size = plan.options.sharedMemory.map { ["size=\($0)"] } ?? (plan.kind == .system ? [] : ["size=65536k"])
        return RuntimeSpec.Mount("tmpfs", "shm", at: "/dev/shm", flags + ["mode=1777"] + size)
    }

    /// A sysfs shows the network namespace it is mounted in, so it cannot be mounted for the host's by a user
    /// namespace: then the host's own is shown.
    private static func sysfs(_ plan: LaunchPlan, _ facts: SpecFacts) -> RuntimeSpec.Mount {
        if plan.network.isHost, facts.userNamespace != nil {
            return RuntimeSpec.Mount(
                "bind", "/sys", at: "/sys", ["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"])
        }
        let writable = plan.security.privileged && plan.identity == nil
        return RuntimeSpec.Mount("sysfs", "sysfs", at: "/sys", ["nosuid", "noexec", "nodev", writable ? "rw" : "ro"])
    }

    /// The user's mounts, those nearer to the root first, so that none hides another.
    private static func userMounts(_ plan: LaunchPlan, _ facts: SpecFacts) throws -> [RuntimeSpec.Mount] {
        guard facts.mountSources.count == plan.mounts.count else {
            throw EngineError(.internal, "\(plan.mounts.count) mounts have \(facts.mountSources.count) sources")
        }
        var mounts: [(depth: Int, mount: RuntimeSpec.Mount)] = []
        for (mount, source) in zip(plan.mounts, facts.mountSources) {
            let target = try checkedTarget(mount.target)
            guard !mounts.contains(where: { $0.mount.destination == target }) else {
                throw EngineError(.invalidArgument, "two mounts have the same target \(Names.quoted(target))")
            }
            mounts.append(
                (
                    target.split(separator: "/").count,
                    RuntimeSpec.Mount(
                        "bind", source, at: target,
                        [
                            mount.recursive ? "rbind" : "bind", mount.propagation ?? "rprivate",
                            mount.readOnly ? "ro" : "rw",
                        ])
                ))
        }
        // Sorting is not stable; the path decides among equals.
        return mounts.sorted { ($0.depth, $0.mount.destination) < ($1.depth, $1.mount.destination) }.map(\.mount)
    }

    /// The path without empty and `.` components.
    /// - Throws: `invalidArgument` for one that is relative, has `..`, is the root or hides the kernel's own trees.
    static func checkedTarget(_ path: String) throws -> String {
        let names = path.split(separator: "/").filter { $0 != "." }
        guard path.hasPrefix("/"), !names.contains(".."), !path.utf8.contains(0), !names.isEmpty else {
            throw EngineError(
                .invalidArgument, "mount target \(Names.quoted(path)) is not an absolute path below the root")
        }
        let isKernels = names[0] == "proc" || names[0] == "sys" || (names[0] == "dev" && names.count == 1)
        guard !isKernels else {
            throw EngineError(
                .invalidArgument, "mount target \(Names.quoted(path)) would hide files of the kernel",
                hint: "choose a target outside /proc, /sys and /dev")
        }
        return "/" + names.joined(separator: "/")
    }
}
