public import Model
import Yams

/// `metadata.yaml` of an image of LXD or Incus (LXD documentation, "Image format"), read and checked. It is data: none
/// of it configures the host.
public struct BundleDocument: Sendable, Hashable {
    /// Bytes, values and levels at most.
    static let maxBytes = 1 << 20
    private static let maxValues = 20_000
    private static let maxDepth = 20

    public var metadata: Metadata

    /// - Throws: `invalidArgument` for what is no YAML, has no architecture, or has a template that climbs.
    public init(parsing bytes: [UInt8]) throws {
        guard bytes.count <= Self.maxBytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw Self.wrong("is not UTF-8, or longer than \(Self.maxBytes) bytes")
        }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            throw Self.wrong("is not YAML: \(Names.quoted("\(error)"))")
        }
        var left = Self.maxValues
        guard let root, case .object(let members) = try Self.value(root, depth: 0, left: &left) else {
            throw Self.wrong("is no map")
        }
        metadata = .object(members)
        try check()
    }

    /// `amd64`, `x86_64`, `aarch64`, …, as written.
    public var architecture: String { metadata["architecture"]?.string ?? "" }

    /// Seconds since 1970.
    public var createdAt: Double? {
        switch metadata["creation_date"] {
        case .integer(let value)?: Double(value)
        case .double(let value)?: value
        default: nil
        }
    }

    /// Those that are texts or numbers, as texts.
    public var properties: [String: String] {
        guard case .object(let members)? = metadata["properties"] else { return [:] }
        return members.compactMapValues { value in
            switch value {
            case .string(let text): text
            case .integer(let number): String(number)
            case .double(let number): String(number)
            case .bool(let flag): flag ? "true" : "false"
            default: nil
            }
        }
    }

    /// A template's target is a path inside the instance, its source a file of the image's folder of templates.
    private func check() throws {
        guard !architecture.isEmpty else { throw Self.wrong("names no architecture") }
        guard case .object(let templates)? = metadata["templates"] else { return }
        for (target, template) in templates {
            guard target.hasPrefix("/"), !target.split(separator: "/").contains(".."), !target.utf8.contains(0) else {
                throw Self.wrong("has a template with the target \(Names.quoted(target)), which is not a path inside")
            }
            if let source = template["template"]?.string { try Self.checkTemplate(source) }
        }
    }

    /// A plain file name, of the letters that instances' templates may have.
    static func checkTemplate(_ name: String) throws {
        let isPlain = name.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains(byte)
        }
        guard (1...128).contains(name.utf8.count), !name.hasPrefix("."), isPlain else {
            throw wrong("has a template whose file is called \(Names.quoted(name))")
        }
    }

    private static func value(_ node: Node, depth: Int, left: inout Int) throws -> Metadata {
        left -= 1
        // Aliases can make a short text a huge tree.
        guard left > 0, depth < maxDepth else { throw wrong("has too many values or levels") }
        switch node {
        case .scalar(let scalar): return plain(scalar, node)
        case .sequence(let items):
            var values: [Metadata] = []
            for item in items { values.append(try value(item, depth: depth + 1, left: &left)) }
            return .array(values)
        case .mapping(let pairs):
            var members: [String: Metadata] = [:]
            for (key, item) in pairs {
                guard case .scalar(let name) = key else { throw wrong("has a key that is no text") }
                members[name.string] = try value(item, depth: depth + 1, left: &left)
            }
            return .object(members)
        case .alias: throw wrong("has an alias that leads nowhere")
        }
    }

    private static func plain(_ scalar: Node.Scalar, _ node: Node) -> Metadata {
        let isQuoted = scalar.style == .doubleQuoted || scalar.style == .singleQuoted || scalar.style == .literal
        if isQuoted { return .string(scalar.string) }
        if scalar.string.isEmpty || ["null", "~"].contains(scalar.string) { return .null }
        if ["true", "false"].contains(scalar.string) { return .bool(scalar.string == "true") }
        if let number = Int64(scalar.string) { return .integer(number) }
        return .string(scalar.string)
    }

    static func wrong(_ what: String) -> EngineError {
        EngineError(.invalidArgument, "metadata.yaml of the image \(what)")
    }
}
