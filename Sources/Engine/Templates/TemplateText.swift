/// A template as images of LXD bring them: the part of pongo2's language (that of Django) that they use. `{{ … }}` prints,
/// `{% if … %}`, `{% for … %}`, `{% set … %}` decide and repeat, `{# … #}` is left out. Tags that read files are refused.
struct TemplateText: Sendable {
    indirect enum Node: Sendable {
        case text(String)
        case print(TemplateExpression)
        case choice([(condition: TemplateExpression?, body: [Node])])
        case loop(names: [String], over: TemplateExpression, body: [Node], empty: [Node])
        case set(String, TemplateExpression)
    }

    let nodes: [Node]

    /// - Throws: `TemplateFailure` that says what is wrong.
    init(_ text: String) throws {
        var parser = Parser(pieces: try Self.split(text)[...])
        nodes = try parser.nodes(until: [])
    }

    private enum Piece {
        case text(String)
        case print(String)
        case tag(String)
    }

    private static func split(_ text: String) throws -> [Piece] {
        var pieces: [Piece] = []
        var rest = text[...]
        var plain = ""
        while let brace = rest.firstIndex(of: "{") {
            plain += rest[..<brace]
            rest = rest[brace...]
            guard let (open, close) = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")].first(where: { rest.hasPrefix($0.0) })
            else {
                plain.append(rest.removeFirst())
                continue
            }
            guard let end = rest.firstRange(of: close) else { throw TemplateFailure("'\(open)' is not closed") }
            let inner = String(rest[rest.index(rest.startIndex, offsetBy: 2)..<end.lowerBound])
            rest = rest[end.upperBound...]
            if open == "{#" { continue }
            if !plain.isEmpty { pieces.append(.text(plain)) }
            plain = ""
            pieces.append(open == "{{" ? .print(inner) : .tag(inner))
        }
        plain += rest
        if !plain.isEmpty { pieces.append(.text(plain)) }
        return pieces
    }

    private struct Parser {
        var pieces: ArraySlice<Piece>
        /// The tag that ended the last list of nodes.
        var ending = ""
        var depth = 0

        mutating func nodes(until ends: Set<String>) throws -> [Node] {
            depth += 1
            defer { depth -= 1 }
            guard depth < 32 else { throw TemplateFailure("blocks are too deeply nested") }
            var nodes: [Node] = []
            while let piece = pieces.popFirst() {
                switch piece {
                case .text(let text): nodes.append(.text(text))
                case .print(let text): nodes.append(.print(try Self.expression(text)))
                case .tag(let text):
                    let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
                    let name = words.first ?? ""
                    if ends.contains(name) {
                        ending = text
                        return nodes
                    }
                    nodes += try tag(name, words)
                }
            }
            guard ends.isEmpty else {
                throw TemplateFailure("a block is not ended by {% \(ends.sorted().last ?? "") %}")
            }
            return nodes
        }

        private mutating func tag(_ name: String, _ words: [String]) throws -> [Node] {
            let argument = words.dropFirst().joined(separator: " ")
            switch name {
            case "if": return [try choice(argument)]
            case "for": return [try loop(argument)]
            case "set":
                let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2 else { throw TemplateFailure("{% set %} has no value") }
                return [.set(parts[0].filter { !$0.isWhitespace }, try Self.expression(parts[1]))]
            case "autoescape":
                // What is made are configuration files: nothing is escaped in either case, as with LXD.
                return try nodes(until: ["endautoescape"])
            case "comment":
                _ = try nodes(until: ["endcomment"])
                return []
            default: throw TemplateFailure("the tag {% \(name) %} is not offered")
            }
        }

        private mutating func choice(_ condition: String) throws -> Node {
            var branches: [(condition: TemplateExpression?, body: [Node])] = []
            var next: TemplateExpression? = try Self.expression(condition)
            while true {
                let body = try nodes(until: next == nil ? ["endif"] : ["elif", "else", "endif"])
                branches.append((next, body))
                let words = ending.split(whereSeparator: \.isWhitespace).map(String.init)
                switch words.first {
                case "elif": next = try Self.expression(words.dropFirst().joined(separator: " "))
                case "else": next = nil
                default: return .choice(branches)
                }
            }
        }

        private mutating func loop(_ argument: String) throws -> Node {
            guard let middle = argument.firstRange(of: " in ") else { throw TemplateFailure("{% for %} has no 'in'") }
            let names = argument[..<middle.lowerBound].split(separator: ",").map { $0.filter { !$0.isWhitespace } }
            guard (1...2).contains(names.count) else { throw TemplateFailure("{% for %} takes one name or two") }
            let over = try Self.expression(String(argument[middle.upperBound...]))
            let body = try nodes(until: ["empty", "endfor"])
            let hasEmpty = ending.contains("empty")
            return .loop(names: names, over: over, body: body, empty: hasEmpty ? try nodes(until: ["endfor"]) : [])
        }

        private static func expression(_ text: String) throws -> TemplateExpression {
            var parser = try TemplateExpressionParser(text)
            return try parser.parse()
        }
    }
}
