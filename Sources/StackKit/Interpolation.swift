public import WireTypes

/// Puts variables into the values of a Compose file (compose-spec, 12-interpolation.md): `$NAME`, `${NAME}`,
/// `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`, `${NAME?error}`, `${NAME:+instead}`, `${NAME+instead}`;
/// `$$` is a dollar. Keys are left as they are.
public struct Interpolation: Sendable {
    let lookup: @Sendable (String) -> String?

    public init(_ lookup: @escaping @Sendable (String) -> String?) { self.lookup = lookup }

    public func apply(_ value: JSONValue) throws(StackError) -> JSONValue {
        switch value {
        case .string(let text):
            guard text.contains("$") else { return value }
            return .string(try expand(text))
        case .array(let items):
            var out: [JSONValue] = []
            for item in items { out.append(try apply(item)) }
            return .array(out)
        case .object(let object):
            var out: [String: JSONValue] = [:]
            for (key, item) in object { out[key] = try apply(item) }
            return .object(out)
        default: return value
        }
    }

    func expand(_ text: String) throws(StackError) -> String {
        var out = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            out += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            if rest.first == "$" {
                out += "$"
                rest = rest.dropFirst()
            } else if rest.first == "{" {
                let body = try braced(&rest, in: text)
                out += try value(of: body, in: text)
            } else {
                let name = rest.prefix { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }
                guard let first = name.first, !first.isNumber else {
                    throw StackError("'\(text)' has a '$' without a name", hint: "write $$ for a dollar")
                }
                out += lookup(String(name)) ?? ""
                rest = rest.dropFirst(name.count)
            }
        }
        return out + rest
    }

    /// What stands between the brace at the beginning and the one that closes it.
    private func braced(_ rest: inout Substring, in text: String) throws(StackError) -> Substring {
        var depth = 0
        var index = rest.startIndex
        while index < rest.endIndex {
            if rest[index] == "{" { depth += 1 }
            if rest[index] == "}" { depth -= 1 }
            if depth == 0 {
                let body = rest[rest.index(after: rest.startIndex)..<index]
                rest = rest[rest.index(after: index)...]
                return body
            }
            index = rest.index(after: index)
        }
        throw StackError("'\(text)' has a '${' that is not closed")
    }

    private func value(of body: Substring, in text: String) throws(StackError) -> String {
        let name = String(body.prefix { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) })
        var rest = body.dropFirst(name.count)
        guard !name.isEmpty else { throw StackError("'\(text)' has a '${' without a name") }
        let current = lookup(name)
        guard !rest.isEmpty else { return current ?? "" }
        let emptyCounts = rest.first == ":"
        if emptyCounts { rest = rest.dropFirst() }
        let isSet = current != nil && !(emptyCounts && current == "")
        let word = String(rest.dropFirst())
        switch rest.first {
        case "-": return isSet ? current ?? "" : try expand(word)
        case "+": return isSet ? try expand(word) : ""
        case "?":
            if isSet { return current ?? "" }
            throw StackError("the variable \(name) is not set" + (word.isEmpty ? "" : ": \(try expand(word))"))
        default: throw StackError("'${\(body)}' is not understood")
        }
    }
}
