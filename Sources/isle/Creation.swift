import ArgumentParser
import CLIKit
import Client
import WireTypes

/// Makes instances: what run, launch and create have in common.
struct Creation {
    let global: GlobalOptions
    let client: IsleClient

    /// Makes the instance, starts it if asked to, and gives its name.
    func make(_ options: InstanceOptions, start: Bool) throws -> String {
        var options = options
        if options.isEmpty { return try makeFromStore(options, start: start) }
        let upload = ImageUpload(global: global, client: client)
        if let known = upload.knownAs(options.image) {
            var guess = options
            guess.image = known
            do { return try makeFromStore(guess, start: start) } catch let error as ClientError
                where error.kind == .refused(status: 404) && error.message.contains(known)
            {
                // It is not in the store yet.
            }
        }
        options.image = try upload.reference(for: options.image)
        return try makeFromStore(options, start: start)
    }

    private func makeFromStore(_ options: InstanceOptions, start: Bool) throws -> String {
        var options = options
        if options.network == "default" || options.network == "bridge" { options.network = try defaultNetwork() }
        var post = try options.request()
        post.start = start
        let operation = try client.start("POST", Endpoint(["instances"]), post)
        let done: API.Operation
        do {
            done = try global.finish(operation, with: client)
        } catch let error as ClientError where start {
            throw try startFailure(error, name: Self.name(in: operation) ?? options.name, options)
        }
        guard let name = Self.name(in: done) ?? options.name else {
            throw ClientError(.malformedAnswer, "the daemon did not say the new instance's name")
        }
        return name
    }

    /// `error` of an instance that was to be made and started: if it was made, the program is at fault, and what is
    /// left is deleted or named.
    private func startFailure(_ error: ClientError, name: String?, _ options: InstanceOptions) throws -> any Error {
        guard let name, error.kind != .daemonUnavailable, error.kind != .refused(status: 409),
            (try? client.get(API.Instance.self, Endpoint(["instances", name]))) != nil
        else { return error }
        var error = error
        if options.ephemeral {
            try client.send(
                "DELETE", Endpoint(["instances", name], query: [("force", "1"), ("volumes", "1")]), nil as API.Empty?)
        } else {
            error.hint = "instance \(Quantity.quoted(name)) is there, stopped: isle delete \(name)"
        }
        return Run.startFailure(error)
    }

    /// The instance that `operation` made.
    static func name(in operation: API.Operation) -> String? {
        if let name = operation.metadata?["name"]?.stringValue { return name }
        return operation.resources["instances"]?.first?.split(separator: "/").last.map {
            String($0.prefix { $0 != "?" })
        }
    }

    /// The network that the default profile connects instances to.
    private func defaultNetwork() throws -> String {
        let profile = try client.get(API.Profile.self, Endpoint(["profiles", "default"]))
        guard let network = profile.devices["eth0"]?["network"] else {
            throw ClientError(.local, "the default profile has no network", hint: "name one: isle network list")
        }
        return network
    }
}

extension ParsableCommand {
    /// The first of `words`, an image or an instance, and the program behind it. A plea for help among the options
    /// comes here too, since all that is not known is passed through.
    func split(_ words: [String], what: String = "IMAGE") throws -> (first: String, command: [String]) {
        if ["-h", "--help"].contains(words.first) { throw CleanExit.helpRequest(self) }
        return try ImageAndCommand.split(words, verb: Self._commandName, what: what)
    }
}

/// `isle create`.
struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an instance without starting it.",
        usage: "isle create [OPTIONS] IMAGE [COMMAND…]",
        discussion: """
            Examples:
              isle create --name web -p 8080:80 nginx
              isle start web
              isle create --empty --vm --name server --disk 20GiB
            """)

    @OptionGroup var instance: InstanceOptionGroup
    @OptionGroup(title: "Global options") var global: GlobalOptions
    @Argument(
        parsing: .captureForPassthrough, help: ArgumentHelp("Image and command.", valueName: "image"),
        completion: Completions.images)
    var words: [String] = []
    @Flag(help: "Without an image: a machine with an empty disk, a container with an empty root.") var empty = false

    func run() throws {
        if empty {
            guard words.isEmpty else { throw UsageError("--empty takes no image") }
            var options = try instance.options(image: "", command: [])
            options.isEmpty = true
            let name = try Creation(global: global, client: global.client).make(options, start: false)
            return Output(options: global).lines([PlainText.escaped(name)])
        }
        let (image, command) = try split(words)
        let client = global.client
        let options = try instance.options(image: image, command: command)
        let name = try Creation(global: global, client: client).make(options, start: false)
        Output(options: global).lines([PlainText.escaped(name)])
    }
}
