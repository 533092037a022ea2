public import DriverKit
import Glibc
import LinuxHost
import Model

extension ContainerDriver {
    public func check() async -> [HostCheck] {
        var checks = [await Self.checkRuntime(), Self.checkKernel(), Self.checkUserNamespaces()]
        checks += [Self.checkCgroups(cgroups), Self.checkSeccomp(), Self.checkOverlay()]
        checks.append(
            HostFiles.exists(configuration.shim)
                ? HostCheck("shim", .ok, configuration.shim)
                : HostCheck(
                    "shim", .error, "\(configuration.shim) is missing",
                    advice: "run 'make install'; without it nothing can be started"))
        return checks
    }

    private static func checkRuntime() async -> HostCheck {
        let advice = "apt install crun; without it containers cannot be started"
        guard let runtime = try? Runtime.find("crun") else {
            return HostCheck("crun", .error, "not installed", advice: advice)
        }
        guard let result = try? await ProcessRunner.run(runtime.path, ["--version"], timeout: .seconds(5)),
            result.status.isSuccess, let line = result.outputText.split(separator: "\n").first
        else {
            return HostCheck("crun", .error, "\(runtime.path) does not run", advice: advice)
        }
        return HostCheck("crun", .ok, "\(line) (\(runtime.path))")
    }

    private static func checkKernel() -> HostCheck {
        let host = HostSystem.current
        let needed = KernelVersion(major: 5, minor: 19)
        if host.kernel >= needed { return HostCheck("kernel", .ok, "Linux \(host.release)") }
        return HostCheck(
            "kernel", .error, "Linux \(host.release) cannot put an overlay over idmapped layers",
            advice: "use Linux 5.19 or newer; privileged containers work without")
    }

    private static func checkUserNamespaces() -> HostCheck {
        let path = "/proc/sys/user/max_user_namespaces"
        let text = (try? readSmallFile(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let limit = Int(text.split(separator: "\n").first ?? "") ?? 0
        guard HostFiles.exists("/proc/self/ns/user"), limit > 0 else {
            return HostCheck(
                "user namespaces", .error, "switched off", advice: "sysctl user.max_user_namespaces=65536")
        }
        return HostCheck("user namespaces", .ok, "at most \(limit)")
    }

    private static func checkCgroups(_ host: CgroupHost) -> HostCheck {
        if host.layout.isUnified {
            return HostCheck("control groups", .ok, "v2 at \(host.layout.unified ?? "")")
        }
        let missing = ["cpu", "cpuacct", "cpuset", "memory", "pids"].filter { host.layout.hierarchy(of: $0) == nil }
        if !missing.isEmpty {
            return HostCheck(
                "control groups", .warning, "v1 without \(missing.joined(separator: ", "))",
                advice: "mount the missing controllers; limits that need them are refused")
        }
        if host.layout.unified == nil {
            return HostCheck(
                "control groups", .warning, "v1 without a unified tree",
                advice: "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified; without it systemd does not run in containers"
            )
        }
        return HostCheck("control groups", .ok, "v1 with a unified tree")
    }

    private static func checkSeccomp() -> HostCheck {
        guard HostFiles.exists("/proc/sys/kernel/seccomp/actions_avail") else {
            return HostCheck(
                "seccomp", .error, "this kernel has no seccomp filters",
                advice: "use a kernel with CONFIG_SECCOMP_FILTER, or security.seccomp=unconfined")
        }
        return HostCheck("seccomp", .ok, "filters are available")
    }

    private static func checkOverlay() -> HostCheck {
        let known = (try? readSmallFile("/proc/filesystems")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let module = HostFiles.exists("/lib/modules/\(HostSystem.current.release)/kernel/fs/overlayfs")
        if known.contains("\toverlay\n") { return HostCheck("overlayfs", .ok, "available") }
        if module { return HostCheck("overlayfs", .ok, "available as a module") }
        return HostCheck(
            "overlayfs", .error, "this kernel has no overlayfs", advice: "modprobe overlay")
    }
}
