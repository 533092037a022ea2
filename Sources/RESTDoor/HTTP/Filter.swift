import Model
import WireTypes

/// The part of LXD's filter language that clients use: `name eq web and status eq Running`, `not`, `ne`, and
/// `config.KEY`; values may be quoted.
struct Filter: Sendable {
    private struct Clause: Sendable {
        var negated: Bool
        var field: String
        var value: String
    }

    private var clauses: [Clause] = []

    init(_ text: String?) throws {
        guard let text else { return }
        var words = text.split(separator: " ").map { String($0.filter { $0 != "\"" }) }[...]
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
            clauses.append(Clause(negated: negated, field: field, value: value))
            guard let next = words.popFirst() else { break }
            guard next == "and", !words.isEmpty else { throw Self.refusal(text) }
        }
    }

    func matches(_ instance: API.Instance) -> Bool { matches { Self.value($0, of: instance) } }

    func matches(_ image: API.Image) -> Bool { matches { Self.value($0, of: image)?.lowercased() } }

    private func matches(_ value: (String) -> String?) -> Bool {
        clauses.allSatisfy { clause in (value(clause.field) == clause.value.lowercased()) != clause.negated }
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
            case let key where key.hasPrefix("config."): instance.config[String(key.dropFirst(7))]
            case let key where key.hasPrefix("expanded_config."): instance.expandedConfig[String(key.dropFirst(16))]
            default: nil
            }
        return value?.lowercased()
    }

    private static func refusal(_ text: String) -> EngineError {
        EngineError(
            .invalidArgument, "the filter \(Names.quoted(text)) is not understood",
            hint: "write FIELD eq VALUE, joined by 'and'")
    }
}
