import CYAML
public import WireTypes

/// Reads one YAML document with libyaml: everything that Compose files are written in, with anchors, aliases and
/// merge keys (`<<`). Plain scalars become what YAML 1.2's core schema says, which is what Compose goes by: `yes` and
/// `on` are text.
public enum YAMLDocument {
    /// - Parameter name: the file, for errors.
    public static func parse(_ text: String, name: String) throws(StackError) -> JSONValue {
        var composer = Composer(name: name)
        return try composer.document(text)
    }

    /// The meaning of a plain scalar.
    static func plain(_ text: String) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        guard let first = text.utf8.first, (48...57).contains(first) || first == 45 || first == 43 || first == 46 else {
            return .string(text)
        }
        if let number = Int64(text) { return .int(number) }
        if text.hasPrefix("0x"), let number = Int64(text.dropFirst(2), radix: 16) { return .int(number) }
        if text.hasPrefix("0o"), let number = Int64(text.dropFirst(2), radix: 8) { return .int(number) }
        let isDecimal = text.utf8.allSatisfy { (48...57).contains($0) || [43, 45, 46, 69, 101].contains($0) }
        if isDecimal, let number = Double(text), number.isFinite { return .double(number) }
        return .string(text)
    }
}

/// Builds values out of libyaml's events.
private struct Composer {
    let name: String
    private var parser = yaml_parser_t()
    private var anchors: [String: JSONValue] = [:]
    private var depth = 0
    /// Values that aliases have brought in: a bomb of aliases ends here.
    private var copied = 0

    init(name: String) { self.name = name }

    private enum Event {
        case scalar(JSONValue, anchor: String?)
        case alias(String)
        case sequence(anchor: String?)
        case mapping(anchor: String?)
        case end
        case documentStart
        case other
        case streamEnd
    }

    mutating func document(_ text: String) throws(StackError) -> JSONValue {
        guard yaml_parser_initialize(&parser) == 1 else { throw StackError("\(name): no memory to read it") }
        defer { yaml_parser_delete(&parser) }
        let bytes = Array(text.utf8)
        // The buffer outlives the parser, which keeps a pointer into it.
        let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
        defer { buffer.deallocate() }
        buffer.initialize(from: bytes, count: bytes.count)
        yaml_parser_set_input_string(&parser, buffer, bytes.count)
        var result: JSONValue?
        while true {
            switch try next() {
            case .streamEnd: return result ?? .null
            case .documentStart:
                guard result == nil else { throw StackError("\(name) has several documents") }
                result = try value(try next())
            default: continue
            }
        }
    }

    private mutating func next() throws(StackError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(&parser, &event) == 1 else {
            let problem = parser.problem.map { String(cString: $0) } ?? "it cannot be read"
            throw StackError("\(name), line \(parser.problem_mark.line + 1): \(problem)")
        }
        defer { yaml_event_delete(&event) }
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let text = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            let tag = scalar.tag.map { String(cString: $0) }
            let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE && tag != "tag:yaml.org,2002:str"
            return .scalar(isPlain ? YAMLDocument.plain(text) : .string(text), anchor: Self.text(scalar.anchor))
        case YAML_ALIAS_EVENT: return .alias(Self.text(event.data.alias.anchor) ?? "")
        case YAML_SEQUENCE_START_EVENT: return .sequence(anchor: Self.text(event.data.sequence_start.anchor))
        case YAML_MAPPING_START_EVENT: return .mapping(anchor: Self.text(event.data.mapping_start.anchor))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .end
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_STREAM_END_EVENT: return .streamEnd
        default: return .other
        }
    }

    private static func text(_ bytes: UnsafeMutablePointer<UInt8>?) -> String? { bytes.map { String(cString: $0) } }

    private mutating func value(_ event: Event) throws(StackError) -> JSONValue {
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { throw StackError("\(name) is nested more than 100 deep") }
        switch event {
        case .scalar(let value, let anchor):
            if let anchor { anchors[anchor] = value }
            return value
        case .alias(let anchor):
            guard let value = anchors[anchor] else { throw StackError("\(name): no anchor is called '\(anchor)'") }
            copied += Self.size(value)
            guard copied < 100_000 else { throw StackError("\(name): its aliases unfold to too much") }
            return value
        case .sequence(let anchor):
            var items: [JSONValue] = []
            while true {
                let event = try next()
                if case .end = event { break }
                items.append(try value(event))
            }
            if let anchor { anchors[anchor] = .array(items) }
            return .array(items)
        case .mapping(let anchor):
            let object = JSONValue.object(try mapping())
            if let anchor { anchors[anchor] = object }
            return object
        case .end, .documentStart, .other, .streamEnd: throw StackError("\(name) ends too early")
        }
    }

    private mutating func mapping() throws(StackError) -> [String: JSONValue] {
        var own: [String: JSONValue] = [:]
        var merged: [String: JSONValue] = [:]
        while true {
            let event = try next()
            if case .end = event { break }
            let key: String
            switch try value(event) {
            case .string(let text): key = text
            case .int(let number): key = String(number)
            case .bool(let flag): key = String(flag)
            case .double(let number): key = String(number)
            case .null: key = "null"
            default: throw StackError("\(name): a key is a list or a map")
            }
            let content = try value(try next())
            if key == "<<" {
                for source in content.arrayValue ?? [content] {
                    guard let object = source.objectValue else { throw StackError("\(name): '<<' takes maps") }
                    // Of several the first has precedence.
                    merged.merge(object) { first, _ in first }
                }
            } else if own.updateValue(content, forKey: key) != nil {
                throw StackError("\(name): the key '\(key)' is there twice")
            }
        }
        return merged.merging(own) { $1 }
    }

    private static func size(_ value: JSONValue) -> Int {
        switch value {
        case .array(let items): items.reduce(1) { $0 + size($1) }
        case .object(let object): object.values.reduce(1) { $0 + size($1) }
        default: 1
        }
    }
}
