import ArgumentParser
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle snapshot`.
struct Snapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Points in time that an instance can go back to.",
        discussion: """
            Examples:
              isle snapshot create box before-upgrade
              isle snapshot list box
              isle snapshot restore box before-upgrade
              isle copy box/before-upgrade second
            """,
        subcommands: [
            SnapshotCreate.self, SnapshotList.self, SnapshotShow.self, SnapshotRestore.self, SnapshotRename.self,
            SnapshotDelete.self,
        ], aliases: ["snapshots"])

    static func endpoint(_ instance: String, _ name: String? = nil, query: [(String, String?)] = []) -> Endpoint {
        Endpoint(["instances", instance, "snapshots"] + (name.map { [$0] } ?? []), query: query)
    }
}

struct SnapshotCreate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Keep an instance as it is now.",
        discussion: "A running instance stands still meanwhile.")
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "The snapshot's name; else made from snapshots.pattern.") var name: String?
    @Flag(help: "Keep a running machine's memory too.") var stateful = false
    @Flag(help: "Keep it until it is deleted, whatever snapshots.expiry says.") var noExpiry = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var post = API.SnapshotsPost()
        post.name = name ?? ""
        post.stateful = stateful
        if noExpiry { post.expiresAt = Timestamp.unset }
        let done = try global.finish(
            try client.start("POST", Snapshot.endpoint(instance), post), with: client)
        Output(options: global).done(done.metadata?["name"]?.stringValue ?? name ?? "")
    }
}

struct SnapshotList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the snapshots of an instance.", aliases: ["ls"])
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(
            JSONValue.self, Snapshot.endpoint(instance, query: [("recursion", "1")]))
        let snapshots = try answer.decoded(as: [API.InstanceSnapshot].self)
        try Output(options: global).list(answer, names: snapshots.map(\.name)) {
            var table = Table([.init("NAME", minimum: 12), .init("CREATED"), .init("EXPIRES")])
            for snapshot in snapshots {
                let created = Timestamp.seconds(snapshot.createdAt).map {
                    Quantity.span(seconds: Now.seconds - $0) + " ago"
                }
                let expires = snapshot.expiresAt == Timestamp.unset ? nil : snapshot.expiresAt
                table.add(.init(snapshot.name), .init(created ?? "-"), .init(expires ?? "-"))
            }
            return table
        }
    }
}

struct SnapshotShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a snapshot.", aliases: ["info", "inspect"])
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "The snapshot.") var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Snapshot.endpoint(instance, name)))
    }
}

struct SnapshotRestore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring an instance back to a snapshot.",
        discussion: "What it is now is lost. A running instance is stopped before and started after.")
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "The snapshot.") var name: String
    @Flag(help: "Go on from the memory that it keeps, instead of booting.") var stateful = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var put = API.InstancePut()
        put.restore = name
        if stateful { put.stateful = true }
        try global.finish(try client.start("PUT", Endpoint(["instances", instance]), put), with: client)
        Output(options: global).done(instance)
    }
}

struct SnapshotRename: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Rename a snapshot.")
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "The snapshot.") var name: String
    @Argument(help: "Its new name.") var newName: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var post = API.InstancePost()
        post.name = newName
        try global.finish(try client.start("POST", Snapshot.endpoint(instance, name), post), with: client)
        Output(options: global).done(newName)
    }
}

struct SnapshotDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete snapshots of an instance.", aliases: ["rm", "remove"])
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "The snapshots.") var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            try global.finish(
                try client.start("DELETE", Snapshot.endpoint(instance, name), nil as API.Empty?), with: client)
            Output(options: global).done(name)
        }
    }
}
