import Glibc
import LinuxHost
import Model
import ShimCore

/// The walls around QEMU: an unprivileged user in an empty root that shows the programs of the host, the machine's own
/// files and nothing else.
enum MachineSandbox {
    /// Host files by the name under which QEMU sees them.
    struct File: Sendable, Hashable {
        var source: String
        var target: String
        var readOnly: Bool
    }

    static func binds(_ files: [File], run: String) -> [Sandbox.Bind] {
        var binds: [Sandbox.Bind] = []
        for folder in ["/usr", "/lib", "/lib64"] where access(folder, F_OK) == 0 {
            binds.append(Sandbox.Bind(source: folder, target: folder, readOnly: true, executable: true))
        }
        for file in ["/etc/ld.so.cache", "/dev/null", "/dev/urandom"] where access(file, F_OK) == 0 {
            binds.append(Sandbox.Bind(source: file, target: file, readOnly: file.hasPrefix("/etc")))
        }
        binds.append(
            Sandbox.Bind(source: "\(run)/\(MachineFiles.folder)", target: MachineFiles.inside, readOnly: false))
        for file in files {
            binds.append(Sandbox.Bind(source: file.source, target: file.target, readOnly: file.readOnly))
        }
        return binds
    }

    /// Devices of which QEMU gets files of its own, so that the host's keep their modes. Tap interfaces are not among
    /// them: the shim opens those.
    static func devices(_ acceleration: Acceleration) -> [String] { acceleration == .kvm ? ["/dev/kvm"] : [] }

    /// - Throws: `unsupported` if the host lacks what the shim is to open.
    static func check(_ acceleration: Acceleration, hasTap: Bool) throws {
        for (path, isNeeded) in [("/dev/net/tun", hasTap), ("/dev/kvm", acceleration == .kvm)]
        where isNeeded && access(path, F_OK) != 0 {
            throw EngineError(
                .unsupported, "\(path) does not exist", hint: path == "/dev/net/tun" ? "modprobe tun" : nil)
        }
    }
}
