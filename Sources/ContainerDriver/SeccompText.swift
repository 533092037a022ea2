extension SeccompProfile {
    /// The whole profile as text, one line per rule: equal texts are equal profiles.
    var canonicalText: String {
        var lines = ["default \(defaultAction.text)"]
        lines += architectures.map { "architecture \($0.rawValue)" }
        for rule in rules {
            var line = "\(rule.action.text):"
            for name in rule.calls { line += " \(name)" }
            for condition in rule.conditions {
                line +=
                    " [\(condition.index) \(condition.comparison.rawValue) \(condition.value) \(condition.valueTwo)]"
            }
            lines.append(line)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The profile as the `linux.seccomp` object of a runtime configuration, for runtimes that compile it themselves.
    var runtimeSpec: RuntimeSpec.Seccomp {
        RuntimeSpec.Seccomp(
            defaultAction: defaultAction.name, defaultErrnoRet: defaultAction.errno,
            architectures: architectures.map(\.rawValue),
            syscalls: rules.filter { $0.action != defaultAction && !$0.calls.isEmpty }.map { rule in
                RuntimeSpec.Seccomp.Syscall(
                    names: rule.calls, action: rule.action.name, errnoRet: rule.action.errno,
                    args: rule.conditions.isEmpty
                        ? nil
                        : rule.conditions.map {
                            RuntimeSpec.Seccomp.Argument(
                                index: $0.index, value: $0.value, valueTwo: $0.valueTwo, op: $0.comparison.rawValue)
                        })
            })
    }
}

extension SeccompProfile.Action {
    var name: String {
        switch self {
        case .allow: "SCMP_ACT_ALLOW"
        case .fail: "SCMP_ACT_ERRNO"
        case .killProcess: "SCMP_ACT_KILL_PROCESS"
        case .killThread: "SCMP_ACT_KILL_THREAD"
        case .trap: "SCMP_ACT_TRAP"
        case .log: "SCMP_ACT_LOG"
        }
    }

    var errno: UInt32? {
        if case .fail(let number) = self { return UInt32(number) }
        return nil
    }

    var text: String { errno.map { "\(name)(\($0))" } ?? name }
}
