/// A filter of system calls (seccomp(2)) as data: what to do with calls that no rule names, and rules.
///
/// The first rule that names a call without a condition and the rules with conditions on it must not contradict
/// each other; a call is named by its name on any architecture and left out where it does not exist.
struct SeccompProfile: Sendable, Hashable {
    enum Action: Sendable, Hashable {
        case allow
        /// The call fails with this errno.
        case fail(UInt16)
        case killProcess
        case killThread
        case trap
        case log
    }

    /// A condition on one argument; all conditions of a rule must hold.
    struct Condition: Sendable, Hashable {
        enum Comparison: String, Sendable, Hashable {
            case notEqual = "SCMP_CMP_NE"
            case less = "SCMP_CMP_LT"
            case lessOrEqual = "SCMP_CMP_LE"
            case equal = "SCMP_CMP_EQ"
            case greaterOrEqual = "SCMP_CMP_GE"
            case greater = "SCMP_CMP_GT"
            /// `argument & value == valueTwo`
            case maskedEqual = "SCMP_CMP_MASKED_EQ"
        }
        var index: UInt32
        var comparison: Comparison
        var value: UInt64
        var valueTwo: UInt64 = 0
    }

    struct Rule: Sendable, Hashable {
        var calls: [String]
        var action: Action
        var conditions: [Condition] = []
    }

    var defaultAction: Action
    var rules: [Rule]
    /// Architectures beside the native one whose calls the kernel takes too, as libseccomp names them.
    var architectures: [Architecture]

    enum Architecture: String, Sendable, Hashable, CaseIterable {
        case x86_64 = "SCMP_ARCH_X86_64"
        case x86 = "SCMP_ARCH_X86"
        case x32 = "SCMP_ARCH_X32"
        case aarch64 = "SCMP_ARCH_AARCH64"
        case arm = "SCMP_ARCH_ARM"
    }

    /// The native architecture and the one whose programs its kernel runs too.
    static func architectures(machine: String) -> [Architecture] {
        machine == "aarch64" ? [.aarch64, .arm] : [.x86_64, .x86]
    }
}

/// The errno values that filters answer with; the same on x86_64 and aarch64.
enum SeccompErrno {
    static let notPermitted: UInt16 = 1
    static let invalid: UInt16 = 22
    static let notImplemented: UInt16 = 38
}
