import Model
import WireTypes

/// LXD's filter language: `name eq web and status eq Running`, `or`, `not`, `ne`, and `config.KEY`; values may be quoted.
/// Clauses are joined from left to right, `and` and `or` alike.
struct Filter: Sendable {
    private struct Clause: Sendable {
        /// Joined with what is before it by `or`.
        var isAlternative: Bool
        var negated: Bool
        var field: String
        var value: String
    }

    private var clauses: [Clause] = []

    init(_ text: String?) throws {
        guard let text else { return }
        var words = try Self.words(text)[...]
        var isAlternative = false
        while !words.isEmpty {
            var negated = words.first == "not"
            if negated { words.removeFirst() }
            guard words.count >= 3 else { throw Self.refusal(text) }
            let (field, verb, value) = (words.removeFirst(), words.removeFirst(), words.removeFirst())
            switch verb {
            case "eq", "=", "==": break
            case "ne", "!=": negated.toggle()
            default: throw Self.refusal(text)
            }
            clauses.append(Clause(isAlternative: isAlternative, negated: negated, field: field, value: value))
            guard let next = words.popFirst() else { break }
            guard next == "and" || next == "or", !words.isEmpty else { throw Self.refusal(text) }
            isAlternative = next == "or"
        }
    }

    /// Parts between spaces; a part may be quoted, with spaces and `\"` in it.
    private static func words(_ text: String) throws -> [String] {
        var words: [String] = []
        var word: String?
        var (isQuoted, isEscaped) = (false, false)
        for character in text {
            switch character {
            case _ where isEscaped:
                word = (word ?? "") + String(character)
                isEscaped = false
            case "\\" where isQuoted: isEscaped = true
            case "\"":
                isQuoted.toggle()
                word = word ?? ""
            case " " where !isQuoted:
                if let word { words.append(word) }
                word = nil
            default: word = (word ?? "") + String(character)
            }
        }
        guard !isQuoted else { throw refusal(text) }
        if let word { words.append(word) }
        return words
    }

    func matches(_ instance: API.Instance) -> Bool { matches { Self.value($0, of: instance) } }

    func matches(_ image: API.Image) -> Bool { matches { Self.value($0, of: image)?.lowercased() } }

    private func matches(_ value: (String) -> String?) -> Bool {
        clauses.reduce(true) { soFar, clause in
            let holds = (value(clause.field) == clause.value.lowercased()) != clause.negated
            return clause.isAlternative ? soFar || holds : soFar && holds
        }
    }

    private static func value(_ field: String, of image: API.Image) -> String? {
        switch field {
        case "fingerprint": image.fingerprint
        case "type": image.type
        case "architecture": image.architecture
        case "public": image.isPublic ? "true" : "false"
        case "cached": image.cached ? "true" : "false"
        case "auto_update": image.autoUpdate ? "true" : "false"
        case "filename": image.filename
        case "project": image.project
        case let key where key.hasPrefix("properties."):
            image.properties[String(key.dropFirst("properties.".utf8.count))]
        default: nil
        }
    }

    private static func value(_ field: String, of instance: API.Instance) -> String? {
        let value: String? =
            switch field {
            case "name": instance.name
            case "status": instance.status
            case "type": instance.type
            case "kind": instance.kind
            case "description": instance.description
            case "architecture": instance.architecture
            case "ephemeral": instance.ephemeral ? "true" : "false"
            case "location": instance.location
            case "project": instance.project
            case "stateful": instance.stateful ? "true" : "false"
            case "created_at": instance.createdAt
            case "last_used_at": instance.lastUsedAt
            case let key where key.hasPrefix("config."): instance.config[String(key.dropFirst(7))]
            case let key where key.hasPrefix("expanded_config."): instance.expandedConfig[String(key.dropFirst(16))]
            default: nil
            }
        return value?.lowercased()
    }

    private static func refusal(_ text: String) -> EngineError {
        EngineError(
            .invalidArgument, "the filter \(Names.quoted(text)) is not understood",
            hint: "write FIELD eq VALUE, joined by 'and' or 'or'")
    }
}
