import Model

/// The members of a JSON object of a request, read by name and type. A missing member and null are the same, as in Go;
/// a wrong type is an error that names the field.
struct Fields: Sendable {
    let json: JSON
    /// Where the object stands in the body, as `HostConfig.`; empty for the body itself.
    private let path: String

    /// - Throws: `invalidArgument` unless `json` is an object or null.
    init(_ json: JSON, path: String = "") throws {
        switch json {
        case .null: self.json = .object([])
        case .object: self.json = json
        default:
            let what = path.isEmpty ? "the body" : "the field '\(path.dropLast())'"
            throw EngineError(.invalidArgument, "\(what) is not a JSON object")
        }
        self.path = path
    }

    private func wrong(_ key: String, _ wanted: String) -> EngineError {
        EngineError(.invalidArgument, "the field '\(path)\(key)' is not \(wanted)")
    }

    func string(_ key: String) throws -> String? {
        switch json[key] {
        case .null: return nil
        case .string(let text):
            guard !text.utf8.contains(0) else { throw wrong(key, "a text without NUL") }
            return text
        default: throw wrong(key, "a text")
        }
    }

    /// The text, unless it is empty.
    func text(_ key: String) throws -> String? {
        guard let text = try string(key), !text.isEmpty else { return nil }
        return text
    }

    func bool(_ key: String) throws -> Bool {
        switch json[key] {
        case .null: return false
        case .bool(let value): return value
        default: throw wrong(key, "true or false")
        }
    }

    /// nil if it is not said, which some fields tell from false.
    func optionalBool(_ key: String) throws -> Bool? { json[key].isNull ? nil : try bool(key) }

    func integer(_ key: String) throws -> Int64? {
        switch json[key] {
        case .null: return nil
        case .integer(let value): return value
        case .double(let value) where value == value.rounded() && abs(value) < 9e15: return Int64(value)
        default: throw wrong(key, "a whole number")
        }
    }

    /// The number, unless it is zero, which stands for "not said".
    func amount(_ key: String) throws -> Int64? {
        guard let value = try integer(key), value != 0 else { return nil }
        return value
    }

    func object(_ key: String) throws -> Fields { try Fields(json[key], path: "\(path)\(key).") }

    func objects(_ key: String) throws -> [Fields] {
        try list(key).enumerated().map { try Fields($0.element, path: "\(path)\(key)[\($0.offset)].") }
    }

    private func list(_ key: String) throws -> [JSON] {
        switch json[key] {
        case .null: return []
        case .array(let elements): return elements
        default: throw wrong(key, "a list")
        }
    }

    func strings(_ key: String) throws -> [String] {
        try list(key).map { element in
            guard let text = element.string, !text.utf8.contains(0) else { throw wrong(key, "a list of texts") }
            return text
        }
    }

    /// A command line: a list of texts, or one text (Docker's `strslice`). nil if it is not said.
    func command(_ key: String) throws -> [String]? {
        switch json[key] {
        case .null: return nil
        case .string: return try string(key).map { [$0] }
        default: return try strings(key)
        }
    }

    /// Names with text values; null stands for an empty text.
    func texts(_ key: String) throws -> [String: String] {
        var texts: [String: String] = [:]
        for member in try object(key).json.members {
            switch member.value {
            case .null: texts[member.key] = ""
            case .string(let text) where !text.utf8.contains(0): texts[member.key] = text
            default: throw wrong("\(key).\(member.key)", "a text")
            }
        }
        return texts
    }

    /// Names of an object whose values say nothing, as `ExposedPorts`.
    func names(_ key: String) throws -> [String] { try object(key).json.members.map(\.key) }

    /// Members that are objects, in order.
    func map(_ key: String) throws -> [(key: String, fields: Fields)] {
        try object(key).json.members.map { ($0.key, try Fields($0.value, path: "\(path)\(key).\($0.key).")) }
    }

    /// Members that are lists of objects, in order.
    func lists(_ key: String) throws -> [(key: String, fields: [Fields])] {
        let inner = try object(key)
        return try inner.json.members.map { ($0.key, try inner.objects($0.key)) }
    }
}
