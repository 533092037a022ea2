import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle warning`.
struct Warnings: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warning", abstract: "What is not as it should be.",
        subcommands: [WarningList.self, WarningShow.self, WarningAcknowledge.self, WarningDelete.self],
        aliases: ["warnings"])
}

struct WarningList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List warnings.", aliases: ["ls"])
    @Flag(name: .shortAndLong, help: "Also those that were acknowledged or are over.") var all = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["warnings"], query: [("recursion", "1")]))
        let warnings = try answer.decoded(as: [API.Warning].self).filter { all || $0.status == "new" }
        try Output(options: global).list(answer, names: warnings.map(\.uuid)) {
            var table = Table([
                .init("UUID"), .init("TYPE", minimum: 12), .init("SEVERITY"), .init("STATUS"),
                .init("COUNT", right: true), .init("MESSAGE", minimum: 20),
            ])
            for warning in warnings {
                table.add(
                    .init(warning.uuid), .init(warning.type), .init(warning.severity), .init(warning.status),
                    .init(String(warning.count)), .init(warning.lastMessage))
            }
            return table
        }
    }
}

struct WarningShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a warning.")
    @Argument(help: "Its UUID.") var uuid: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Endpoint(["warnings", uuid])))
    }
}

struct WarningAcknowledge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acknowledge", abstract: "Note that warnings were looked at.", aliases: ["ack"])
    @Argument(help: "UUIDs.") var uuids: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var put = API.WarningPut()
        put.status = "acknowledged"
        try Failure.forEach(uuids) { uuid in
            try client.send("PUT", Endpoint(["warnings", uuid]), put)
            Output(options: global).done(uuid)
        }
    }
}

struct WarningDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Forget warnings.", aliases: ["rm", "remove"])
    @Argument(help: "UUIDs.") var uuids: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(uuids) { uuid in
            try client.send("DELETE", Endpoint(["warnings", uuid]), nil as API.Empty?)
            Output(options: global).done(uuid)
        }
    }
}
