/// Metrics as Prometheus reads them (text format 0.0.4), with the names that LXD's have.
struct MetricsPage {
    private struct Family {
        var type: String
        var help: String
        var samples: [String] = []
    }

    private var families: [String: Family] = [:]

    /// Adds a sample; nothing if there is no value.
    mutating func add(
        _ name: String, _ type: String, _ help: String, _ labels: [(name: String, value: String)],
        _ value: Double?
    ) {
        guard let value else { return }
        var family = families[name] ?? Family(type: type, help: help)
        let text = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",")
        let number = value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
        family.samples.append("\(name)\(text.isEmpty ? "" : "{\(text)}") \(number)")
        families[name] = family
    }

    var text: String {
        var out = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            out += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.type)\n"
            for sample in family.samples { out += sample + "\n" }
        }
        return out
    }

    private static func escaped(_ value: String) -> String {
        var out = ""
        for character in value {
            switch character {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            default: out.append(character)
            }
        }
        return out
    }
}
