import ArgumentParser
import CLIKit
import Client
import WireTypes

struct ImageAliases: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alias", abstract: "Names of images as LXD's clients have them.",
        discussion: """
            Examples:
              isle image alias create web 40dd5b052170
              isle image alias rename web site
            """,
        subcommands: [ImageAliasCreate.self, ImageAliasRename.self, ImageAliasRemove.self])
}

struct ImageAliasCreate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Give an image an alias.")
    @Argument(help: "The alias.") var alias: String
    @Argument(help: "The image.", completion: Completions.images) var image: String
    @Option(help: "What it is, for people.") var description = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var entry = API.ImageAliasesEntry()
        entry.name = alias
        entry.target = image
        entry.description = description
        try global.client.send("POST", Endpoint(["images", "aliases"]), entry)
        Output(options: global).done(alias)
    }
}

struct ImageAliasRename: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Rename an alias.")
    @Argument(help: "The alias.") var alias: String
    @Argument(help: "Its new name.") var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        try global.client.send("POST", Endpoint(["images", "aliases", alias]), API.ImageAlias(name: name))
        Output(options: global).done(name)
    }
}

struct ImageAliasRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove aliases or references; their images stay.", aliases: ["rm", "delete"])
    @Argument(help: "Aliases.") var aliases: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(aliases) { alias in
            try client.send("DELETE", Endpoint(["images", "aliases", alias]), nil as API.Empty?)
            Output(options: global).done(alias)
        }
    }
}

struct ImageConvert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Give an OCI image the form that LXD's clients export.",
        discussion: "Its fingerprint is then that of the tarball, which is shown.")
    @Argument(help: "The image.", completion: Completions.images) var image: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let done = try global.finish(
            client.start("POST", Endpoint(["images", image, "convert"]), nil as API.Empty?), with: client)
        Output(options: global).lines([done.metadata?["fingerprint"]?.stringValue ?? image])
    }
}

struct ImageRefresh: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "refresh", abstract: "Fetch what an image's origin has now.")
    @Argument(help: "Images.", completion: Completions.images) var images: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(images) { image in
            try global.finish(
                client.start("POST", Endpoint(["images", image, "refresh"]), nil as API.Empty?), with: client)
            Output(options: global).done(image)
        }
    }
}
