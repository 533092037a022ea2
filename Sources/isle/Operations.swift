import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle operation`.
struct Operations: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operation", abstract: "Work that goes on in the daemon.",
        subcommands: [OperationList.self, OperationCancel.self], aliases: ["operations"])
}

struct OperationList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List operations.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["operations"], query: [("recursion", "1")]))
        // By status, as LXD has it.
        let groups = answer.objectValue?.values.flatMap { $0.arrayValue ?? [] } ?? answer.arrayValue ?? []
        let operations = try groups.map { try $0.decoded(as: API.Operation.self) }.sorted {
            $0.createdAt < $1.createdAt
        }
        try Output(options: global).list(answer, names: operations.map(\.id)) {
            var table = Table([.init("ID"), .init("STATUS"), .init("CANCEL"), .init("DESCRIPTION", minimum: 20)])
            for operation in operations {
                table.add(
                    .init(operation.id), .init(operation.status), .init(operation.mayCancel ? "yes" : "no"),
                    .init(operation.description))
            }
            return table
        }
    }
}

struct OperationCancel: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Give up operations.", aliases: ["delete"])
    @Argument(help: "Ids.") var ids: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(ids) { id in
            try client.send("DELETE", Endpoint(["operations", id]), nil as API.Empty?)
            Output(options: global).done(id)
        }
    }
}
