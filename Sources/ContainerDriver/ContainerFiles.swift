import CHost
import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// The folders and files of a container in its run directory.
extension ContainerDriver {
    /// Makes the folders, and a target for each of the plan's mounts; gives back those targets.
    static func makeFolders(_ plan: LaunchPlan, _ paths: ContainerPaths) throws -> [String] {
        // The runtime sets up mounts as the instance's own root user, which is nobody on the host: it must get
        // through to the root filesystem, and needs to read nothing on the way.
        try HostFiles.makeDirectory(paths.directory, mode: 0o711)
        guard chmod(paths.directory, 0o711) == 0 else {
            throw EngineError.system(errno, "set the mode of \(paths.directory)")
        }
        try checkReachable(paths.directory)
        for (folder, mode) in [
            (paths.bundle, 0o700), (paths.runtimeState, 0o700), (paths.files, 0o711), (paths.mounts, 0o711),
            (paths.rootfs, 0o711), (paths.layers, 0o711), (paths.frozen, 0o711), (paths.instance, 0o711),
        ] as [(String, UInt32)] {
            try HostFiles.makeDirectory(folder, mode: mode)
        }
        var sources: [String] = []
        for (index, mount) in plan.mounts.enumerated() {
            guard HostFiles.exists(mount.source) else {
                throw EngineError(
                    .invalidArgument,
                    "mount source \(Names.quoted(mount.source)) of instance \(plan.name) does not exist",
                    hint: "create it on the host first")
            }
            let target = paths.mount(index)
            if HostFiles.isDirectory(mount.source) {
                try HostFiles.makeDirectory(target, mode: 0o755)
            } else {
                try HostFiles.write(target, [], mode: 0o644)
            }
            sources.append(target)
        }
        return sources
    }

    /// - Throws: `permissionDenied` if a folder above the run directory keeps others from passing through.
    private static func checkReachable(_ directory: String) throws {
        var path = directory
        while let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            path = String(path[..<slash])
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & 0o001 == 0 else { continue }
            throw EngineError(
                .permissionDenied,
                "folder \(path) has mode \(String(status.st_mode & 0o777, radix: 8)): containers cannot pass through it",
                hint: "chmod o+x \(path)")
        }
    }

    static func networkFiles(_ plan: LaunchPlan) -> NetworkFiles {
        // A host without these files has instances without them.
        let text = { (path: String) in
            (try? readSmallFile(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        var files: NetworkFiles
        switch plan.network {
        case .host:
            files = NetworkFiles(plan: plan, hostResolvConf: text("/etc/resolv.conf"), hostHosts: text("/etc/hosts"))
        case .instance(let other):
            // The files of whose network it is, below that instance's own root; without them it has none either.
            let root = try? RootDirectory(path: "/proc/\(other.pid)/root")
            let theirs = { (path: String) in
                (try? root?.readFile(path, limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            }
            files = NetworkFiles(
                plan: plan, hostResolvConf: theirs("etc/resolv.conf"), hostHosts: theirs("etc/hosts"))
        case .none, .endpoints: files = NetworkFiles(plan: plan, hostResolvConf: "", hostHosts: "")
        }
        files.apply(plan.options)
        return files
    }

    /// Writes the files that an application is shown in its `/etc`; a system container's are its own.
    static func writeFiles(_ plan: LaunchPlan, _ paths: ContainerPaths) throws -> [(source: String, target: String)] {
        guard plan.kind == .application else { return [] }
        let files = networkFiles(plan)
        return try [("hostname", files.hostname), ("hosts", files.hosts), ("resolv.conf", files.resolvConf)].map {
            let path = "\(paths.files)/\($0.0)"
            try HostFiles.write(path, $0.1, mode: 0o644)
            if let root = plan.identity?.root, chown(path, root.user, root.group) != 0 {
                throw EngineError(.internal, "changing the owner of \(path): \(String(errno: errno))")
            }
            return (path, "/etc/\($0.0)")
        }
    }

    static func encoded(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    static func write(_ state: ContainerState, _ paths: ContainerPaths) throws {
        try HostFiles.replace(paths.state, with: try encoded(state), mode: 0o600)
    }

    /// What an earlier daemon wrote; nil if there is nothing.
    static func readState(_ paths: ContainerPaths) throws -> ContainerState? {
        guard HostFiles.exists(paths.state) else { return nil }
        return try JSONDecoder().decode(ContainerState.self, from: Data(try readSmallFile(paths.state)))
    }

    static func readProcess(_ paths: ContainerPaths) throws -> RuntimeSpec.Process {
        let bytes = try readSmallFile(paths.configuration, limit: 16 << 20)
        return try JSONDecoder().decode(RuntimeSpec.self, from: Data(bytes)).process
    }

    /// Removes the run directory and all in it. Nothing is mounted there in the host's mount namespace.
    static func removeFolders(_ paths: ContainerPaths) async throws {
        try await runBlocking {
            guard let slash = paths.directory.lastIndex(of: "/"), HostFiles.exists(paths.directory) else { return }
            let parent = try RootDirectory(path: String(paths.directory[..<slash]), confinement: .beneath)
            try parent.removeTree(String(paths.directory[paths.directory.index(after: slash)...]))
        }
    }

    /// The hard limit of open files that this daemon may give on, at most systemd's default for services.
    static func maximumOpenFiles() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(7), &limit) == 0 else { return 1024 }
        return min(524_288, UInt64(limit.rlim_max))
    }
}

/// The kernel's name and version of this host.
struct HostSystem: Sendable {
    /// `x86_64`, `aarch64`.
    var machine: String
    var kernel: KernelVersion
    var release: String

    static let current: HostSystem = {
        var names = utsname()
        uname(&names)
        let machine = withUnsafeBytes(of: names.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let release = withUnsafeBytes(of: names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return HostSystem(
            machine: machine, kernel: KernelVersion(release) ?? KernelVersion(major: 0, minor: 0), release: release)
    }()
}
