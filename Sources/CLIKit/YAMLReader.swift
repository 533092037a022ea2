public import WireTypes

extension YAML {
    /// Reads the part of YAML that configurations are written in: block maps and lists, plain and quoted scalars,
    /// literal and folded blocks, `{}`, `[]`, comments. Anchors, tags, other flow collections and several documents
    /// are refused with the line's number.
    public static func read(_ text: String) throws(UsageError) -> JSONValue {
        var reader = YAMLReader(text)
        return try reader.document()
    }
}

private struct YAMLReader {
    private struct Line {
        var number: Int
        var indent: Int
        var content: Substring
    }

    /// Every line, blank ones and comments too, since literal blocks need them.
    private var lines: [Line] = []
    private var next = 0

    init(_ text: String) {
        let raw = text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" })
        for (index, line) in raw.enumerated() {
            let indent = line.prefix { $0 == " " }.count
            lines.append(Line(number: index + 1, indent: indent, content: line.dropFirst(indent)))
        }
    }

    mutating func document() throws(UsageError) -> JSONValue {
        skipBlank()
        if next < lines.count, lines[next].content == "---" { next += 1 }
        skipBlank()
        guard next < lines.count else { return .null }
        let value = try node(indent: lines[next].indent)
        skipBlank()
        if next < lines.count { throw refusal("does not belong to what stands before it") }
        return value
    }

    private func refusal(_ reason: String) -> UsageError {
        let number = next < lines.count ? lines[next].number : lines.count
        return UsageError("line \(number) of the YAML \(reason)")
    }

    private mutating func skipBlank() {
        while next < lines.count, lines[next].content.isEmpty || lines[next].content.hasPrefix("#") { next += 1 }
    }

    /// The value whose first line is the next one and has exactly `indent`.
    private mutating func node(indent: Int) throws(UsageError) -> JSONValue {
        let content = lines[next].content
        if content.hasPrefix("\t") { throw refusal("is indented with a tab") }
        if content == "-" || content.hasPrefix("- ") { return try list(indent: indent) }
        if key(content) != nil { return try map(indent: indent) }
        let value = try scalar(content, indent: indent)
        return value
    }

    private mutating func list(indent: Int) throws(UsageError) -> JSONValue {
        var items: [JSONValue] = []
        while next < lines.count, lines[next].indent == indent,
            lines[next].content == "-" || lines[next].content.hasPrefix("- ")
        {
            let rest = lines[next].content.dropFirst()
            let blanks = rest.prefix { $0 == " " }.count
            let inner = rest.dropFirst(blanks)
            if inner.isEmpty || inner.hasPrefix("#") {
                next += 1
                items.append(try below(indent, orAt: nil))
            } else {
                // The item stands as if it began a line of its own, further in.
                lines[next].indent = indent + 1 + blanks
                lines[next].content = inner
                items.append(try node(indent: indent + 1 + blanks))
            }
            skipBlank()
        }
        return .array(items)
    }

    private mutating func map(indent: Int) throws(UsageError) -> JSONValue {
        var object: [String: JSONValue] = [:]
        while next < lines.count, lines[next].indent == indent, let (name, rest) = key(lines[next].content) {
            if lines[next].content.hasPrefix("\t") { throw refusal("is indented with a tab") }
            guard object[name] == nil else { throw refusal("repeats the key '\(PlainText.escaped(name))'") }
            if rest.isEmpty || rest.hasPrefix("#") {
                next += 1
                object[name] = try below(indent, orAt: indent)
            } else {
                object[name] = try scalar(rest, indent: indent)
            }
            skipBlank()
        }
        if next < lines.count, lines[next].indent > indent { throw refusal("is indented without need") }
        if next < lines.count, lines[next].indent == indent, !lines[next].content.hasPrefix("- ") {
            throw refusal("is not 'key: value'")
        }
        return .object(object)
    }

    /// What is indented further than `indent`; a list may also stand at `listIndent`. Nothing is null.
    private mutating func below(_ indent: Int, orAt listIndent: Int?) throws(UsageError) -> JSONValue {
        skipBlank()
        guard next < lines.count else { return .null }
        let line = lines[next]
        if line.indent > indent { return try node(indent: line.indent) }
        if line.indent == listIndent, line.content == "-" || line.content.hasPrefix("- ") {
            return try list(indent: line.indent)
        }
        return .null
    }

    /// Key and the text after its colon; nil if the line is no entry of a map.
    private func key(_ content: Substring) -> (String, Substring)? {
        if let quote = content.first, quote == "\"" || quote == "'" {
            guard let (text, rest) = quotedText(content) else { return nil }
            let after = rest.drop { $0 == " " }
            guard after.hasPrefix(":"), after.count == 1 || after.dropFirst().hasPrefix(" ") else { return nil }
            return (text, after.dropFirst().drop { $0 == " " })
        }
        var index = content.startIndex
        while index < content.endIndex {
            let following = content.index(after: index)
            if content[index] == ":", following == content.endIndex || content[following] == " " {
                let name = content[..<index]
                return name.isEmpty ? nil : (String(name), content[following...].drop { $0 == " " })
            }
            if content[index] == "#", index > content.startIndex, content[content.index(before: index)] == " " {
                return nil
            }
            index = following
        }
        return nil
    }

    /// A scalar that begins with `text` on the next line; takes that line and those that belong to it.
    private mutating func scalar(_ text: Substring, indent: Int) throws(UsageError) -> JSONValue {
        guard let first = text.first else { return .null }
        switch first {
        case "|", ">": return try .string(block(text, indent: indent))
        case "\"", "'":
            guard let (value, rest) = quotedText(text) else { throw refusal("has a quote without an end") }
            let after = rest.drop { $0 == " " }
            guard after.isEmpty || after.hasPrefix("#") else { throw refusal("goes on after a quoted text") }
            next += 1
            return .string(value)
        case "{", "[":
            let bare = withoutComment(text)
            guard bare == "{}" || bare == "[]" else {
                throw refusal("has a list or map in brackets: write it in lines")
            }
            next += 1
            return bare == "{}" ? .object([:]) : .array([])
        case "&", "*", "!", "%", "@", "`": throw refusal("begins a value with '\(first)', which is not understood here")
        default:
            let bare = withoutComment(text)
            next += 1
            return plain(String(bare))
        }
    }

    private func withoutComment(_ text: Substring) -> Substring {
        var end = text.endIndex
        var previous: Character = " "
        for index in text.indices {
            if text[index] == "#" && previous == " " {
                end = index
                break
            }
            previous = text[index]
        }
        var bare = text[..<end]
        while bare.last == " " { bare.removeLast() }
        return bare
    }

    private func plain(_ text: String) -> JSONValue {
        switch text {
        case "null", "~", "Null", "NULL": .null
        case "true", "True", "TRUE": .bool(true)
        case "false", "False", "FALSE": .bool(false)
        default:
            Int64(text).map { .int($0) } ?? (looksLikeNumber(text) ? Double(text).map { .double($0) } : nil)
                ?? .string(text)
        }
    }

    private func looksLikeNumber(_ text: String) -> Bool {
        text.utf8.allSatisfy { (48...57).contains($0) || [43, 45, 46, 69, 101].contains($0) }
            && text.utf8.contains { (48...57).contains($0) }
    }

    /// A text in quotes at the beginning of `text`, and what follows it.
    private func quotedText(_ text: Substring) -> (String, Substring)? {
        guard let quote = text.first else { return nil }
        var out = ""
        var rest = text.dropFirst()
        while let character = rest.popFirst() {
            if character == quote {
                guard quote == "'", rest.first == "'" else { return (out, rest) }
                out.append("'")
                rest.removeFirst()
            } else if character == "\\" && quote == "\"" {
                guard let escape = rest.popFirst() else { return nil }
                switch escape {
                case "n": out.append("\n")
                case "t": out.append("\t")
                case "r": out.append("\r")
                case "0": out.append("\0")
                case "e": out.append("\u{1B}")
                case "x", "u", "U":
                    let width = escape == "x" ? 2 : escape == "u" ? 4 : 8
                    guard let value = UInt32(rest.prefix(width), radix: 16), let scalar = Unicode.Scalar(value),
                        rest.count >= width
                    else { return nil }
                    out.unicodeScalars.append(scalar)
                    rest = rest.dropFirst(width)
                default: out.append(escape)
                }
            } else {
                out.append(character)
            }
        }
        return nil
    }

    /// A literal (`|`) or folded (`>`) block whose header is on the next line.
    private mutating func block(_ header: Substring, indent: Int) throws(UsageError) -> String {
        let style = withoutComment(header)
        let chomping = style.dropFirst()
        guard chomping.isEmpty || chomping == "-" || chomping == "+" else {
            throw refusal("begins a text block with '\(style)', which is not understood here")
        }
        next += 1
        var body: [String] = []
        var depth: Int?
        while next < lines.count {
            let line = lines[next]
            if line.content.isEmpty {
                body.append("")
            } else {
                if depth == nil, line.indent > indent { depth = line.indent }
                guard let depth, line.indent >= depth else { break }
                body.append(String(repeating: " ", count: line.indent - depth) + line.content)
            }
            next += 1
        }
        var trailing = 0
        while body.last?.isEmpty == true {
            body.removeLast()
            trailing += 1
        }
        var text = style.hasPrefix("|") ? body.joined(separator: "\n") : folded(body)
        if chomping != "-" && !body.isEmpty { text += "\n" }
        if chomping == "+" { text += String(repeating: "\n", count: max(0, trailing - 1)) }
        return text
    }

    private func folded(_ body: [String]) -> String {
        var out = ""
        for (index, line) in body.enumerated() {
            if index > 0 { out += line.isEmpty || body[index - 1].isEmpty ? (line.isEmpty ? "\n" : "") : " " }
            out += line
        }
        return out
    }
}
