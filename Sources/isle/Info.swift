import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle info`.
struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show an instance, or the daemon.",
        discussion: """
            Examples:
              isle info web
              isle info web --format json
              isle info
            """, aliases: ["inspect"])
    @Argument(help: "The instance; none is the daemon.", completion: Completions.instances) var name: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let output = Output(options: global)
        guard let name else { return try output.value(client.get(JSONValue.self, Endpoint([]))) }
        let instance = try client.get(JSONValue.self, Endpoint(["instances", name]))
        let state = try client.get(JSONValue.self, Endpoint(["instances", name, "state"]))
        if global.format != .table {
            var object = instance.objectValue ?? [:]
            object["state"] = state
            return try output.value(.object(object))
        }
        let details = InstanceTable.details(
            try instance.decoded(as: API.Instance.self), try state.decoded(as: API.InstanceState.self), now: Now.seconds
        )
        Details.show(details, output)
    }
}

/// Names and values, one a line.
enum Details {
    static func show(_ details: [(String, Table.Cell)], _ output: Output) {
        let width = (details.map { PlainText.width($0.0) }.max() ?? 0) + 3
        output.lines(
            details.map { name, cell in
                let padding = String(repeating: " ", count: max(1, width - PlainText.width(name) - 1))
                let value = PlainText.escaped(cell.text)
                let shown = cell.color.map { Style.output.paint(value, $0) } ?? value
                return Style.output.paint(PlainText.escaped(name) + ":", .heading) + padding + shown
            })
    }
}
