import DriverKit
import Glibc
import LinuxHost
import Model

@testable import MachineDriver

/// A driver with a state folder of the test's own, disks made from small root filesystems, and streams read to their end.
final class MachineFixture: Sendable {
    /// Root of the package: programs are in its `out`, and the kernel is kept in its `.build` between runs.
    static let package = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
    static let shim = package + "/out/isle-shim"
    static let initProgram = package + "/out/isle-init"
    /// A Debian userland with systemd, made by scripts/unit-tests where mmdebstrap and the mirror allow it.
    static let debian =
        getenv("ISLE_TEST_DEBIAN").map { String(cString: $0) } ?? package + "/out/test/debian-sys"

    /// What the tests with real machines need.
    static let isReady = getuid() == 0 && programs.allSatisfy { access($0, X_OK) == 0 }
    private static let programs: [String] = [
        shim, initProgram, QEMUProgram.usualPath, "/usr/sbin/mke2fs", "/bin/busybox",
    ]
    static let needs: String = "root, QEMU, mke2fs, busybox and `make out/isle-shim out/isle-init` are needed"

    /// No link of the host is visible.
    static let hasPrivateNetwork = isReady && privateNetwork()

    /// /proc/net/dev follows the process's own namespace, unlike a /sys that was mounted before.
    private static func privateNetwork() -> Bool {
        let table = String(decoding: (try? readSmallFile("/proc/self/net/dev")) ?? [], as: UTF8.self)
        let links = table.split(separator: "\n").dropFirst(2).map {
            $0.split(separator: ":")[0].split(separator: " ")[0]
        }
        return links.allSatisfy { ["lo", "sit0", "tunl0"].contains($0) }
    }

    let folder: TemporaryFolder
    let driver: MachineDriver

    init() throws {
        folder = try TemporaryFolder()
        var paths = MachineDriver.Paths(
            shim: MachineFixture.shim, initProgram: MachineFixture.initProgram, stateDirectory: folder.path)
        paths.kernels = MachineFixture.package + "/.build/isle-kernels"
        // One probe for all runs of the tests: under a KVM that does not work it takes its whole time-out.
        paths.probe = MachineFixture.package + "/.build/isle-kernels/kvm-probe.json"
        driver = MachineDriver(paths: paths)
    }

    func plan(
        _ arguments: [String] = [], disk: DiskRoot, memory: Int64 = 256 << 20, config: [String: String] = [:],
        stdio: StdioOptions = StdioOptions(openStdin: true)
    ) throws -> LaunchPlan {
        let id = InstanceID.random()
        let run = "\(folder.path)/run-\(id)"
        try RootDirectory(path: folder.path).makeDirectory("run-\(id)", mode: 0o700)
        try RootDirectory(path: folder.path).makeDirectory("state-\(id)", mode: 0o700)
        return LaunchPlan(
            id: id, name: "test-\(id.raw.prefix(6))", kind: .machine, hostname: "guest", root: .disk(disk),
            process: ProcessSpec(arguments: arguments, environment: ["GREETING=hello"]),
            identity: IDRange(base: 1_879_048_192 + 65536 * UInt32.random(in: 0..<100)), mounts: [], network: .none,
            limits: Limits(memory: memory), security: SecurityOptions(), stdio: stdio,
            log: LogOptions(path: "\(folder.path)/state-\(id)/console.log"), runDirectory: run,
            stateDirectory: "\(folder.path)/state-\(id)", config: config)
    }

    /// Runs `body` with a machine that is gone afterwards, whatever happens.
    func withMachine(_ plan: LaunchPlan, _ body: (any InstanceHandle) async throws -> Void) async throws {
        let handle = try await driver.create(plan)
        do {
            try await body(handle)
        } catch {
            try? await handle.delete()
            throw error
        }
        try await handle.delete()
    }

    /// A raw ext4 disk with busybox and a few files; `hasInit` adds busybox's init.
    func busyboxDisk(hasInit: Bool = false) async throws -> DiskRoot {
        let name = "disk-\(UInt32.random(in: 0...UInt32.max))"
        let root = try RootDirectory(path: folder.path)
        for part in ["bin", "etc/init.d", "proc", "sys", "dev", "tmp", "root", "sbin"] {
            try root.makeDirectories("\(name).d/\(part)")
        }
        try root.writeFile(
            "\(name).d/bin/busybox", try readSmallFile("/bin/busybox", limit: 8 << 20), mode: 0o755, durable: false)
        for applet in [
            "sh", "cat", "echo", "uname", "id", "sleep", "stty", "head", "true", "ps", "poweroff", "ls", "ip", "ping",
            "ping6", "test",
        ] {
            try root.makeSymbolicLink("\(name).d/bin/\(applet)", target: "busybox")
        }
        if hasInit {
            for program in ["init", "modprobe"] {
                try root.makeSymbolicLink("\(name).d/sbin/\(program)", target: "../bin/busybox")
            }
            try root.writeFile(
                "\(name).d/etc/inittab", Array("::sysinit:/bin/echo init is up\n::ctrlaltdel:/bin/true\n".utf8),
                durable: false)
        }
        try root.writeFile("\(name).d/etc/passwd", Array("root:x:0:0::/root:/bin/sh\nweb:x:33:33::/tmp:/bin/sh\n".utf8))
        try root.writeFile("\(name).d/etc/group", Array("root:x:0:\nweb:x:33:\n".utf8), durable: false)
        return try await disk(from: "\(folder.path)/\(name).d", name: name, size: "32M")
    }

    func disk(from source: String, name: String, size: String) async throws -> DiskRoot {
        let path = "\(folder.path)/\(name).img"
        try await ProcessRunner.check(
            "/usr/sbin/mke2fs",
            ["-q", "-t", "ext4", "-L", "isle-root", "-O", "^has_journal", "-d", source, path, size],
            timeout: .seconds(120))
        return DiskRoot(path: path, format: .raw, boot: .kernel)
    }

    /// What a process in the machine writes, and how it ends.
    func run(
        _ handle: any InstanceHandle, _ arguments: [String], user: String? = nil, directory: String? = nil,
        input: String? = nil, environment: [String] = []
    ) async throws -> (output: String, error: String, exit: ExitRecord) {
        guard let exec = handle.exec else { throw EngineError(.unsupported, "no exec") }
        let session = try await exec.exec(
            ProcessSpec(
                arguments: arguments, environment: environment, workingDirectory: directory, user: user),
            stdio: StdioOptions(openStdin: input != nil))
        if let input, let descriptor = session.streams.input {
            let bytes = Array(input.utf8)
            _ = write(descriptor.raw, bytes, bytes.count)
            descriptor.close()
        }
        async let output = readAll(session.streams.output)
        async let error = readAll(session.streams.error)
        let exit = try await session.wait()
        return (try await output, try await error, exit)
    }

    /// Everything up to end of file, or up to and including `marker`.
    func readAll(_ descriptor: OwnedDescriptor?, until marker: String? = nil) async throws -> String {
        guard let descriptor else { return "" }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK)
        while true {
            let count = read(descriptor.raw, &buffer, buffer.count)
            if count == 0 { break }
            if count < 0 {
                guard errno == EAGAIN else { break }
                try await DescriptorEvents.readable(descriptor)
                continue
            }
            bytes += buffer[..<count]
            if let marker, String(decoding: bytes, as: UTF8.self).contains(marker) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func log(_ plan: LaunchPlan) -> String {
        (try? readSmallFile(plan.log.path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
