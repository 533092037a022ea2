/// A policy of system calls in LXC's form (lxc.container.conf(5), SECCOMP CONFIGURATION), as LXD's `raw.seccomp` has it.
public struct SystemCallPolicy: Sendable, Hashable {
    public enum Action: Sendable, Hashable {
        case allow, kill, trap, log
        /// The call fails with this errno.
        case fail(UInt16)
    }

    /// What must hold of one argument: the comparison in libseccomp's words (`SCMP_CMP_EQ`).
    public struct Condition: Sendable, Hashable {
        public var index: UInt32
        public var comparison: String
        public var value: UInt64
        /// Of `SCMP_CMP_MASKED_EQ`: the bits that are compared.
        public var mask: UInt64?
    }

    public struct Rule: Sendable, Hashable {
        public var call: String
        public var action: Action
        public var conditions: [Condition] = []
    }

    /// For calls that no rule names.
    public var standard: Action
    public var rules: [Rule]

    /// A list of calls that may be made, one a line; all others kill who makes them, as with LXD.
    public static func allowing(_ text: String) throws -> SystemCallPolicy { try parse("2\nallowlist\n[all]\n" + text) }

    /// - Parameter machine: as uname(2) says it. Sections of other architectures are refused: what they leave open would
    ///   be open to programs of this one.
    /// - Throws: `invalidArgument` naming the line that is wrong.
    public static func parse(_ text: String, machine: String = "x86_64") throws -> SystemCallPolicy {
        var lines = text.split(whereSeparator: \.isNewline)
            .map { line in line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init) }
            .filter { !$0.isEmpty }[...]
        guard let version = lines.popFirst(), version == ["2"] else {
            throw wrong("the first line is not '2', the form's version")
        }
        guard let head = lines.popFirst(), let list = head.first,
            ["allowlist", "whitelist", "denylist", "blacklist"].contains(list)
        else { throw wrong("the second line is neither 'allowlist' nor 'denylist'") }
        let isAllowed = list == "allowlist" || list == "whitelist"
        // What comes after the list's name is for the calls that are to be refused.
        let refused = head.count > 1 ? try action(head.dropFirst()) : .kill
        var policy = SystemCallPolicy(standard: isAllowed ? refused : .allow, rules: [])
        for words in lines {
            if words[0].hasPrefix("[") {
                guard words == ["[all]"] || words == ["[\(machine)]"] || machine == "aarch64" && words == ["[arm64]"]
                else { throw wrong("the section \(Names.quoted(words[0])) is neither [all] nor [\(machine)]") }
            } else if words == ["reject_force_umount"] {
                // MNT_FORCE (umount2(2)).
                policy.rules.append(
                    Rule(
                        call: "umount2", action: .fail(13),
                        conditions: [Condition(index: 1, comparison: "SCMP_CMP_MASKED_EQ", value: 1, mask: 1)]))
            } else {
                policy.rules.append(try rule(words, isAllowed ? .allow : refused))
            }
        }
        return policy
    }

    /// `NAME [ACTION] [[INDEX,VALUE,COMPARISON[,MASK]]…]`.
    private static func rule(_ words: [String], _ standard: Action) throws -> Rule {
        let line = words.joined(separator: " ")
        let isName = words[0].utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 }
        guard isName else { throw wrong("\(Names.quoted(words[0])) is no system call") }
        let text = words.dropFirst().prefix { !$0.hasPrefix("[") }
        var rule = Rule(call: words[0], action: text.isEmpty ? standard : try action(text))
        let rest = words.dropFirst(1 + text.count).joined()
        for part in rest.split(separator: "]", omittingEmptySubsequences: true) {
            let fields = part.drop { $0 == "," }.dropFirst().split(separator: ",").map(String.init)
            guard part.drop(while: { $0 == "," }).hasPrefix("["), fields.count == 3 || fields.count == 4,
                let index = UInt32(fields[0]), index < 6, let value = number(fields[1]),
                let comparison = comparisons[fields[2]] ?? comparisons.values.first(where: { $0 == fields[2] })
            else { throw wrong("\(Names.quoted(line)) has a condition that is not [INDEX,VALUE,COMPARISON]") }
            let mask = fields.count == 4 ? number(fields[3]) : nil
            guard (comparison == "SCMP_CMP_MASKED_EQ") == (mask != nil), fields.count == 3 || mask != nil else {
                throw wrong("\(Names.quoted(line)): SCMP_CMP_MASKED_EQ and no other comparison has a mask")
            }
            rule.conditions.append(Condition(index: index, comparison: comparison, value: value, mask: mask))
        }
        return rule
    }

    private static let comparisons = [
        "!=": "SCMP_CMP_NE", "<": "SCMP_CMP_LT", "<=": "SCMP_CMP_LE", "==": "SCMP_CMP_EQ", ">=": "SCMP_CMP_GE",
        ">": "SCMP_CMP_GT", "&=": "SCMP_CMP_MASKED_EQ",
    ]

    private static func action(_ words: ArraySlice<String>) throws -> Action {
        switch (words.first, words.count) {
        case ("allow", 1): return .allow
        case ("kill", 1): return .kill
        case ("trap", 1): return .trap
        case ("log", 1): return .log
        case ("errno", 2):
            guard let number = words.last.flatMap({ UInt16($0) }), number < 4096 else { break }
            return .fail(number)
        default: break
        }
        throw wrong("\(Names.quoted(words.joined(separator: " "))) is no action: allow, kill, trap, log or errno N")
    }

    private static func number(_ text: String) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    private static func wrong(_ why: String) -> EngineError {
        EngineError(
            .invalidArgument, "the policy of system calls cannot be read: \(why)",
            hint: "as LXC's: 2, then 'denylist' or 'allowlist', then lines as 'mkdir errno 1'")
    }
}
