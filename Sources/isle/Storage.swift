import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle storage`.
struct Storage: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Storage pools: where instances and volumes keep their files.",
        discussion: """
            Examples:
              isle storage create fast btrfs size=20GiB        a file of its own
              isle storage create data dir source=/srv/isle    a folder of any filesystem
              isle launch -D root,type=disk,path=/,pool=fast debian/bookworm box
              isle move box --storage data
            """,
        subcommands: [
            StorageList.self, StorageCreate.self, StorageShow.self, StorageInfo.self, StorageSet.self,
            StorageDelete.self,
        ], aliases: ["pool"])

    static func endpoint(_ name: String? = nil, query: [(String, String?)] = []) -> Endpoint {
        Endpoint(["storage-pools"] + (name.map { [$0] } ?? []), query: query)
    }
}

struct StorageList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List pools.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Storage.endpoint(query: [("recursion", "1")]))
        let pools = try answer.decoded(as: [API.StoragePool].self)
        try Output(options: global).list(answer, names: pools.map(\.name)) {
            var table = Table([
                .init("NAME", minimum: 12), .init("DRIVER"), .init("USED BY", right: true),
                .init("SOURCE", minimum: 16),
            ])
            for pool in pools {
                table.add(
                    .init(pool.name), .init(pool.driver), .init(String(pool.usedBy.count)),
                    .init(pool.config["source"] ?? "-"))
            }
            return table
        }
    }
}

struct StorageCreate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a pool.")
    @Argument(help: "Its name.") var name: String
    @Argument(help: "dir (folders with overlayfs, on any filesystem) or btrfs.") var driver: String
    @Argument(help: ArgumentHelp("source, size and other keys.", valueName: "key=value")) var settings: [String] = []
    @Option(help: "What it is for.") var description = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.StoragePoolsPost()
        (post.name, post.driver, post.description) = (name, driver, description)
        post.config = settings.isEmpty ? [:] : try Settings.parse(settings)
        try global.client.send("POST", Storage.endpoint(), post)
        Output(options: global).done(name)
    }
}

struct StorageShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a pool.", aliases: ["inspect"])
    @Argument(help: "The pool.", completion: Completions.pools) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Storage.endpoint(name)))
    }
}

struct StorageInfo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show how large a pool is, and what is used of it.")
    @Argument(help: "The pool.", completion: Completions.pools) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        let endpoint = Endpoint(["storage-pools", name, "resources"])
        try Output(options: global).value(global.client.get(JSONValue.self, endpoint))
    }
}

struct StorageSet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set keys of a pool; a btrfs pool in a file of its own grows with size.")
    @Argument(help: "The pool.", completion: Completions.pools) var name: String
    @Argument(help: ArgumentHelp("Keys and values.", valueName: "key=value")) var settings: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var put = API.StoragePoolPut()
        put.config = try Settings.parse(settings)
        try global.client.send("PATCH", Storage.endpoint(name), put)
        Output(options: global).done(name)
    }
}

struct StorageDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete pools that nothing is in.", aliases: ["rm", "remove"])
    @Argument(help: "The pools.", completion: Completions.pools) var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            try client.send("DELETE", Storage.endpoint(name), nil as API.Empty?)
            Output(options: global).done(name)
        }
    }
}
