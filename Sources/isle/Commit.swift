import ArgumentParser
import CLIKit
import Client
import WireTypes

struct Commit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit", abstract: "Make an image of what an instance is now.",
        discussion: """
            The image has the layers of the instance's image and one of what the instance
            changed. A running instance is paused meanwhile.

            Example: isle commit web web-configured
            """)
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "Name for the image.") var name: String?
    @Option(name: .shortAndLong, help: "Who made it.") var author: String?
    @Option(name: .shortAndLong, help: "What was changed.") var message: String?
    @Flag(help: "Do not pause it.") var noPause = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var post = API.InstanceCommitPost()
        post.reference = name ?? ""
        post.author = author
        post.comment = message
        post.pause = !noPause
        let done = try global.finish(
            client.start("POST", Endpoint(["instances", instance, "commit"]), post), with: client)
        guard let fingerprint = done.metadata?["fingerprint"]?.stringValue else {
            throw ClientError(.malformedAnswer, "the daemon did not name the image")
        }
        Output(options: global).lines([name.map { PlainText.escaped($0) } ?? fingerprint])
    }
}

struct Changes: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what an instance changed of its image.",
        discussion: "A is added, C changed, D deleted.")
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["instances", instance, "changes"]))
        let changes = try answer.decoded(as: [API.PathChange].self)
        guard global.format == .table else { return try Output(options: global).value(answer) }
        let letters = ["added": "A", "modified": "C", "deleted": "D"]
        Output(options: global).lines(changes.map { "\(letters[$0.kind] ?? "?") \(PlainText.escaped($0.path))" })
    }
}
