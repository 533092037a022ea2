import WireTypes

/// The fields of one part of a Compose file. Each is taken once; those that nobody took are unknown.
struct Fields {
    /// What it is, for errors: `service 'web'`.
    let what: String
    private var left: [String: JSONValue]

    init(_ what: String, _ value: JSONValue?) throws(StackError) {
        self.what = what
        switch value {
        case nil, .null?: left = [:]
        case .object(let object)?: left = object
        default: throw StackError("\(what) is no map")
        }
    }

    mutating func take(_ key: String) -> JSONValue? {
        guard let value = left.removeValue(forKey: key), value != .null else { return nil }
        return value
    }

    /// Text, or a number or flag as text.
    mutating func text(_ key: String) throws(StackError) -> String? {
        guard let value = take(key) else { return nil }
        guard let text = Self.text(value) else { throw StackError("\(what): '\(key)' is no text") }
        return text
    }

    mutating func flag(_ key: String) throws(StackError) -> Bool {
        guard let value = take(key) else { return false }
        switch value {
        case .bool(let flag): return flag
        case .string("true"): return true
        case .string("false"): return false
        default: throw StackError("\(what): '\(key)' is not true or false")
        }
    }

    mutating func count(_ key: String) throws(StackError) -> Int? {
        guard let value = take(key) else { return nil }
        guard let number = value.intValue ?? value.stringValue.flatMap({ Int64($0) }), (0...100_000).contains(number)
        else { throw StackError("\(what): '\(key)' is no number") }
        return Int(number)
    }

    /// A list of texts; one text is a list of one.
    mutating func list(_ key: String) throws(StackError) -> [String] {
        guard let value = take(key) else { return [] }
        var items: [String] = []
        for item in value.arrayValue ?? [value] {
            guard let text = Self.text(item) else { throw StackError("\(what): an entry of '\(key)' is no text") }
            items.append(text)
        }
        return items
    }

    /// A map of texts; nil values are left in as nil.
    mutating func map(_ key: String) throws(StackError) -> [(key: String, value: String?)] {
        guard let value = take(key) else { return [] }
        guard let object = value.objectValue else { throw StackError("\(what): '\(key)' is no map") }
        var out: [(key: String, value: String?)] = []
        for (name, item) in object.sorted(by: { $0.key < $1.key }) {
            if item == .null {
                out.append((name, nil))
            } else if let text = Self.text(item) {
                out.append((name, text))
            } else {
                throw StackError("\(what): '\(key).\(name)' is no text")
            }
        }
        return out
    }

    /// A program with arguments: a list, or words as a shell splits them.
    mutating func words(_ key: String) throws(StackError) -> [String]? {
        guard let value = take(key) else { return nil }
        if let text = value.stringValue {
            guard let words = ShellWords.split(text) else { throw StackError("\(what): '\(key)' has an open quote") }
            return words
        }
        guard let items = value.arrayValue else { throw StackError("\(what): '\(key)' is no list") }
        var words: [String] = []
        for item in items {
            guard let text = Self.text(item) else { throw StackError("\(what): an entry of '\(key)' is no text") }
            words.append(text)
        }
        return words
    }

    /// Fails if a field was not taken, `x-` ones apart.
    func finish() throws(StackError) {
        guard let unknown = left.keys.sorted().first(where: { !$0.hasPrefix("x-") }) else { return }
        throw StackError("\(what): '\(unknown)' is not known to Isle")
    }

    static func text(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): "\(number)"
        case .bool(let flag): flag ? "true" : "false"
        default: nil
        }
    }
}

/// Words as a POSIX shell splits them: quotes and backslashes, no expansion.
enum ShellWords {
    /// Nil if a quote is not closed.
    static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in text {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil, !isEscaped else { return nil }
        return words + (word.map { [$0] } ?? [])
    }
}
