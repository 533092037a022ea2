import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle copy`.
struct Copy: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an instance with the files and configuration of another.",
        discussion: """
            Files are shared until one of the two changes them. A running source stands still meanwhile.

            Examples:
              isle copy box second
              isle copy box/before-upgrade old --instance-only
              isle copy box nightly --refresh
            """, aliases: ["cp"])
    @Argument(help: "The instance, or INSTANCE/SNAPSHOT.", completion: Completions.instances) var source: String
    @Argument(help: "The copy's name; else one is made up.") var name: String?
    @Flag(help: "Leave the snapshots out.") var instanceOnly = false
    @Flag(help: "Bring an existing copy up to date.") var refresh = false
    @Option(name: [.customShort("c"), .long], help: ArgumentHelp("Set a key of the copy.", valueName: "key=value"))
    var config: [String] = []
    @Option(help: "The storage pool of the copy.", completion: Completions.pools) var storage: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var post = API.InstancesPost()
        post.name = name ?? ""
        post.source.type = "copy"
        post.source.source = source
        post.source.instanceOnly = instanceOnly
        post.source.refresh = refresh
        post.config = config.isEmpty ? [:] : try Settings.parse(config)
        if let storage { post.devices["root"] = ["type": "disk", "path": "/", "pool": storage] }
        let done = try global.finish(try client.start("POST", Endpoint(["instances"]), post), with: client)
        Output(options: global).done(done.metadata?["name"]?.stringValue ?? name ?? "")
    }
}
