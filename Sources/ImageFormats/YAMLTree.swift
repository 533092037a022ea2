public import Model
import Yams

/// YAML that comes from outside, as a small tree of values, and back.
public enum YAMLTree {
    private static let maxValues = 100_000
    private static let maxDepth = 24

    /// Reads a map of at most `maxBytes` bytes.
    ///
    /// - Parameter name: of the text, for messages.
    /// - Throws: `invalidArgument` for what is no YAML, no map, or larger than is sensible.
    public static func parse(_ bytes: [UInt8], named name: String, maxBytes: Int) throws -> Metadata {
        func wrong(_ what: String) -> EngineError { EngineError(.invalidArgument, "\(name) \(what)") }
        guard bytes.count <= maxBytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw wrong("is not UTF-8, or longer than \(maxBytes) bytes")
        }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch { throw wrong("is not YAML: \(Names.quoted("\(error)"))") }
        var left = maxValues
        guard let root, case .object(let members) = try value(root, depth: 0, left: &left, wrong) else {
            throw wrong("is no map")
        }
        return .object(members)
    }

    /// The same values as YAML, members sorted.
    public static func text(_ value: Metadata) throws -> String {
        try Yams.serialize(node: node(value), sortKeys: true)
    }

    private static func value(
        _ node: Node, depth: Int, left: inout Int, _ wrong: (String) -> EngineError
    ) throws -> Metadata {
        left -= 1
        // Aliases can make a short text a huge tree.
        guard left > 0, depth < maxDepth else { throw wrong("has too many values or levels") }
        switch node {
        case .scalar(let scalar): return plain(scalar)
        case .sequence(let items):
            var values: [Metadata] = []
            for item in items { values.append(try value(item, depth: depth + 1, left: &left, wrong)) }
            return .array(values)
        case .mapping(let pairs):
            var members: [String: Metadata] = [:]
            for (key, item) in pairs {
                guard case .scalar(let name) = key else { throw wrong("has a key that is no text") }
                members[name.string] = try value(item, depth: depth + 1, left: &left, wrong)
            }
            return .object(members)
        case .alias: throw wrong("has an alias that leads nowhere")
        }
    }

    private static func plain(_ scalar: Node.Scalar) -> Metadata {
        let isQuoted = [.doubleQuoted, .singleQuoted, .literal, .folded].contains(scalar.style)
        if isQuoted { return .string(scalar.string) }
        if scalar.string.isEmpty || ["null", "~"].contains(scalar.string) { return .null }
        if ["true", "false"].contains(scalar.string) { return .bool(scalar.string == "true") }
        if let number = Int64(scalar.string) { return .integer(number) }
        return .string(scalar.string)
    }

    private static func node(_ value: Metadata) -> Node {
        switch value {
        case .null: Node("null")
        case .bool(let flag): Node(flag ? "true" : "false")
        case .integer(let number): Node(String(number))
        case .double(let number): Node(String(number))
        case .string(let text): Node.scalar(Node.Scalar(text, Tag(.str), .doubleQuoted))
        case .array(let items): Node.sequence(Node.Sequence(items.map(node)))
        case .object(let members):
            Node.mapping(
                Node.Mapping(
                    members.sorted { $0.key < $1.key }
                        .map { (Node.scalar(Node.Scalar($0.key, Tag(.str), .doubleQuoted)), node($0.value)) }))
        }
    }
}
