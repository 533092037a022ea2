import CLIKit
import Client
import WireTypes

/// Shows answers in the format that was asked for.
struct Output {
    let options: GlobalOptions

    /// A list: the table for people and csv, the answer as it came for json and yaml, or one name a line with `-q`.
    func list(_ answer: JSONValue, names: [String], table: () throws -> Table) throws {
        if options.quiet && options.format == .table { return lines(names.map(PlainText.escaped)) }
        switch options.format {
        case .table:
            lines(try table().lines(width: Style.output.width, color: Style.output.isColored))
        case .csv: lines(CSV.lines(try table()))
        case .json, .yaml: try value(answer)
        }
    }

    /// One answer as JSON, or as YAML for everything else.
    func value(_ answer: JSONValue) throws {
        switch options.format {
        case .json: Style.output.write(try JSON.pretty(answer) + "\n")
        case .table, .yaml, .csv: Style.output.write(YAML.write(answer))
        }
    }

    func lines(_ lines: [String]) {
        if !lines.isEmpty { Style.output.write(lines.joined(separator: "\n") + "\n") }
    }

    /// The name of what was made or changed, unless `-q`.
    func done(_ name: String) {
        if !options.quiet { lines([PlainText.escaped(name)]) }
    }
}

extension JSONValue {
    /// The value as the API's type.
    func decoded<Value: Decodable>(as type: Value.Type) throws -> Value {
        try JSON.decode(type, from: JSON.encode(self))
    }
}
