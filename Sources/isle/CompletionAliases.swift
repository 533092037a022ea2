import ArgumentParser

/// Teaches ArgumentParser's completion scripts the verbs' other names (`rm`, `ls`), which lead to the same functions.
enum CompletionAliases {
    /// `script` of bash or zsh with an arm for each alias in each function that chooses among verbs.
    static func add(to script: String, zsh: Bool) -> String {
        var aliases: [String: [(alias: String, function: String)]] = [:]
        collect(Isle.self, "_isle", &aliases)
        let choice = zsh ? "case \"${words[1]}\" in" : "case \"${subcommand}\" in"
        var function = ""
        var out: [Substring] = []
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            out.append(line)
            if line.hasPrefix("_isle"), line.hasSuffix("() {") { function = String(line.dropLast(4)) }
            guard line.hasSuffix(choice) else { continue }
            let indent = line.prefix { $0 == " " }
            for (alias, target) in aliases[function] ?? [] {
                out.append("\(indent)\(alias))")
                out.append("\(indent)    \"\(target)\"" + (zsh ? " && ret=0" : ""))
                out.append("\(indent)    ;;")
            }
        }
        return out.joined(separator: "\n")
    }

    private static func collect(
        _ command: any ParsableCommand.Type, _ function: String,
        _ aliases: inout [String: [(alias: String, function: String)]]
    ) {
        for inner in command.configuration.subcommands {
            let target = "\(function)_\(inner._commandName)"
            for alias in inner.configuration.aliases { aliases[function, default: []].append((alias, target)) }
            collect(inner, target, &aliases)
        }
    }
}
