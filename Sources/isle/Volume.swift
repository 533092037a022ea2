import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle volume`.
struct Volume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Named volumes, which outlive the instances that use them.",
        discussion: """
            Examples:
              isle volume create data
              isle run -v data:/var/lib/data alpine touch /var/lib/data/x
              isle volume list
              isle volume create --type block --size 20GiB disk
              isle volume import debian.iso installer
              isle config device add vm disc disk pool=default source=installer
            """,
        subcommands: [
            VolumeList.self, VolumeCreate.self, VolumeImport.self, VolumeShow.self, VolumeDelete.self, VolumePrune.self,
        ], aliases: ["volumes"])

    static func endpoint(_ name: String? = nil, query: [(String, String?)] = []) -> Endpoint {
        Endpoint(["storage-pools", "default", "volumes", "custom"] + (name.map { [$0] } ?? []), query: query)
    }
}

struct VolumeList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List volumes.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Volume.endpoint(query: [("recursion", "1")]))
        let volumes = try answer.decoded(as: [API.StorageVolume].self)
        try Output(options: global).list(answer, names: volumes.map(\.name)) {
            var table = Table([
                .init("NAME", minimum: 12), .init("USED BY", minimum: 12), .init("CREATED"), .init("PATH", minimum: 16),
            ])
            for volume in volumes {
                let users = volume.usedBy.compactMap { $0.split(separator: "/").last.map(String.init) }
                let created = Timestamp.seconds(volume.createdAt).map {
                    Quantity.span(seconds: Now.seconds - $0) + " ago"
                }
                table.add(
                    .init(volume.name), .init(users.isEmpty ? "-" : users.joined(separator: ", ")),
                    .init(created ?? "-"), .init(volume.path ?? "-"))
            }
            return table
        }
    }
}

struct VolumeCreate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make volumes.")
    @Argument(help: "Names.") var names: [String]
    @Option(help: "What it is for.") var description = ""
    @Option(help: "filesystem, a folder; or block, a disk of machines.") var type = "filesystem"
    @Option(help: ArgumentHelp("Its size, as 20GiB.", valueName: "size")) var size: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            var post = API.StorageVolumesPost()
            post.name = name
            post.description = description
            post.contentType = type
            if let size { post.config["size"] = size }
            try client.send("POST", Volume.endpoint(), post)
            Output(options: global).done(name)
        }
    }
}

struct VolumeShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a volume.", aliases: ["info", "inspect"])
    @Argument(help: "The volume.", completion: Completions.volumes) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Volume.endpoint(name)))
    }
}

struct VolumeDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete volumes and all that is in them.", aliases: ["rm", "remove"])
    @Argument(help: "The volumes.", completion: Completions.volumes) var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            try client.send("DELETE", Volume.endpoint(name), nil as API.Empty?)
            Output(options: global).done(name)
        }
    }
}

struct VolumePrune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Delete volumes that no instance has and nobody named.",
        discussion: "Example: isle volume prune")
    @Flag(name: .shortAndLong, help: "Also those that have a name.") var all = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let volumes = try client.get([API.StorageVolume].self, Volume.endpoint(query: [("recursion", "1")]))
        let unused = volumes.filter { $0.usedBy.isEmpty && (all || $0.anonymous == true) }
        try Failure.forEach(unused.map(\.name)) { name in
            try client.send("DELETE", Volume.endpoint(name), nil as API.Empty?)
            Output(options: global).done(name)
        }
    }
}
