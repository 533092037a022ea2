/// Renders templates: a pure function of the template and the values, with bounds on work and output.
struct TemplateRenderer {
    /// Bytes of output and steps of loops at most.
    private static let longest = 1 << 20
    private static let mostSteps = 100_000

    private var values: [String: TemplateValue]
    private let functions: [String: @Sendable ([TemplateValue]) -> TemplateValue]
    private var output = ""
    private var steps = 0

    init(
        values: [String: TemplateValue], functions: [String: @Sendable ([TemplateValue]) -> TemplateValue] = [:]
    ) {
        self.values = values
        self.functions = functions
    }

    /// - Throws: `TemplateFailure`.
    mutating func render(_ template: TemplateText) throws -> String {
        output = ""
        try run(template.nodes)
        return output
    }

    private mutating func run(_ nodes: [TemplateText.Node]) throws {
        for node in nodes {
            switch node {
            case .text(let text): output += text
            case .print(let expression): output += try evaluate(expression).printed
            case .set(let name, let expression): values[name] = try evaluate(expression)
            case .choice(let branches):
                for branch in branches {
                    if let condition = branch.condition, try !evaluate(condition).isTrue { continue }
                    try run(branch.body)
                    break
                }
            case .loop(let names, let over, let body, let empty):
                try loop(names, try evaluate(over), body, empty)
            }
            guard output.utf8.count <= Self.longest else { throw TemplateFailure("it makes more than 1 MiB of text") }
        }
    }

    private mutating func loop(
        _ names: [String], _ over: TemplateValue, _ body: [TemplateText.Node], _ empty: [TemplateText.Node]
    ) throws {
        let items = over.items
        if items.isEmpty { return try run(empty) }
        let outer = values
        for (index, item) in items.enumerated() {
            steps += 1
            guard steps <= Self.mostSteps else { throw TemplateFailure("its loops go round too often") }
            values[names[0]] = item
            if names.count == 2 { values[names[1]] = over.member(item.printed) }
            values["forloop"] = .map([
                "Counter": .number(Double(index + 1)), "Counter0": .number(Double(index)),
                "First": .bool(index == 0), "Last": .bool(index == items.count - 1),
            ])
            try run(body)
        }
        values = outer
    }

    private func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        switch expression {
        case .literal(let value): return value
        case .name(let name): return values[name] ?? .none
        case .member(let value, let name): return try evaluate(value).member(try evaluate(name).printed)
        case .call(let name, let arguments):
            guard let function = functions[name] else { throw TemplateFailure("there is no function '\(name)'") }
            return function(try arguments.map { try evaluate($0) })
        case .filter(let name, let value, let argument):
            return try TemplateFilters.apply(name, try evaluate(value), try argument.map { try evaluate($0) })
        case .not(let value): return .bool(try !evaluate(value).isTrue)
        case .binary("and", let left, let right): return .bool(try evaluate(left).isTrue && evaluate(right).isTrue)
        case .binary("or", let left, let right): return .bool(try evaluate(left).isTrue || evaluate(right).isTrue)
        case .binary(let sign, let left, let right):
            return .bool(Self.compare(sign, try evaluate(left), try evaluate(right)))
        }
    }

    private static func compare(_ sign: String, _ left: TemplateValue, _ right: TemplateValue) -> Bool {
        switch sign {
        case "==": return left.printed == right.printed
        case "!=": return left.printed != right.printed
        case "in": return right.contains(left)
        default: break
        }
        guard let left = Double(left.printed), let right = Double(right.printed) else { return false }
        switch sign {
        case "<": return left < right
        case ">": return left > right
        case "<=": return left <= right
        default: return left >= right
        }
    }
}

/// What stands behind `|`.
enum TemplateFilters {
    static func apply(_ name: String, _ value: TemplateValue, _ argument: TemplateValue?) throws -> TemplateValue {
        switch (name, argument) {
        case ("default", let other?): value.isTrue ? value : other
        case ("default_if_none", let other?): value == .none ? other : value
        case ("upper", nil): .text(value.printed.uppercased())
        case ("lower", nil): .text(value.printed.lowercased())
        case ("capfirst", nil): .text(value.printed.prefix(1).uppercased() + value.printed.dropFirst())
        case ("title", nil):
            .text(
                value.printed.split(separator: " ").map { $0.prefix(1).uppercased() + $0.dropFirst().lowercased() }
                    .joined(separator: " "))
        case ("length", nil): .number(Double(value.items.count))
        case ("first", nil): value.items.first ?? .none
        case ("last", nil): value.items.last ?? .none
        case ("join", let separator?): .text(value.items.map(\.printed).joined(separator: separator.printed))
        case ("cut", let other?): .text(value.printed.split(separator: other.printed).joined())
        case ("split", let separator?):
            .list(
                value.printed.split(separator: separator.printed, omittingEmptySubsequences: false)
                    .map { .text(String($0)) })
        case ("integer", nil): .number(Double(value.printed).map { $0.rounded(.towardZero) } ?? 0)
        case ("safe", nil), ("escape", nil): value
        default: throw TemplateFailure("the filter '\(name)' is not offered, or not with these arguments")
        }
    }
}
