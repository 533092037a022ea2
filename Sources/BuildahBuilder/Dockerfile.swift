import Model

/// As much of a Dockerfile (docs.docker.com, "Dockerfile reference") as has to be known before it is built: which images
/// it starts from, how many steps it has, and whether it has something that the builder does not know.
struct Dockerfile: Sendable {
    /// Images by the name that the file has, variables not filled in; the second is with them filled in.
    private(set) var bases: [(written: String, name: String)] = []
    private(set) var steps = 0
    private(set) var hasHeredoc = false
    private var stages: Set<String> = []
    private var count = 0
    private var arguments: [String: String] = [:]

    /// - Parameters:
    ///   - values: given for ARGs.
    ///   - target: the stage at which the build ends; nil: the last.
    init(_ text: String, values: [String: String], target: String?) throws {
        var isOver = false
        for line in Self.lines(text) {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            let (name, rest) = (words[0].uppercased(), words.count > 1 ? words[1] : "")
            if name == "FROM" {
                if isOver { break }
                count += 1
                isOver = from(rest, target: target)
            } else if count == 0, name == "ARG" {
                for word in rest.split(separator: " ") { addArgument(String(word), values) }
                // The builder does not tell of it as a step.
                continue
            } else if ["COPY", "ADD", "RUN"].contains(name) {
                reads(rest)
                hasHeredoc = hasHeredoc || Self.beginsHeredoc(rest)
            }
            steps += 1
        }
        guard count > 0 else { throw EngineError(.invalidArgument, "the Dockerfile has no FROM") }
    }

    private mutating func addArgument(_ word: String, _ values: [String: String]) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let value = parts.count > 1 ? parts[1].filter { $0 != "\"" && $0 != "'" } : ""
        arguments[parts[0]] = values[parts[0]] ?? filled(value)
    }

    /// Notes a stage; true if it is the one to end with.
    private mutating func from(_ rest: String, target: String?) -> Bool {
        let words = rest.split(separator: " ").map(String.init).filter { !$0.hasPrefix("--") }
        guard let written = words.first else { return false }
        let name = filled(written)
        if name != "scratch", !stages.contains(name.lowercased()) { add(written, name) }
        var isTarget = target == String(count - 1)
        if words.count >= 3, words[1].uppercased() == "AS" {
            stages.insert(words[2].lowercased())
            isTarget = isTarget || target?.lowercased() == words[2].lowercased()
        }
        return isTarget
    }

    /// `--from=` of a COPY, and of a mount of a RUN.
    private mutating func reads(_ rest: String) {
        for word in rest.split(separator: " ") where word.hasPrefix("--") {
            for field in word.split(separator: ",") {
                let plain =
                    field.hasPrefix("--from=") ? field.dropFirst(7) : field.hasPrefix("from=") ? field.dropFirst(5) : ""
                let name = filled(String(plain))
                guard !name.isEmpty, Int(name) == nil, name != "scratch", !stages.contains(name.lowercased()) else {
                    continue
                }
                add(String(plain), name)
            }
        }
    }

    private mutating func add(_ written: String, _ name: String) {
        if !bases.contains(where: { $0.written == written }) { bases.append((written, name)) }
    }

    /// The text with `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` filled in.
    private func filled(_ text: String) -> String {
        var out = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "$" else {
                out.append(character)
                continue
            }
            if rest.first == "{" {
                let inner = rest.dropFirst().prefix { $0 != "}" }
                rest = rest.dropFirst(inner.count + 2)
                let name = String(inner.prefix { $0 != ":" })
                let value = arguments[name] ?? ""
                let modifier = inner.dropFirst(name.count)
                if modifier.hasPrefix(":-") {
                    out += value.isEmpty ? modifier.dropFirst(2) : value[...]
                } else if modifier.hasPrefix(":+") {
                    out += value.isEmpty ? "" : modifier.dropFirst(2)
                } else {
                    out += value
                }
            } else {
                let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                rest = rest.dropFirst(name.count)
                out += arguments[String(name)] ?? ""
            }
        }
        return out
    }

    /// `<<EOF`, `<<-EOF`, `<<"EOF"` as a word of its own.
    private static func beginsHeredoc(_ rest: String) -> Bool {
        guard !rest.hasPrefix("[") else { return false }
        return rest.split(separator: " ").contains { word in
            guard word.hasPrefix("<<"), !word.hasPrefix("<<<") else { return false }
            let name = word.dropFirst(2).drop { $0 == "-" || $0 == "\"" || $0 == "'" }
            return name.first.map { $0.isLetter || $0 == "_" } ?? false
        }
    }

    /// Instructions, each on one line: comments and blank lines out, continued lines joined.
    private static func lines(_ text: String) -> [String] {
        var escape: Character = "\\"
        var isAtTop = true
        var found: [String] = []
        var pending = ""
        for raw in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            var line = raw.drop { $0 == " " || $0 == "\t" }
            while line.last == " " || line.last == "\t" { line.removeLast() }
            if line.hasPrefix("#") {
                let directive = line.dropFirst().filter { $0 != " " }.lowercased()
                if isAtTop, directive == "escape=`" { escape = "`" }
                continue
            }
            if line.isEmpty { continue }
            isAtTop = false
            if line.last == escape {
                pending += line.dropLast() + " "
                continue
            }
            found.append((pending + line).split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " "))
            pending = ""
        }
        if !pending.isEmpty { found.append(pending) }
        return found
    }
}
