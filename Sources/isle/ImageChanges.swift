import ArgumentParser
import CLIKit
import Client
import Glibc
import Model
import WireTypes

struct ImageTag: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Give an image a further reference.",
        discussion: "Example: isle image tag alpine localhost:5000/mirror/alpine:3.20")
    @Argument(help: "The image.", completion: Completions.images) var image: String
    @Argument(help: "The new reference.") var reference: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let entry = API.ImageAlias(name: reference)
        try global.client.send("POST", Endpoint(["images", image, "references"]), entry)
        Output(options: global).done(reference)
    }
}

struct ImageRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove images, or references of them.",
        discussion: "Example: isle image rm alpine debian/bookworm", aliases: ["rm", "delete"])
    @Argument(help: "Images.", completion: Completions.images) var images: [String]
    @Flag(name: .shortAndLong, help: "Take its names away even while instances need it.") var force = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(images) { image in
            let endpoint = Endpoint(["images", image], query: [("force", force ? "1" : nil)])
            try global.finish(client.start("DELETE", endpoint, nil as API.Empty?), with: client)
            Output(options: global).done(image)
        }
    }
}

struct ImagePrune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove what nothing needs any more.")
    @Flag(name: .shortAndLong, help: "Also images that have a name but no instance.") var all = false
    @Flag(help: "Only what builds keep for later ones.") var buildCache = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        if buildCache {
            let endpoint = Endpoint(["images", "build", "cache"])
            let done = try global.finish(client.start("DELETE", endpoint, nil as API.Empty?), with: client)
            return Output(options: global).lines(["\(Quantity.bytes(done.metadata?["freed"]?.intValue ?? 0)) freed"])
        }
        var post = API.ImagesPrunePost()
        post.all = all
        let done = try global.finish(client.start("POST", Endpoint(["images", "prune"]), post), with: client)
        let removed = done.metadata?["removed"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let freed = done.metadata?["freed"]?.intValue ?? 0
        if global.format == .json || global.format == .yaml {
            return try Output(options: global).value(.object(done.metadata ?? [:]))
        }
        Output(options: global).lines(removed.map { String($0.prefix(12)) })
        if !global.quiet { Output(options: global).lines(["\(Quantity.bytes(freed)) freed"]) }
    }
}

struct ImageSave: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save", abstract: "Write an image to a tar file.",
        discussion: """
            Examples:
              isle image save alpine -o alpine.tar
              isle image save --type docker alpine | docker load
            """, aliases: ["export"])
    @Argument(help: "The image.", completion: Completions.images) var image: String
    @Option(
        name: .shortAndLong, help: ArgumentHelp("The file; else standard output.", valueName: "file"),
        completion: .file()) var output: String?
    @Option(
        help: "oci (layout), docker (archive) or lxd (tarball; of an image that has that form).",
        completion: .list(["oci", "docker", "lxd"])) var type = "oci"
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        guard ["oci", "docker", "lxd"].contains(type) else {
            throw UsageError("--type \(Quantity.quoted(type)) is not known", hint: "oci, docker or lxd")
        }
        guard output != nil || !Style.output.isTerminal else {
            throw UsageError("an image is not for a terminal", hint: "name a file with -o, or write '> FILE'")
        }
        let endpoint = Endpoint(["images", image, "export"], query: [("format", type)])
        guard let output, output != "-" else { return try global.client.stream(endpoint) { Style.output.write($0) } }
        // Written beside the target and renamed, so that a half file never carries its name.
        let temporary = output + ".part"
        let file = OwnedDescriptor(open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644))
        guard file.raw >= 0 else { throw Self.failure(temporary) }
        do {
            try global.client.stream(endpoint) { piece in
                var rest = piece[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
                    guard count > 0 || errno == EINTR else { throw Self.failure(temporary) }
                    if count > 0 { rest = rest.dropFirst(count) }
                }
            }
            guard fsync(file.raw) == 0, rename(temporary, output) == 0 else { throw Self.failure(output) }
        } catch {
            unlink(temporary)
            throw error
        }
        Output(options: global).done(output)
    }

    private static func failure(_ path: String) -> ClientError {
        ClientError(.local, "\(Quantity.quoted(path)) cannot be written: \(String(cString: strerror(errno)))")
    }
}
