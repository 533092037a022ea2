import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore

/// A folder of a test's own with a run directory, a busybox layer and an instance's upper folder, and the shims that
/// the test spawned in it.
final class Fixture: Sendable {
    static let executable: String = {
        if let path = getenv("ISLE_SHIM") { return String(cString: path) }
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        return root.joined(separator: "/") + "/out/isle-shim"
    }()
    static let base: UInt32 = 300_000
    static var isRoot: Bool { getuid() == 0 }
    static var hasShim: Bool { access(executable, X_OK) == 0 }
    static var canRun: Bool { isRoot && hasShim }
    static var hasRuntime: Bool {
        canRun && access("/usr/bin/crun", X_OK) == 0 && access("/bin/busybox", X_OK) == 0
    }

    let root: String
    var directory: String { root + "/run" }
    var logPath: String { root + "/log" }
    let id: String

    init() throws {
        id = "isle-shim-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        root = "/tmp/" + id
        for path in ["", "/run", "/layers", "/layers/a", "/instance", "/instance/upper", "/instance/work", "/crun"] {
            guard mkdir(root + path, 0o755) == 0 else { throw EngineError(.internal, "mkdir \(root + path)") }
        }
    }

    /// Removes everything; shims and what they run are killed.
    func remove() async {
        if let shim = try? await Shim.connect(directory: directory) { try? await shim.shutdown() }
        for file in ["shim.pid", "pid"] {
            if let (pid, start) = Shim.recordedProcess(file, directory: directory), Pidfd.startTime(of: pid) == start {
                kill(pid, SIGKILL)
            }
        }
        // runc makes control groups of its own, named as the container, and leaves them when it is not asked to delete it.
        for hierarchy in (try? RootDirectory(path: "/sys/fs/cgroup").list()) ?? [] {
            rmdir("/sys/fs/cgroup/\(String(decoding: hierarchy.name.bytes, as: UTF8.self))/\(id)")
        }
        _ = try? await ProcessRunner.run("rm", ["-rf", "--one-file-system", root])
    }

    static func with(_ body: (Fixture) async throws -> Void) async throws {
        let fixture = try Fixture()
        do {
            try await body(fixture)
        } catch {
            await fixture.remove()
            throw error
        }
        await fixture.remove()
    }

    /// A plain process of `sh -c script`.
    func shell(
        _ script: String, terminal: Bool = false, openStdin: Bool = false, stdinOnce: Bool = false,
        uid: UInt32 = 0, logMaxSize: Int64 = 16 << 20, logFiles: Int = 3
    ) -> ShimSpec {
        ShimSpec(
            directory: directory, logPath: logPath, logMaxSize: logMaxSize, logFiles: logFiles, terminal: terminal,
            openStdin: openStdin, stdinOnce: stdinOnce,
            launch: .process(
                ShimProcess(
                    arguments: ["/bin/sh", "-c", script], environment: ["PATH=/usr/bin:/bin"], uid: uid, gid: uid)))
    }

    /// For a script that waits until `release` is called.
    var waitForRelease: String { "while ! [ -e \(root)/go ]; do sleep 0.02; done" }

    func release() throws { try write(root + "/go", []) }

    /// Waits until the log has what is looked for; false after a minute.
    func logShows(_ condition: ([Entry]) -> Bool) async throws -> Bool {
        for _ in 0..<3000 {
            if condition(try log()) { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    func spawn(_ spec: ShimSpec) async throws -> ShimConnection {
        try await Shim.spawn(spec, executable: Self.executable)
    }

    /// A container of the busybox layer, in a user and a network namespace, on an overlay.
    func container(
        _ arguments: [String], terminal: Bool = false, openStdin: Bool = false, stdinOnce: Bool = false,
        runtime: String = "crun", cgroups: [String] = []
    ) throws -> ShimSpec {
        try makeLayer()
        try writeConfig(arguments, terminal: terminal)
        let run: [String] =
            runtime == "crun"
            ? ["crun", "--root", root + "/crun", "--cgroup-manager=disabled", "run"]
            : ["runc", "--root", root + "/crun", "run"]
        let console = terminal ? ["--console-socket", "{console}"] : []
        return ShimSpec(
            directory: directory, logPath: logPath, terminal: terminal, openStdin: openStdin, stdinOnce: stdinOnce,
            columns: 90, rows: 30, identity: .init(base: Self.base), newNetwork: true,
            mounts: hybrid + [
                .idmap(source: root + "/layers", target: directory + "/layers"),
                .idmap(source: root + "/instance", target: directory + "/instance"),
                .overlay(
                    lower: [directory + "/layers/a"], upper: directory + "/instance/upper",
                    work: directory + "/instance/work", target: directory + "/rootfs", volatile: true),
            ], cgroups: cgroups,
            launch: .runtime(
                arguments: run + ["--detach", "--pid-file", directory + "/container.pid", "--bundle", directory]
                    + console + [id], pidFile: directory + "/container.pid"))
    }

    /// crun 1.8 refuses a host with both kinds of control groups while the unified one has controllers.
    private var hybrid: [ShimMount] {
        let file = "/sys/fs/cgroup/unified/cgroup.controllers"
        return access(file, F_OK) == 0 ? [.emptyFile(target: file)] : []
    }

    func exec(_ arguments: [String], terminal: Bool = false, openStdin: Bool = false) -> ShimExec {
        let console = terminal ? ["--tty", "--console-socket", "{console}"] : []
        return ShimExec(
            arguments: [
                "crun", "--root", root + "/crun", "--cgroup-manager=disabled", "exec", "--detach", "--pid-file",
                "{pidfile}",
            ]
                + console + [id] + arguments, terminal: terminal, openStdin: openStdin, columns: 77, rows: 22)
    }

    private func makeLayer() throws {
        let layer = root + "/layers/a"
        for folder in ["bin", "proc", "sys", "dev", "etc", "tmp"] { mkdir(layer + "/" + folder, 0o755) }
        let busybox = try readSmallFile("/bin/busybox", limit: 8 << 20)
        try write(layer + "/bin/busybox", busybox, mode: 0o755)
        for name in [
            "sh", "true", "false", "cat", "echo", "id", "ls", "sleep", "stty", "touch", "seq", "mount", "ip", "kill",
            "stat", "ps",
        ] {
            symlink("busybox", layer + "/bin/" + name)
        }
    }

    func write(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws {
        let file = OwnedDescriptor(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode))
        guard file.raw >= 0, Glibc.write(file.raw, bytes, bytes.count) == bytes.count else {
            throw EngineError(.internal, "writing \(path)")
        }
    }

    private func writeConfig(_ arguments: [String], terminal: Bool) throws {
        let quoted = arguments.map { "\"" + $0.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\"" }
        let capabilities =
            "[\"CAP_CHOWN\",\"CAP_KILL\",\"CAP_SETUID\",\"CAP_SETGID\",\"CAP_DAC_OVERRIDE\",\"CAP_NET_ADMIN\"]"
        let map = "[{\"containerID\":0,\"hostID\":\(Self.base),\"size\":65536}]"
        let text = """
            {"ociVersion":"1.0.2","hostname":"test","root":{"path":"\(directory)/rootfs"},
            "process":{"terminal":\(terminal),"cwd":"/","user":{"uid":0,"gid":0},"args":[\(quoted.joined(separator: ","))],
            "env":["PATH=/bin","TERM=xterm"],"noNewPrivileges":true,
            "capabilities":{"bounding":\(capabilities),"effective":\(capabilities),"permitted":\(capabilities)}},
            "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
            {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=64k"]},
            {"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620"]},
            {"destination":"/sys","type":"sysfs","source":"sysfs","options":["ro","nosuid"]}],
            "linux":{"uidMappings":\(map),"gidMappings":\(map),"namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},
            {"type":"mount"},{"type":"network","path":"\(directory)/ns/net"},{"type":"user","path":"\(directory)/ns/user"}]}}
            """
        try write(directory + "/config.json", Array(text.utf8))
    }

    // MARK: What is in the log

    struct Entry: Equatable {
        var time: String
        var stream: String
        var tag: String
        var text: String
    }

    func log(_ path: String? = nil) throws -> [Entry] {
        let bytes = try readSmallFile(path ?? logPath, limit: 256 << 20)
        return bytes.split(separator: 0x0A).map { line in
            let parts = String(decoding: line, as: UTF8.self).split(
                separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            return Entry(
                time: String(parts[0]), stream: String(parts.count > 1 ? parts[1] : ""),
                tag: String(parts.count > 2 ? parts[2] : ""), text: parts.count > 3 ? String(parts[3]) : "")
        }
    }
}

extension Fixture {
    /// What a stream's log says, parts of lines put together.
    func logText(_ stream: String = "stdout") throws -> String {
        try log().filter { $0.stream == stream }.map { $0.text + ($0.tag == "F" ? "\n" : "") }.joined()
    }
}

/// All that a descriptor gives until its end; EIO is a terminal's end.
func readToEnd(_ descriptor: OwnedDescriptor) async -> String {
    await runBlocking {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor.raw, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(contentsOf: buffer[..<count])
        }
    }
}

/// What a descriptor gives until `text` was among it, or the end.
func read(_ descriptor: OwnedDescriptor, until text: String) async -> String {
    await runBlocking {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor.raw, &byte, 1) == 1 {
            bytes.append(byte)
            if bytes.suffix(text.utf8.count) == Array(text.utf8)[...] { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

func writeText(_ descriptor: OwnedDescriptor?, _ text: String) {
    guard let descriptor else { return }
    _ = Glibc.write(descriptor.raw, text, text.utf8.count)
}

extension ShimSpec.Identity {
    /// A range of 65536 ids.
    init(base: UInt32) {
        let map = "0 \(base) 65536\n"
        self.init(user: base, group: base, users: map, groups: map)
    }
}
