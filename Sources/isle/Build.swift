import ArgumentParser
import CLIKit
import Client
import Glibc
import Model
import WireTypes

struct Build: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Build an image by a Dockerfile.",
        discussion: """
            The folder is sent to the daemon as the build context; .dockerignore is heeded.

            Examples:
              isle build -t app .
              isle build -t app --target test --build-arg VERSION=2 -f docker/Dockerfile .
              isle build -t app --secret id=token,src=token.txt .
            """)
    @Argument(help: "Folder with the build context.", completion: .directory) var folder = "."
    @Option(name: .shortAndLong, help: "Name for the image; repeatable.") var tag: [String] = []
    @Option(name: .shortAndLong, help: ArgumentHelp("The Dockerfile, below the folder.", valueName: "path")) var file =
        "Dockerfile"
    @Option(help: ArgumentHelp("Value of an ARG; repeatable.", valueName: "name=value")) var buildArg: [String] = []
    @Option(help: ArgumentHelp("Label of the image; repeatable.", valueName: "name=value")) var label: [String] = []
    @Option(help: "Stage to stop at.") var target: String?
    @Option(help: ArgumentHelp("Secret for RUN --mount=type=secret; repeatable.", valueName: "id=name,src=file"))
    var secret: [String] = []
    @Option(help: ArgumentHelp("Agent socket for RUN --mount=type=ssh; repeatable.", valueName: "id=socket"))
    var ssh: [String] = []
    @Option(help: ArgumentHelp("default, or none.", valueName: "name")) var network: String?
    @Option(help: ArgumentHelp("A name in /etc/hosts of steps; repeatable.", valueName: "name:address"))
    var addHost: [String] = []
    @Flag(help: "Carry out every step anew.") var noCache = false
    @Flag(help: "Fetch base images even if they are here.") var pull = false
    @Flag(help: "Join the new layers to one.") var squash = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.BuildPost()
        post.dockerfile = inside(file)
        post.tags = tag
        post.arguments = try Self.pairs(buildArg, "--build-arg", environment: true)
        post.labels = try Self.pairs(label, "--label", environment: false)
        post.target = target
        post.network = network
        post.extraHosts = addHost
        (post.noCache, post.pull, post.squash) = (noCache, pull, squash)
        for text in secret { try addSecret(text, to: &post) }
        for text in ssh {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            let agent = getenv("SSH_AUTH_SOCK").map { String(cString: $0) }
            guard let path = parts.count > 1 ? parts[1] : agent else {
                throw UsageError("--ssh \(Quantity.quoted(text)) names no socket, and SSH_AUTH_SOCK is not set")
            }
            post.ssh[parts[0]] = path
        }
        let fingerprint = try ImageBuild(global: global).run(post, context: folder)
        if global.quiet { Output(options: global).lines([fingerprint]) }
    }

    /// The Dockerfile's path in the context, also when it was named from the present folder.
    private func inside(_ path: String) -> String {
        var prefix = folder
        while prefix.hasSuffix("/") { prefix.removeLast() }
        return prefix != "." && path.hasPrefix(prefix + "/") ? String(path.dropFirst(prefix.utf8.count + 1)) : path
    }

    private static func pairs(_ texts: [String], _ option: String, environment: Bool) throws -> [String: String] {
        var values: [String: String] = [:]
        for text in texts {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard !parts[0].isEmpty else { throw UsageError("\(option) \(Quantity.quoted(text)) has no name") }
            if parts.count > 1 {
                values[parts[0]] = parts[1]
            } else if environment {
                // As with Docker, a name alone takes the value of the environment.
                if let value = getenv(parts[0]) { values[parts[0]] = String(cString: value) }
            } else {
                values[parts[0]] = ""
            }
        }
        return values
    }

    private func addSecret(_ text: String, to post: inout API.BuildPost) throws {
        var fields: [String: String] = [:]
        for field in text.split(separator: ",") {
            let parts = field.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { fields[parts[0]] = parts[1] }
        }
        guard let id = fields["id"] else { throw UsageError("--secret \(Quantity.quoted(text)) has no id") }
        if let name = fields["env"] {
            guard let value = getenv(name) else { throw UsageError("--secret: the variable \(name) is not set") }
            post.secrets[id] = String(cString: value)
        } else {
            post.secrets[id] = try LocalFile.text(fields["src"] ?? fields["source"] ?? id, "--secret")
        }
    }
}
