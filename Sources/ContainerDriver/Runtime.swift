import DriverKit
import Glibc
import LinuxHost
import Model

/// An OCI runtime program and what it can be asked to do.
struct Runtime: Sendable, Hashable {
    /// Absolute path.
    var path: String

    /// Whether it leaves control groups to the shim and takes a compiled seccomp filter; others get a configuration
    /// with limits and rules and do both themselves.
    var isCrun: Bool { path.split(separator: "/").last == "crun" }

    /// Finds a runtime by its name in the usual folders for programs. Paths are not taken: the name comes from an
    /// instance's configuration, which need not be the host administrator's.
    /// - Throws: `notFound`, `invalidArgument`.
    static func find(_ name: String?) throws -> Runtime {
        let name = name.flatMap { $0.isEmpty ? nil : $0 } ?? "crun"
        let allowed = name.utf8.allSatisfy {
            (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
        }
        guard allowed, name.utf8.count < 64, name.utf8.first != 45 else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(name)) is not the name of an OCI runtime",
                hint: "oci.runtime takes a program's name, as crun or runc")
        }
        for folder in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
            let path = "\(folder)/\(name)"
            if access(path, X_OK) == 0 { return Runtime(path: path) }
        }
        throw EngineError(
            .notFound, "the OCI runtime '\(name)' is not installed", hint: "install it: apt install \(name)")
    }

    private func global(_ paths: ContainerPaths, log: String) -> [String] {
        [path, "--root", paths.runtimeState, "--log", log] + (isCrun ? ["--cgroup-manager=disabled"] : [])
    }

    func run(_ paths: ContainerPaths, terminal: Bool) -> [String] {
        global(paths, log: paths.runtimeLog) + [
            "run", "--detach", "--pid-file", paths.pidFile, "--bundle", paths.bundle,
        ]
            + (terminal ? ["--console-socket", "{console}"] : []) + [paths.containerName]
    }

    func exec(_ paths: ContainerPaths, session: Int, terminal: Bool) -> [String] {
        global(paths, log: paths.sessionLog(session))
            + ["exec", "--detach", "--pid-file", "{pidfile}", "--process", paths.processFile(session)]
            + (terminal ? ["--tty", "--console-socket", "{console}"] : []) + [paths.containerName]
    }

    func delete(_ paths: ContainerPaths) -> [String] {
        global(paths, log: paths.runtimeLog) + ["delete", "--force", paths.containerName]
    }
}

/// Where the parts of one container lie in its run directory.
struct ContainerPaths: Sendable, Hashable {
    /// The instance's run directory.
    var directory: String
    /// What the runtime calls the container.
    var containerName: String

    init(directory: String, id: InstanceID) {
        self.directory = directory
        containerName = id.raw
    }

    var bundle: String { "\(directory)/bundle" }
    var configuration: String { "\(bundle)/config.json" }
    var runtimeState: String { "\(directory)/runtime" }
    var pidFile: String { "\(directory)/runtime.pid" }
    var rootfs: String { "\(directory)/rootfs" }
    var state: String { "\(directory)/container.json" }
    var files: String { "\(directory)/etc" }
    var mounts: String { "\(directory)/mounts" }
    var layers: String { "\(directory)/layers" }
    var frozen: String { "\(directory)/frozen" }
    var instance: String { "\(directory)/instance" }
    /// Where the shim makes device files, and holds the shared memory of another instance.
    var devices: String { "\(directory)/devices" }
    func device(_ index: Int) -> String { "\(devices)/\(index)" }
    var sharedMemory: String { "\(directory)/shm" }
    func namespace(_ name: String) -> String { "\(directory)/ns/\(name)" }
    var userNamespace: String { "\(directory)/ns/user" }
    var networkNamespace: String { "\(directory)/ns/net" }
    func mount(_ index: Int) -> String { "\(mounts)/\(index)" }
    /// What the runtime had to say about the first process.
    var runtimeLog: String { "\(directory)/runtime.log" }
    func processFile(_ session: Int) -> String { "\(directory)/exec-\(session).json" }
    func sessionLog(_ session: Int) -> String { "\(directory)/exec-\(session).log" }
}

/// What must be known about a container by a daemon that did not start it. Kept in the run directory.
struct ContainerState: Codable, Sendable, Hashable {
    var kind: InstanceKind
    var name: String
    var runtime: String
    var identity: IDRange?
    var terminal: Bool
    /// Whether the shim was told to run the first process.
    var started: Bool
}
