import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle move`.
struct Move: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give an instance that does not run another name or storage pool.",
        discussion: """
            Examples:
              isle move box other
              isle move box --storage fast
            """, aliases: ["mv"])
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "Its new name.") var newName: String?
    @Option(help: "The storage pool to bring it to.", completion: Completions.pools) var storage: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        guard newName != nil || storage != nil else { throw UsageError("neither a new name nor --storage is given") }
        let client = global.client
        var post = API.InstancePost()
        post.name = newName ?? name
        post.pool = storage
        if storage != nil { post.migration = true }
        try global.finish(try client.start("POST", Endpoint(["instances", name]), post), with: client)
        Output(options: global).done(newName ?? name)
    }
}
