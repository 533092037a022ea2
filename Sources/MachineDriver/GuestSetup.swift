import DriverKit
import GuestCore
import LinuxHost
import Model

/// What a directly booted machine is told: its configuration, initial file system and kernel command line.
enum GuestSetup {
    /// Programs that are a guest's own init: the guest is booted, not one program run.
    static func isInit(_ program: String) -> Bool {
        ["init", "systemd", "openrc-init"].contains(program.split(separator: "/").last.map(String.init) ?? "")
    }

    static func config(_ plan: LaunchPlan) -> GuestConfig {
        var config = GuestConfig()
        config.hostname = plan.hostname
        let arguments = plan.process.arguments
        if let program = arguments.first, !isInit(program) {
            config.boot = .application
            config.process = ExecRequest(
                arguments: arguments, environment: plan.process.environment,
                directory: plan.process.workingDirectory ?? "/", user: plan.process.user ?? "",
                terminal: plan.stdio.terminal, openInput: plan.stdio.openStdin, columns: plan.stdio.size?.columns ?? 80,
                rows: plan.stdio.size?.rows ?? 24)
        } else {
            config.boot = .system(path: arguments.first.map { $0.hasPrefix("/") ? $0 : "" } ?? "")
        }
        config.readOnlyRoot = plan.security.readOnlyRoot
        guard case .endpoints(let endpoints) = plan.network else { return config }
        for endpoint in endpoints where !endpoint.configuredByGuest {
            config.interfaces.append(
                GuestConfig.Interface(
                    mac: endpoint.mac, name: endpoint.device,
                    ipv4: endpoint.ipv4.map { "\($0)/\(endpoint.prefixLength4)" } ?? "",
                    gateway4: endpoint.gateway4 ?? "",
                    ipv6: endpoint.ipv6.map { "\($0)/\(endpoint.prefixLength6)" } ?? "",
                    gateway6: endpoint.gateway6 ?? ""))
            config.nameServers += endpoint.dns.filter { !config.nameServers.contains($0) }
            config.searchDomains += endpoint.searchDomains.filter { !config.searchDomains.contains($0) }
        }
        return config
    }

    /// The kernel's modules, then isle-init and the configuration.
    static func initialFileSystem(modules: [UInt8], program: [UInt8], config: GuestConfig) -> [UInt8] {
        var archive = CPIOArchive()
        for folder in ["dev", "proc", "sys", "sysroot"] { archive.addFolder(folder) }
        archive.addFile("init", program, mode: 0o755)
        archive.addFile("isle.conf", config.encoded, mode: 0o600)
        return modules + archive.finished()
    }

    static func commandLine(_ plan: LaunchPlan, acceleration: Acceleration, isApplication: Bool) -> String {
        var words = [
            "console=ttyS0", "quiet", "reboot=t", "panic=\(isApplication ? "-1" : "10")", "8250.nr_uarts=1",
            "random.trust_cpu=on", "cryptomgr.notests", "no_timer_check",
        ]
        // The translator has no speculation to guard against, and pays for every guard.
        if acceleration == .tcg { words.append("mitigations=off") }
        // Two machines of one image must not share its machine id: DHCP servers know clients by it.
        if !isApplication { words.append("systemd.machine_id=\(plan.id.raw)\(plan.id.raw)") }
        return words.joined(separator: " ")
    }
}
