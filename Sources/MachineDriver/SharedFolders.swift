import CHost
import DriverKit
import Glibc
import LinuxHost
import Model
import ShimClient
import ShimCore

/// Folders of the host in a machine, by virtiofs: one virtiofsd for each, run by the machine's shim, so that it outlives
/// the daemon; it ends with QEMU.
struct SharedFolder: Sendable, Codable, Hashable {
    /// Name by which the guest finds it, and of its socket in the machine's folder.
    var tag: String
    /// What virtiofsd serves: the folder, or the read-only bind of it in the shim's mount namespace.
    var source: String
    var target: String
    var readOnly: Bool

    /// Where distributions put it.
    private static let programs = ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"]

    static var program: String? { programs.first { access($0, X_OK) == 0 } }

    /// The plan's mounts as shared folders, and the binds that make read-only ones so.
    static func make(_ mounts: [MountSpec], machine: String, run: RootDirectory) throws -> ([SharedFolder], [ShimMount])
    {
        guard !mounts.isEmpty else { return ([], []) }
        guard program != nil else {
            throw EngineError(
                .unsupported, "machine \(machine) has folders of the host, and virtiofsd is not installed",
                hint: "apt-get install virtiofsd (older releases: qemu-system-common)")
        }
        var folders: [SharedFolder] = []
        var binds: [ShimMount] = []
        for (index, mount) in mounts.enumerated() {
            var status = stat()
            guard stat(mount.source, &status) == 0 else {
                throw EngineError(.notFound, "\(mount.source), to be mounted in machine \(machine), does not exist")
            }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw EngineError(
                    .unsupported, "\(mount.source) is a file; a machine can only have folders of the host",
                    hint: "mount the folder that it is in")
            }
            var source = mount.source
            if mount.readOnly {
                // virtiofsd has no read-only mode of its own in all versions.
                try run.makeDirectories("shares/\(index)")
                source = "\(run.path)/shares/\(index)"
                binds.append(.bind(source: mount.source, target: source, readOnly: true))
            }
            folders.append(
                SharedFolder(tag: "isle\(index)", source: source, target: mount.target, readOnly: mount.readOnly))
        }
        return (folders, binds)
    }

    /// Starts virtiofsd and returns when QEMU's user can connect to it. With SIGPIPE ignored it does not end when
    /// nobody reads its words any more.
    func serve(_ shim: ShimConnection, run: RootDirectory, user: UInt32) async throws {
        guard let program = SharedFolder.program else { throw EngineError(.unsupported, "virtiofsd is not installed") }
        let socket = "\(MachineFiles.folder)/\(tag)"
        let session = try await shim.exec(
            ShimExec(
                arguments: [
                    "/usr/bin/env", "--ignore-signal=PIPE", program, "--socket-path=\(run.path)/\(socket)", "-o",
                    "source=\(source)", "-o",
                    "cache=auto",
                ], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]))
        for _ in 0..<500 {
            if try run.exists(socket) { return try run.setOwner(socket, user: user, group: user) }
            if kill(session.pid, 0) != 0 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw EngineError(.internal, "virtiofsd does not serve \(source)")
    }
}
