extension SeccompProfile {
    /// The filter of application containers: a list of allowed calls, as strict as Docker's default profile
    /// (docs.docker.com/engine/security/seccomp), with more for the capabilities that the container holds.
    ///
    /// A call that the list does not know fails with ENOSYS, so that a C library falls back to an older one; a call
    /// that is known and refused fails with EPERM.
    static func application(capabilities: Set<String>, nesting: Bool, machine: String) -> SeccompProfile {
        var rules = [
            Rule(
                calls: SystemCalls.files + SystemCalls.memory + SystemCalls.processes + SystemCalls.identity
                    + SystemCalls.signals + SystemCalls.timers + SystemCalls.scheduling + SystemCalls.waiting
                    + SystemCalls.messages + SystemCalls.sockets + SystemCalls.information
                    + (machine == "aarch64" ? SystemCalls.armOnly : SystemCalls.x86Only), action: .allow),
            // The execution domains of ordinary Linux programs; others reach little tested code of the kernel.
            Rule(calls: ["personality"], action: .allow, conditions: [equal(0, 0x0)]),
            Rule(calls: ["personality"], action: .allow, conditions: [equal(0, 0x8)]),
            Rule(calls: ["personality"], action: .allow, conditions: [equal(0, 0x20000)]),
            Rule(calls: ["personality"], action: .allow, conditions: [equal(0, 0x20008)]),
            Rule(calls: ["personality"], action: .allow, conditions: [equal(0, 0xffff_ffff)]),
        ]
        var refused = SystemCalls.refused
        for (capability, calls) in SystemCalls.byCapability {
            let granted = capabilities.contains(capability) || (nesting && capability == "CAP_SYS_ADMIN")
            if granted {
                rules.append(Rule(calls: calls, action: .allow))
            } else {
                refused += calls
            }
        }
        if capabilities.contains("CAP_SYS_ADMIN") || nesting {
            rules.append(Rule(calls: ["clone", "clone3"], action: .allow))
        } else {
            // The flags of clone(2) that make namespaces. clone3(2) has its flags in memory, where no filter can look:
            // C libraries fall back to clone on ENOSYS.
            let namespaces = Condition(index: 0, comparison: .maskedEqual, value: 0x7e02_0000, valueTwo: 0)
            rules.append(Rule(calls: ["clone"], action: .allow, conditions: [namespaces]))
            rules.append(Rule(calls: ["clone3"], action: .fail(SeccompErrno.notImplemented)))
        }
        rules.append(contentsOf: sockets)
        let allowed = Set(rules.filter { $0.action == .allow }.flatMap(\.calls))
        let denied = Set(refused).subtracting(allowed).subtracting(["clone3"])
        rules.append(Rule(calls: denied.sorted(), action: .fail(SeccompErrno.notPermitted)))
        return SeccompProfile(
            defaultAction: .fail(SeccompErrno.notImplemented), rules: rules,
            architectures: architectures(machine: machine))
    }

    /// Every address family but AF_VSOCK (40), which leads past the network namespace to the hypervisor, and AF_ALG
    /// (38), the kernel's crypto interface.
    static var sockets: [Rule] {
        [
            Rule(calls: ["socket"], action: .allow, conditions: [Condition(index: 0, comparison: .less, value: 38)]),
            Rule(calls: ["socket"], action: .allow, conditions: [equal(0, 39)]),
            Rule(
                calls: ["socket"], action: .allow, conditions: [Condition(index: 0, comparison: .greater, value: 40)]),
        ]
    }

    static func equal(_ index: UInt32, _ value: UInt64) -> Condition {
        Condition(index: index, comparison: .equal, value: value)
    }
}
