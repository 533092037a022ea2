import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle monitor`.
struct Monitor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show events as they happen.",
        discussion: """
            Examples:
              isle monitor
              isle monitor --type lifecycle --format json
            """, aliases: ["events"])
    @Option(
        help: ArgumentHelp("lifecycle, operation or logging; repeatable.", valueName: "type"),
        completion: .list(["lifecycle", "operation", "logging"]))
    var type: [String] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let types = type.isEmpty ? ["lifecycle", "operation"] : type
        let output = Output(options: global)
        try global.client.events(types: types) { bytes in
            let event = try JSON.decode(JSONValue.self, from: bytes)
            switch global.format {
            case .json: Style.output.write(String(decoding: try JSON.encode(event), as: UTF8.self) + "\n")
            case .yaml: Style.output.write("---\n" + YAML.write(event))
            case .csv:
                output.lines([EventLine.fields(event).map(CSV.field).joined(separator: ",")])
            case .table: output.lines([EventLine.fields(event).map(PlainText.escaped).joined(separator: "  ")])
            }
        }
        throw ClientError(.connectionLost, "the daemon closed the stream of events")
    }
}
