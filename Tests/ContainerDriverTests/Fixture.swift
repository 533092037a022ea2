import DriverKit
import Foundation
import Glibc
import LinuxHost
import Model
import Testing

@testable import ContainerDriver

/// A driver with real parts in folders of its own: one layer with busybox, or a Debian userland with systemd.
final class Fixture: Sendable {
    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    static let shim = ProcessInfo.processInfo.environment["ISLE_SHIM"] ?? root + "/out/isle-shim"
    static let canRun =
        geteuid() == 0 && HostFiles.exists(shim) && (try? Runtime.find("crun")) != nil
        && HostFiles.exists("/bin/busybox")
    static let needs: Comment = "needs root, out/isle-shim (make build), crun and busybox-static"

    let directory: String
    let driver: ContainerDriver
    let cgroupParent: String

    init() throws {
        let unique = String(UInt64.random(in: .min ... .max), radix: 36)
        directory = "/tmp/isle-container-test-\(unique)"
        cgroupParent = "isle-test-\(unique)"
        driver = try ContainerDriver(
            ContainerDriverConfiguration(
                shim: Self.shim, cgroupParent: cgroupParent, cacheDirectory: Self.root + "/out/test/seccomp"))
        try HostFiles.makeDirectory("\(directory)/layers/base/bin", mode: 0o755)
        try HostFiles.makeDirectory("\(directory)/run", mode: 0o711)
        for folder in ["proc", "sys", "dev", "etc", "tmp", "root"] {
            try HostFiles.makeDirectory("\(directory)/layers/base/\(folder)", mode: folder == "tmp" ? 0o1777 : 0o755)
        }
        let busybox = try readSmallFile("/bin/busybox", limit: 8 << 20)
        try HostFiles.write("\(directory)/layers/base/bin/busybox", busybox, mode: 0o755)
        for name in [
            "sh", "true", "false", "sleep", "cat", "id", "env", "ls", "echo", "mount", "dd", "kill", "init", "reboot",
            "poweroff", "tail", "hostname", "stty", "touch", "mkdir", "head", "tr", "wc", "ip", "stat", "chmod",
            "mknod",
        ] {
            symlink("busybox", "\(directory)/layers/base/bin/\(name)")
        }
        try addFile("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/srv:/bin/sh\n")
        try addFile("etc/group", "root:x:0:\nwww:x:44:\nextra:x:55:root,web\nmore:x:56:web\n")
    }

    func addFile(_ path: String, _ text: String, mode: UInt32 = 0o644) throws {
        try HostFiles.write("\(directory)/layers/base/\(path)", text, mode: mode)
    }

    /// A plan for a shell command.
    func plan(_ script: String, kind: InstanceKind = .application) throws -> LaunchPlan {
        try plan(arguments: ["/bin/sh", "-c", script], kind: kind)
    }

    func plan(
        arguments: [String], kind: InstanceKind = .application, layers: String? = nil, layer: String = "base"
    ) throws -> LaunchPlan {
        let id = InstanceID.random()
        let instance = "\(directory)/instances/\(id)"
        try HostFiles.makeDirectory("\(instance)/upper", mode: 0o755)
        try HostFiles.makeDirectory("\(instance)/work", mode: 0o755)
        return LaunchPlan(
            id: id, name: "test-\(id.raw.prefix(4))", kind: kind, hostname: "box",
            root: .overlay(
                OverlayRoot(
                    layersDirectory: layers ?? "\(directory)/layers", lower: [layer], instanceDirectory: instance)),
            process: ProcessSpec(arguments: arguments), identity: IDRange(base: 1_000_000), mounts: [],
            network: .none, limits: Limits(),
            security: SecurityOptions(noNewPrivileges: kind == .application), stdio: StdioOptions(),
            log: LogOptions(path: "\(instance)/log"), runDirectory: "\(directory)/run/\(id)",
            stateDirectory: instance)
    }

    /// Runs to the end; what was logged, and how it ended.
    func run(_ plan: LaunchPlan) async throws -> (exit: ExitRecord, output: String) {
        let handle = try await driver.create(plan)
        do {
            try await handle.start()
            let exit = try await handle.wait()
            let output = log(plan)
            try await handle.delete()
            return (exit, output)
        } catch {
            try await handle.delete()
            throw error
        }
    }

    /// The log without its time stamps and tags.
    func log(_ plan: LaunchPlan) -> String {
        guard let bytes = try? readSmallFile(plan.log.path) else { return "" }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map {
            String($0.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).last ?? "")
        }.joined(separator: "\n")
    }

    /// What an instance left outside its state folder; empty is as it should be.
    func residue(_ plan: LaunchPlan) -> [String] {
        var found: [String] = []
        if HostFiles.exists(plan.runDirectory) { found.append(plan.runDirectory) }
        found += (driver.cgroups.find(plan.id.raw)?.joinFolders ?? [])
        let mounts = (try? readSmallFile("/proc/self/mountinfo")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        if mounts.contains(directory) { found.append("mount") }
        return found
    }

    func remove() {
        driver.cgroups.removeParentIfEmpty()
        guard let parent = try? RootDirectory(path: "/tmp", confinement: .beneath) else { return }
        try? parent.removeTree(String(directory.dropFirst(5)))
    }
}

/// Runs `body` with a fixture that is taken away afterwards.
func withFixture(_ body: (Fixture) async throws -> Void) async throws {
    let fixture = try Fixture()
    defer { fixture.remove() }
    try await body(fixture)
}

/// All of a stream.
func text(_ descriptor: OwnedDescriptor) async -> String {
    await runBlocking {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor.raw, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            // A terminal's master ends with EIO.
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}

extension InstanceHandle {
    /// Runs a command to its end.
    func run(
        _ arguments: [String], user: String? = nil, environment: [String] = [], directory: String? = nil,
        stdio: StdioOptions = StdioOptions()
    ) async throws -> (exit: ExitRecord, output: String, error: String) {
        guard let exec else { throw EngineError(.unsupported, "no exec") }
        let session = try await exec.exec(
            ProcessSpec(
                arguments: arguments, environment: environment, workingDirectory: directory, user: user), stdio: stdio)
        async let output = text(session.streams.output)
        let error = if let stream = session.streams.error { await text(stream) } else { "" }
        return (try await session.wait(), await output, error)
    }
}
