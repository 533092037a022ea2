import DriverKit
import Glibc
import LinuxHost
import Model
import ShimCore

/// Works out the shim's spec for a module: the walls, what is shown inside them, and the runner's arguments.
struct ModuleSpec {
    let plan: LaunchPlan
    let options: ModuleOptions
    let artifact: ArtifactCache.Artifact
    let programs: ModulePrograms

    /// Paths inside the sandbox.
    private static let runner = "/isle-wasm"
    private static let library = "/libwasmtime.so"
    private static let module = "/module"

    func shimSpec(cgroups: [String]) throws -> ShimSpec {
        var binds = [
            Sandbox.Bind(source: programs.runner, target: Self.runner, executable: true),
            Sandbox.Bind(source: programs.library, target: Self.library, executable: true),
            Sandbox.Bind(source: artifact.path, target: Self.module, idMapped: true, executable: true),
        ]
        // The runner and libwasmtime are linked to the system's C library.
        for folder in ["/lib", "/lib64", "/usr/lib", "/usr/lib64"] where Self.isFolder(folder) {
            binds.append(Sandbox.Bind(source: folder, target: folder, executable: true))
        }
        var arguments = [
            Self.runner, "run", "--library", Self.library, "--artifact", Self.module, "--form",
            artifact.isComponent ? "component" : "core",
        ]
        if let fuel = options.fuel { arguments += ["--fuel", "\(fuel)"] }
        if let memory = plan.limits.memory { arguments += ["--memory", "\(memory)"] }
        if let timeout = options.timeout { arguments += ["--timeout", "\(timeout)"] }
        if let time = options.cpuTime { arguments += ["--cpu-time", "\(time)"] }
        var hasNetwork = false
        switch plan.network {
        case .none: break
        case .endpoints(let endpoints):
            hasNetwork = !endpoints.isEmpty
            if hasNetwork { binds.append(Sandbox.Bind(source: try resolver(endpoints), target: "/etc/resolv.conf")) }
        case .host, .instance:
            throw EngineError(.unsupported, "a module cannot use the network of the host or of another instance")
        }
        if hasNetwork { arguments.append("--network") }
        for (index, mount) in plan.mounts.enumerated() {
            let inside = "/dirs/\(index)"
            binds.append(
                Sandbox.Bind(
                    source: mount.source, target: inside, readOnly: mount.readOnly, idMapped: mount.idMapped))
            arguments += ["--dir", "\(inside)::\(mount.target)\(mount.readOnly ? ":ro" : "")"]
        }
        arguments += ["--", plan.name] + plan.process.arguments
        let process = ShimProcess(
            arguments: arguments, environment: plan.process.environment + ["SWIFT_ROOT=/"],
            uid: Self.owner(of: plan.mounts),
            gid: 0, sandbox: Sandbox(hostname: plan.hostname, binds: binds))
        return ShimSpec(
            directory: plan.runDirectory, logPath: plan.log.path, logMaxSize: plan.log.maxSize,
            logFiles: plan.log.files, terminal: plan.stdio.terminal, openStdin: plan.stdio.openStdin,
            stdinOnce: plan.stdio.stdinOnce, columns: plan.stdio.size?.columns ?? 0, rows: plan.stdio.size?.rows ?? 0,
            identity: plan.identity.map {
                ShimSpec.Identity(
                    user: $0.base, group: $0.base, users: $0.kernelMap(.user), groups: $0.kernelMap(.group))
            }, newNetwork: true,
            cgroups: cgroups, launch: .process(process))
    }

    /// WASI knows no users: a module that was given a folder of the host with shifted owners works in it as the
    /// folder's owner.
    private static func owner(of mounts: [MountSpec]) -> UInt32 {
        for mount in mounts where mount.idMapped && !mount.readOnly {
            var status = stat()
            if stat(mount.source, &status) == 0, status.st_uid < 65536 { return status.st_uid }
        }
        return 0
    }

    /// A resolv.conf that asks the network's own name server.
    private func resolver(_ endpoints: [NetworkEndpoint]) throws -> String {
        let servers = endpoints.flatMap(\.dns)
        let domains = endpoints.flatMap(\.searchDomains)
        var text = servers.map { "nameserver \($0)\n" }.joined()
        if !domains.isEmpty { text += "search \(domains.joined(separator: " "))\n" }
        let directory = try RootDirectory(path: plan.runDirectory)
        try directory.writeFile("resolv.conf", Array(text.utf8), mode: 0o644, durable: false)
        return plan.runDirectory + "/resolv.conf"
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
