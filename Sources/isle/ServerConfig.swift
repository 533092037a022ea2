import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle config server`: the daemon's own settings.
struct ConfigServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "The daemon's own settings.",
        discussion: """
            Examples:
              isle config server set core.https_address=:8443
              isle config server get core.https_address
              isle config server unset core.https_address
            """,
        subcommands: [ServerShow.self, ServerGet.self, ServerSet.self, ServerUnset.self, ServerEdit.self])
}

extension ConfigTarget {
    static var server: ConfigTarget {
        ConfigTarget(endpoint: Endpoint([]), what: "the daemon", editable: ["config"])
    }
}

struct ServerShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the settings.")
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(.object(ConfigTarget.server.load(global.client)))
    }
}

struct ServerGet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Print the value of a key.")
    @Argument(help: "The key.") var key: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.server.get(key, global) }
}

struct ServerSet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set keys.")
    @Argument(help: ArgumentHelp("Keys and values.", valueName: "key=value")) var settings: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.server.set(Settings.parse(settings), global) }
}

struct ServerUnset: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unset", abstract: "Take keys away.")
    @Argument(help: "The keys.") var keys: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try ConfigTarget.server.set(Dictionary(keys.map { ($0, "") }, uniquingKeysWith: { $1 }), global)
    }
}

struct ServerEdit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change the settings in an editor, or from standard input.")
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.server.edit(global) }
}
