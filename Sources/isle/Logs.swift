import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle logs`.
struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what an instance has written.",
        discussion: """
            Examples:
              isle logs web
              isle logs -f --tail 20 web
              isle logs --since 10m -t web
            """)
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Flag(name: .shortAndLong, help: "Go on with what is written from now on.") var follow = false
    @Option(
        name: [.customShort("n"), .customLong("tail")], help: ArgumentHelp("Only the last lines.", valueName: "number"))
    var tail: String?
    @Option(help: ArgumentHelp("From a time on: 10m, or 2026-01-31T12:00:00Z.", valueName: "time")) var since: String?
    @Flag(name: .shortAndLong, help: "Show when each line was written.") var timestamps = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var count: String?
        if let tail, tail != "all" {
            guard let number = Int(tail), number >= 0 else {
                throw UsageError("--tail \(Quantity.quoted(tail)) is no number of lines")
            }
            count = String(number)
        }
        let endpoint = Endpoint(
            ["instances", name, "logs", "output"],
            query: [
                ("follow", follow ? "1" : nil), ("tail", count), ("since", try since.map(moment)),
                ("timestamps", timestamps ? "1" : nil),
            ])
        try global.client.stream(endpoint) { Style.output.write($0) }
    }

    /// A moment as RFC 3339 text; a span of time is that long ago.
    private func moment(_ text: String) throws -> String {
        if Timestamp.seconds(text) != nil { return text }
        return Timestamp.string(Now.seconds - (try Quantity.seconds(text, option: "--since")))
    }
}
