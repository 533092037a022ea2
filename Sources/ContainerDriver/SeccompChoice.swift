import DriverKit
import LinuxHost
import Model

extension ContainerDriver {
    /// The filter of system calls that a plan asks for.
    func seccompChoice(
        _ plan: LaunchPlan, _ runtime: Runtime, _ capabilities: [String]
    ) async throws -> SpecFacts.SeccompChoice {
        let host = HostSystem.current
        // A whole policy takes the place of all else, as with LXD.
        let policy = try plan.config["raw.seccomp"].map { try SystemCallPolicy.parse($0, machine: host.machine) }
        if let policy = try policy ?? plan.config["security.syscalls.allow"].map(SystemCallPolicy.allowing) {
            let profile = try SeccompProfile(policy, machine: host.machine)
            return runtime.isCrun ? .filter(try await seccomp.filter(for: profile)) : .profile(profile)
        }
        let denied = DeniedCall.parse(plan.config["security.syscalls.deny"] ?? "") ?? []
        var profile: SeccompProfile
        switch plan.security.seccomp {
        case "unconfined",
            "default" where plan.security.privileged, "" where plan.security.privileged:
            if denied.isEmpty { return .unconfined }
            profile = SeccompProfile(
                defaultAction: .allow, rules: [], architectures: SeccompProfile.architectures(machine: host.machine))
        case "default", "":
            profile =
                plan.kind == .system
                ? .system(machine: host.machine)
                : .application(
                    capabilities: Set(capabilities), nesting: plan.security.nesting, machine: host.machine)
        default:
            profile = try .docker(
                json: plan.security.seccomp, capabilities: Set(capabilities), machine: host.machine,
                kernel: host.kernel)
        }
        profile.deny(denied)
        return runtime.isCrun ? .filter(try await seccomp.filter(for: profile)) : .profile(profile)
    }
}

extension SeccompProfile {
    /// Lets further calls fail, whatever the profile says of them.
    mutating func deny(_ denied: [DeniedCall]) {
        guard !denied.isEmpty else { return }
        let names = Set(denied.map(\.name))
        rules = rules.compactMap { rule in
            var rule = rule
            rule.calls.removeAll { names.contains($0) }
            return rule.calls.isEmpty ? nil : rule
        }
        for call in denied { rules.append(Rule(calls: [call.name], action: .fail(call.number))) }
    }
}

/// Modules of the host's kernel that an instance wants.
enum KernelModules {
    /// Loads those that are missing, with modprobe(8).
    /// - Parameter text: names, separated by commas.
    static func load(_ text: String?) async throws {
        for name in (text ?? "").split(separator: ",").map(String.init) where !name.isEmpty {
            let directory = "/sys/module/" + String(name.map { $0 == "-" ? "_" : $0 })
            guard !HostFiles.exists(directory) else { continue }
            let result = try await ProcessRunner.run("modprobe", ["--use-blocklist", "--", name])
            guard result.status.isSuccess else {
                throw EngineError(
                    .unsupported, "the kernel module \(Names.quoted(name)) cannot be loaded: \(result.lastWords)",
                    hint: "install it on the host, or take it from linux.kernel_modules")
            }
        }
    }
}
