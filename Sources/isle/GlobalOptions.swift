public import ArgumentParser
import CLIKit
import Client
import Glibc

extension OutputFormat: ExpressibleByArgument {}

/// Options of every verb.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The daemon's socket; else $ISLE_SOCKET, else \(IsleClient.defaultSocketPath).", valueName: "path"))
    var socket: String?
    @Option(help: ArgumentHelp("The project to work in; else $ISLE_PROJECT.", valueName: "name"))
    var project: String?
    @Option(help: "How to show answers: table, json, yaml or csv.")
    var format: OutputFormat = .table
    @Flag(name: .shortAndLong, help: "Names only, no progress.")
    var quiet = false

    var socketPath: String {
        if let socket { return socket }
        guard let value = Environment["ISLE_SOCKET"], !value.isEmpty else { return IsleClient.defaultSocketPath }
        // DOCKER_HOST taught people to write an address.
        return value.hasPrefix("unix://") ? String(value.dropFirst(7)) : value
    }

    var client: IsleClient {
        IsleClient(socketPath: socketPath, project: project ?? Environment["ISLE_PROJECT"] ?? "default")
    }

    /// Moves options of this group that stand before the verb behind it, where ArgumentParser looks for them.
    static func hoist(_ arguments: [String]) -> [String] {
        var leading: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if ["--socket", "--project", "--format"].contains(first), rest.count >= 2 {
                leading += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if ["-q", "--quiet"].contains(first)
                || ["--socket=", "--project=", "--format="].contains(where: first.hasPrefix)
            {
                leading.append(first)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        guard !leading.isEmpty else { return arguments }
        // Behind the last word of the verb: `network list`, `config device add`.
        var verb = 0
        var commands = Isle.configuration.subcommands
        while let word = rest.dropFirst(verb).first, let found = commands.first(where: { $0.answers(to: word) }) {
            verb += 1
            commands = found.configuration.subcommands
        }
        return rest.prefix(verb) + leading + rest.dropFirst(verb)
    }
}

extension ParsableCommand {
    fileprivate static func answers(to word: String) -> Bool {
        _commandName == word || configuration.aliases.contains(word)
    }
}

/// Variables of this process's environment.
enum Environment {
    static subscript(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    static var currentDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}
