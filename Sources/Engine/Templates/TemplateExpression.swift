/// An expression of a template: literals, names with members, calls, filters, comparisons and the logical words.
indirect enum TemplateExpression: Sendable {
    case literal(TemplateValue)
    case name(String)
    case member(TemplateExpression, TemplateExpression)
    case call(String, [TemplateExpression])
    case filter(String, TemplateExpression, TemplateExpression?)
    case not(TemplateExpression)
    case binary(String, TemplateExpression, TemplateExpression)
}

/// Reads expressions, from the weakest operator to the strongest.
struct TemplateExpressionParser {
    private enum Token: Equatable {
        case word(String)
        case literal(TemplateValue)
        case sign(String)
    }

    private var tokens: ArraySlice<Token>
    private var depth = 0

    init(_ text: String) throws { tokens = try Self.scan(text)[...] }

    /// The whole text as one expression.
    mutating func parse() throws -> TemplateExpression {
        let expression = try any()
        guard tokens.isEmpty else { throw TemplateFailure("the expression goes on where it should end") }
        return expression
    }

    private mutating func any() throws -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth < 64 else { throw TemplateFailure("the expression is too deeply nested") }
        var left = try all()
        while take("or") || take("||") { left = .binary("or", left, try all()) }
        return left
    }

    private mutating func all() throws -> TemplateExpression {
        var left = try negation()
        while take("and") || take("&&") { left = .binary("and", left, try negation()) }
        return left
    }

    private mutating func negation() throws -> TemplateExpression {
        if take("not") || take("!") {
            depth += 1
            defer { depth -= 1 }
            guard depth < 64 else { throw TemplateFailure("the expression is too deeply nested") }
            return .not(try negation())
        }
        let left = try filtered()
        for sign in ["==", "!=", "<>", "<=", ">=", "<", ">", "in"] where take(sign) {
            return .binary(sign == "<>" ? "!=" : sign, left, try filtered())
        }
        return left
    }

    private mutating func filtered() throws -> TemplateExpression {
        var value = try primary()
        while take("|") {
            guard case .word(let name)? = tokens.popFirst() else { throw TemplateFailure("a filter has no name") }
            value = .filter(name, value, take(":") ? try primary() : nil)
        }
        return value
    }

    private mutating func primary() throws -> TemplateExpression {
        var value: TemplateExpression
        switch tokens.popFirst() {
        case .literal(let literal)?: value = .literal(literal)
        case .sign("(")?:
            value = try any()
            guard take(")") else { throw TemplateFailure("a parenthesis is not closed") }
        case .word(let name)?:
            if take("(") {
                var arguments: [TemplateExpression] = []
                while !take(")") {
                    if !arguments.isEmpty, !take(",") {
                        throw TemplateFailure("the arguments of \(name) are not closed")
                    }
                    arguments.append(try any())
                }
                value = .call(name, arguments)
            } else {
                value = .name(name)
            }
        default: throw TemplateFailure("an expression is missing")
        }
        while true {
            if take(".") {
                switch tokens.popFirst() {
                case .word(let name)?: value = .member(value, .literal(.text(name)))
                case .literal(let index)?: value = .member(value, .literal(index))
                default: throw TemplateFailure("the name of a member is missing")
                }
            } else if take("[") {
                value = .member(value, try any())
                guard take("]") else { throw TemplateFailure("a bracket is not closed") }
            } else {
                return value
            }
        }
    }

    private mutating func take(_ text: String) -> Bool {
        guard tokens.first == .sign(text) || tokens.first == .word(text) else { return false }
        tokens.removeFirst()
        return true
    }

    private static func scan(_ text: String) throws -> [Token] {
        var tokens: [Token] = []
        var rest = text[...]
        while let first = rest.first {
            if first.isWhitespace {
                rest.removeFirst()
            } else if first == "\"" || first == "'" {
                rest.removeFirst()
                var value = ""
                while let next = rest.popFirst(), next != first {
                    value.append(next == "\\" ? rest.popFirst() ?? next : next)
                    guard !rest.isEmpty else { throw TemplateFailure("a text is not closed") }
                }
                tokens.append(.literal(.text(value)))
            } else if first.isASCII, first.isNumber {
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(digits.count)
                tokens.append(.literal(.number(Double(digits) ?? 0)))
            } else if first.isLetter || first == "_" {
                let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                rest = rest.dropFirst(word.count)
                switch word {
                case "true", "True": tokens.append(.literal(.bool(true)))
                case "false", "False": tokens.append(.literal(.bool(false)))
                default: tokens.append(.word(String(word)))
                }
            } else {
                let two = String(rest.prefix(2))
                let sign = ["==", "!=", "<>", "<=", ">=", "&&", "||"].contains(two) ? two : String(first)
                guard sign.count == 2 || "|:.,()[]<>!".contains(first) else {
                    throw TemplateFailure("'\(first)' has no meaning in an expression")
                }
                rest = rest.dropFirst(sign.count)
                tokens.append(.sign(sign))
            }
        }
        return tokens
    }
}
