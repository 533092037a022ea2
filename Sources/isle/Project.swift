import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle project`.
struct Project: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Groups of instances with bounds and restrictions.",
        discussion: """
            Examples:
              isle project create lab limits.instances=10 restricted=true
              isle --project lab launch alpine web
              isle project info lab
            """,
        subcommands: [
            ProjectList.self, ProjectShow.self, ProjectInfo.self, ProjectCreate.self, ProjectGet.self,
            ProjectSet.self, ProjectUnset.self, ProjectEdit.self, ProjectRename.self, ProjectDelete.self,
        ])
}

extension ConfigTarget {
    static func project(_ name: String) -> ConfigTarget {
        ConfigTarget(
            endpoint: Endpoint(["projects", name]), what: "project \(Quantity.quoted(name))",
            editable: ["config", "description"])
    }
}

struct ProjectList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List projects.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["projects"], query: [("recursion", "1")]))
        let projects = try answer.decoded(as: [API.Project].self)
        try Output(options: global).list(answer, names: projects.map(\.name)) {
            var table = Table([
                .init("NAME", minimum: 12), .init("RESTRICTED"), .init("USED BY", right: true),
                .init("DESCRIPTION", minimum: 12),
            ])
            for project in projects {
                table.add(
                    .init(project.name), .init(project.config["restricted"] == "true" ? "yes" : "no"),
                    .init(String(project.usedBy.count)), .init(project.description))
            }
            return table
        }
    }
}

struct ProjectShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a project.")
    @Argument(help: "The project.") var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Endpoint(["projects", name])))
    }
}

struct ProjectInfo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show what of a project's bounds is used.")
    @Argument(help: "The project.") var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["projects", name, "state"]))
        let state = try answer.decoded(as: API.ProjectState.self)
        try Output(options: global).list(answer, names: state.resources.keys.sorted()) {
            var table = Table([.init("RESOURCE"), .init("LIMIT", right: true), .init("USED", right: true)])
            for (resource, value) in state.resources.sorted(by: { $0.key < $1.key }) {
                let isSize = resource == "memory" || resource == "disk"
                func text(_ number: Int64) -> String { isSize ? "\(number / 1_048_576)MiB" : "\(number)" }
                table.add(
                    .init(resource), .init(value.limit < 0 ? "-" : text(value.limit)), .init(text(value.usage)))
            }
            return table
        }
    }
}

struct ProjectCreate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a project.")
    @Argument(help: "Its name.") var name: String
    @Argument(help: ArgumentHelp("Its settings.", valueName: "key=value")) var settings: [String] = []
    @Option(help: "What it is for.") var description = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.ProjectsPost()
        post.name = name
        post.description = description
        post.config = settings.isEmpty ? [:] : try Settings.parse(settings)
        try global.client.send("POST", Endpoint(["projects"]), post)
        Output(options: global).done(name)
    }
}

struct ProjectGet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Print the value of a key.")
    @Argument(help: "The project.") var name: String
    @Argument(help: "The key.") var key: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.project(name).get(key, global) }
}

struct ProjectSet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set keys.")
    @Argument(help: "The project.") var name: String
    @Argument(help: ArgumentHelp("Keys and values.", valueName: "key=value")) var settings: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.project(name).set(Settings.parse(settings), global) }
}

struct ProjectUnset: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unset", abstract: "Take keys away.")
    @Argument(help: "The project.") var name: String
    @Argument(help: "The keys.") var keys: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try ConfigTarget.project(name).set(Dictionary(keys.map { ($0, "") }, uniquingKeysWith: { $1 }), global)
    }
}

struct ProjectEdit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change a project in an editor, or from standard input.")
    @Argument(help: "The project.") var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.project(name).edit(global) }
}

struct ProjectRename: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Rename an empty project.")
    @Argument(help: "The project.") var name: String
    @Argument(help: "Its new name.") var newName: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.RenamePost()
        post.name = newName
        try global.client.send("POST", Endpoint(["projects", name]), post)
        Output(options: global).done(newName)
    }
}

struct ProjectDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete empty projects.", aliases: ["rm", "remove"])
    @Argument(help: "The projects.") var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            try client.send("DELETE", Endpoint(["projects", name]), nil as API.Empty?)
            Output(options: global).done(name)
        }
    }
}
