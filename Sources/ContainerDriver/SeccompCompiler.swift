import CHost
import CSeccomp
import Glibc
import LinuxHost
import Model

/// Turns a profile into the kernel's filter program with libseccomp.
enum SeccompCompiler {
    /// The program as an array of `struct sock_filter` (seccomp(2)).
    /// - Throws: `invalidArgument` for a profile that libseccomp refuses.
    static func compile(_ profile: SeccompProfile) throws -> [UInt8] {
        guard let context = seccomp_init(code(profile.defaultAction)) else {
            throw EngineError(.invalidArgument, "libseccomp does not take the profile's default action")
        }
        defer { seccomp_release(context) }
        // Calls of an architecture that the profile does not name must not end the program.
        try check(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, code(.fail(SeccompErrno.notImplemented))))
        // A binary tree over the numbers: a few comparisons per call instead of hundreds.
        try check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        for architecture in profile.architectures {
            let token = seccomp_arch_resolve_name(architecture.shortName)
            guard token != 0 else { continue }
            let result = seccomp_arch_add(context, token)
            guard result == 0 || result == -EEXIST else { try check(result); continue }
        }
        for rule in profile.rules where rule.action != profile.defaultAction {
            try add(rule, to: context)
        }
        return try export(context)
    }

    private static func add(_ rule: SeccompProfile.Rule, to context: UnsafeMutableRawPointer) throws {
        let conditions = rule.conditions.map {
            scmp_arg_cmp(arg: $0.index, op: $0.comparison.code, datum_a: $0.value, datum_b: $0.valueTwo)
        }
        for name in rule.calls {
            let number = seccomp_syscall_resolve_name(name)
            // Not a call on any architecture that this libseccomp knows: the default action holds.
            guard number != __NR_SCMP_ERROR else { continue }
            let result = seccomp_rule_add_array(
                context, code(rule.action), number, UInt32(conditions.count), conditions)
            guard result == 0 || result == -EDOM || result == -EEXIST else {
                throw EngineError(
                    .invalidArgument, "libseccomp refuses the rule for system call '\(name)': \(String(errno: -result))"
                )
            }
        }
    }

    private static func export(_ context: UnsafeMutableRawPointer) throws -> [UInt8] {
        let raw = isle_memfd("isle-seccomp")
        guard raw >= 0 else { throw EngineError(.internal, "making a memory file: \(String(errno: -raw))") }
        let file = OwnedDescriptor(raw)
        try check(seccomp_export_bpf(context, file.raw))
        return try readSmallFile("/proc/self/fd/\(file.raw)")
    }

    private static func check(_ result: Int32) throws {
        guard result == 0 else {
            throw EngineError(.internal, "libseccomp failed: \(String(errno: -result))")
        }
    }

    /// The kernel's SECCOMP_RET_* values, which libseccomp's actions are.
    private static func code(_ action: SeccompProfile.Action) -> UInt32 {
        switch action {
        case .allow: 0x7fff_0000
        case .fail(let errno): 0x0005_0000 | UInt32(errno)
        case .killProcess: 0x8000_0000
        case .killThread: 0
        case .trap: 0x0003_0000
        case .log: 0x7ffc_0000
        }
    }
}

extension SeccompProfile.Architecture {
    var shortName: String {
        switch self {
        case .x86_64: "x86_64"
        case .x86: "x86"
        case .x32: "x32"
        case .aarch64: "aarch64"
        case .arm: "arm"
        }
    }
}

extension SeccompProfile.Condition.Comparison {
    var code: scmp_compare {
        switch self {
        case .notEqual: SCMP_CMP_NE
        case .less: SCMP_CMP_LT
        case .lessOrEqual: SCMP_CMP_LE
        case .equal: SCMP_CMP_EQ
        case .greaterOrEqual: SCMP_CMP_GE
        case .greater: SCMP_CMP_GT
        case .maskedEqual: SCMP_CMP_MASKED_EQ
        }
    }
}
