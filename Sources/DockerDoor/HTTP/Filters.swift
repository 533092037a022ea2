import Engine
import Model

/// The `filters` of lists: names with values, any of which may fit; every name must fit.
struct Filters: Sendable {
    private(set) var values: [String: [String]] = [:]

    /// Reads `{"label":["a=b"]}`, or the older `{"label":{"a=b":true}}`.
    init(_ text: String?) throws {
        guard let text else { return }
        let json: JSON
        do { json = try JSONParser.parse(text.utf8) } catch {
            throw EngineError(.invalidArgument, "the filters are not understood: \(error)")
        }
        for member in try Fields(json, path: "filters.").json.members {
            switch member.value {
            case .array(let list): values[member.key] = list.compactMap(\.string)
            case .object(let members): values[member.key] = members.filter { $0.value == true }.map(\.key)
            case .null: continue
            default: throw EngineError(.invalidArgument, "the filter '\(member.key)' is not a list")
            }
        }
    }

    /// Refuses names that the list does not know, as dockerd does.
    func allow(_ names: Set<String>) throws {
        guard let unknown = values.keys.sorted().first(where: { !names.contains($0) }) else { return }
        throw EngineError(.invalidArgument, "invalid filter '\(unknown)'")
    }

    subscript(name: String) -> [String] { values[name] ?? [] }
    func has(_ name: String) -> Bool { values[name]?.isEmpty == false }

    /// Whether `test` holds for one of the values, or there are none.
    func fits(_ name: String, _ test: (String) throws -> Bool) rethrows -> Bool {
        let wanted = self[name]
        return try wanted.isEmpty || wanted.contains(where: test)
    }

    /// All of the `label` filters must hold, none of `label!`: `name` or `name=value`.
    func fits(labels: [String: String]) -> Bool {
        self["label"].allSatisfy { Self.holds($0, labels) } && !self["label!"].contains { Self.holds($0, labels) }
    }

    private static func holds(_ filter: String, _ labels: [String: String]) -> Bool {
        let parts = filter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let value = labels[String(parts[0])] else { return false }
        return parts.count == 1 || value == parts[1]
    }

    /// A yes-or-no filter; nil if it is not there.
    func bool(_ name: String) throws -> Bool? {
        guard has(name) else { return nil }
        switch Set(self[name].map { $0.lowercased() }) {
        case ["true"], ["1"]: return true
        case ["false"], ["0"]: return false
        default: throw EngineError(.invalidArgument, "invalid filter '\(name)=\(self[name])'")
        }
    }

    /// A point in time, seconds since 1970: a number, an RFC 3339 timestamp or a span as `10m` before now.
    static func time(_ text: String, now: Double) throws -> Double {
        if let seconds = Double(text), seconds.isFinite { return seconds }
        if let seconds = Timestamp.seconds(text) { return seconds }
        if let span = span(text) { return now - span }
        throw EngineError(.invalidArgument, "\(Names.quoted(text)) is not a time: give seconds since 1970")
    }

    /// Go's way to write a span: `1h30m`, `1.5s`.
    static func span(_ text: String) -> Double? {
        var seconds = 0.0
        var rest = text[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isNumber || $0 == "." }
            guard let number = Double(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            switch unit {
            case "h": seconds += number * 3600
            case "m": seconds += number * 60
            case "s": seconds += number
            case "ms": seconds += number / 1000
            case "us", "µs": seconds += number / 1e6
            case "ns": seconds += number / 1e9
            default: return nil
            }
        }
        return seconds
    }
}
