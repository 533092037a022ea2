/// A value in a template.
enum TemplateValue: Sendable, Hashable {
    case none
    case bool(Bool)
    case number(Double)
    case text(String)
    case list([TemplateValue])
    case map([String: TemplateValue])

    init(_ values: [String: String]) { self = .map(values.mapValues { .text($0) }) }

    /// As it is printed.
    var printed: String {
        switch self {
        case .none: ""
        case .bool(let value): value ? "True" : "False"
        case .number(let value): value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
        case .text(let value): value
        case .list(let values): "[" + values.map(\.printed).joined(separator: " ") + "]"
        case .map(let values):
            "map[" + values.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.printed)" }.joined(separator: " ")
                + "]"
        }
    }

    /// Whether `if` takes it.
    var isTrue: Bool {
        switch self {
        case .none: false
        case .bool(let value): value
        case .number(let value): value != 0
        case .text(let value): !value.isEmpty
        case .list(let values): !values.isEmpty
        case .map(let values): !values.isEmpty
        }
    }

    /// The member `name` of a map, or the item of that index.
    func member(_ name: String) -> TemplateValue {
        switch self {
        case .map(let values): values[name] ?? .none
        case .list(let values): Int(name).flatMap { values.indices.contains($0) ? values[$0] : nil } ?? .none
        default: .none
        }
    }

    /// What `for` goes through: keys of a map in their order, items of a list, characters of a text.
    var items: [TemplateValue] {
        switch self {
        case .map(let values): values.keys.sorted().map { .text($0) }
        case .list(let values): values
        case .text(let value): value.map { .text(String($0)) }
        default: []
        }
    }

    func contains(_ other: TemplateValue) -> Bool {
        switch self {
        case .map(let values): values[other.printed] != nil
        case .list(let values): values.contains(other)
        case .text(let value): other.printed.isEmpty || value.contains(other.printed)
        default: false
        }
    }
}

/// A template that cannot be read or rendered.
struct TemplateFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
