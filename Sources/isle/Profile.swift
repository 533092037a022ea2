import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle profile`.
struct Profile: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Configuration that several instances share.",
        discussion: """
            Examples:
              isle profile create small
              isle profile set small limits.memory=256MiB
              isle launch --profile default --profile small alpine
            """,
        subcommands: [
            ProfileList.self, ProfileShow.self, ProfileCreate.self, ProfileGet.self, ProfileSet.self,
            ProfileUnset.self, ProfileEdit.self, ProfileRename.self, ProfileDelete.self,
        ])
}

struct ProfileList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List profiles.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["profiles"], query: [("recursion", "1")]))
        let profiles = try answer.decoded(as: [API.Profile].self)
        try Output(options: global).list(answer, names: profiles.map(\.name)) {
            var table = Table([
                .init("NAME", minimum: 12), .init("USED BY", right: true), .init("DESCRIPTION", minimum: 12),
            ])
            for profile in profiles {
                table.add(.init(profile.name), .init(String(profile.usedBy.count)), .init(profile.description))
            }
            return table
        }
    }
}

struct ProfileShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a profile.")
    @Argument(help: "The profile.", completion: Completions.profiles) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Endpoint(["profiles", name])))
    }
}

struct ProfileCreate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a profile.")
    @Argument(help: "Its name.") var name: String
    @Argument(help: ArgumentHelp("Its settings.", valueName: "key=value")) var settings: [String] = []
    @Option(name: [.customShort("D"), .long], help: ArgumentHelp("Add a device.", valueName: "name,key=value…"))
    var device: [String] = []
    @Option(help: "What it is for.") var description = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.ProfilesPost()
        post.name = name
        post.description = description
        post.config = settings.isEmpty ? [:] : try Settings.parse(settings)
        for text in device {
            let (name, keys) = try KeyValue.device(text)
            post.devices[name] = keys
        }
        try global.client.send("POST", Endpoint(["profiles"]), post)
        Output(options: global).done(name)
    }
}

struct ProfileGet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Print the value of a key.")
    @Argument(help: "The profile.", completion: Completions.profiles) var name: String
    @Argument(help: "The key.") var key: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.profile(name).get(key, global) }
}

struct ProfileSet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set keys.")
    @Argument(help: "The profile.", completion: Completions.profiles) var name: String
    @Argument(help: ArgumentHelp("Keys and values.", valueName: "key=value")) var settings: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.profile(name).set(Settings.parse(settings), global) }
}

struct ProfileUnset: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unset", abstract: "Take keys away.")
    @Argument(help: "The profile.", completion: Completions.profiles) var name: String
    @Argument(help: "The keys.") var keys: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try ConfigTarget.profile(name).set(Dictionary(keys.map { ($0, "") }, uniquingKeysWith: { $1 }), global)
    }
}

struct ProfileEdit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change a profile in an editor, or from standard input.")
    @Argument(help: "The profile.", completion: Completions.profiles) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws { try ConfigTarget.profile(name).edit(global) }
}

struct ProfileRename: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Rename a profile.")
    @Argument(help: "The profile.", completion: Completions.profiles) var name: String
    @Argument(help: "Its new name.") var newName: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.RenamePost()
        post.name = newName
        try global.client.send("POST", Endpoint(["profiles", name]), post)
        Output(options: global).done(newName)
    }
}

struct ProfileDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete profiles that nothing uses.", aliases: ["rm", "remove"])
    @Argument(help: "The profiles.", completion: Completions.profiles) var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            try client.send("DELETE", Endpoint(["profiles", name]), nil as API.Empty?)
            Output(options: global).done(name)
        }
    }
}
