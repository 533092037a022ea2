import DriverKit
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

    static func binds(_ files: [File], run: String, acceleration: Acceleration, hasTap: Bool) -> [Sandbox.Bind] {
        var binds: [Sandbox.Bind] = []
        for folder in ["/usr", "/lib", "/lib64"] where access(folder, F_OK) == 0 {
            binds.append(Sandbox.Bind(source: folder, target: folder, readOnly: true, executable: true))
        }
        for file in ["/etc/ld.so.cache", "/dev/null", "/dev/urandom"] where access(file, F_OK) == 0 {
            binds.append(Sandbox.Bind(source: file, target: file, readOnly: file.hasPrefix("/etc")))
        }
        if acceleration == .kvm { binds.append(Sandbox.Bind(source: "/dev/kvm", target: "/dev/kvm", readOnly: false)) }
        if hasTap {
            binds.append(Sandbox.Bind(source: "/dev/net/tun", target: "/dev/net/tun", readOnly: false))
        }
        binds.append(
            Sandbox.Bind(source: "\(run)/\(MachineFiles.folder)", target: MachineFiles.inside, readOnly: false))
        for file in files {
            binds.append(Sandbox.Bind(source: file.source, target: file.target, readOnly: file.readOnly))
        }
        return binds
    }

    /// The group that may open /dev/kvm.
    static func groups(_ acceleration: Acceleration) -> [UInt32] {
        var status = stat()
        guard acceleration == .kvm, stat("/dev/kvm", &status) == 0 else { return [] }
        return [status.st_gid]
    }

    /// Lets the hypervisor's user open /dev/net/tun and /dev/kvm where no udev has done so: the modes of systemd's
    /// 50-udev-default.rules. For tun that gives nothing away: attaching to an interface takes CAP_NET_ADMIN or being
    /// its owner (kernel, Documentation/networking/tuntap.rst).
    static func openDevices(_ acceleration: Acceleration, hasTap: Bool) throws {
        for (path, isNeeded) in [("/dev/net/tun", hasTap), ("/dev/kvm", acceleration == .kvm)] where isNeeded {
            var status = stat()
            guard stat(path, &status) == 0 else {
                throw EngineError(
                    .unsupported, "\(path) does not exist", hint: path == "/dev/net/tun" ? "modprobe tun" : nil)
            }
            let forGroup = status.st_mode & 0o060 == 0o060 && status.st_gid != 0 && path == "/dev/kvm"
            guard status.st_mode & 0o006 != 0o006, !forGroup else { continue }
            guard chmod(path, 0o666) == 0 else {
                throw EngineError(.permissionDenied, "\(path) cannot be opened to QEMU's user: \(String(errno: errno))")
            }
        }
    }
}
