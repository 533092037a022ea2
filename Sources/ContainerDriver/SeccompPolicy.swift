import Model

extension SeccompProfile {
    /// The filter that a policy in LXC's form describes.
    init(_ policy: SystemCallPolicy, machine: String) throws {
        self.init(
            defaultAction: Action(policy.standard),
            rules: try policy.rules.map { rule in
                Rule(
                    calls: [rule.call], action: Action(rule.action),
                    conditions: try rule.conditions.map { try Condition($0) })
            }, architectures: Self.architectures(machine: machine))
    }
}

extension SeccompProfile.Action {
    init(_ action: SystemCallPolicy.Action) {
        self =
            switch action {
            case .allow: .allow
            case .kill: .killThread
            case .trap: .trap
            case .log: .log
            case .fail(let number): .fail(number)
            }
    }
}

extension SeccompProfile.Condition {
    init(_ condition: SystemCallPolicy.Condition) throws {
        guard let comparison = Comparison(rawValue: condition.comparison) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(condition.comparison)) is no comparison of a system call's argument")
        }
        // libseccomp has the mask first.
        self.init(
            index: condition.index, comparison: comparison, value: condition.mask ?? condition.value,
            valueTwo: condition.mask == nil ? 0 : condition.value)
    }
}
