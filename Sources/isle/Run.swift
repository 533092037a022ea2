import ArgumentParser
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle run`.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an instance, run it here, and exit as its program did.",
        usage: "isle run [OPTIONS] IMAGE [COMMAND…]",
        discussion: """
            Examples:
              isle run --rm alpine echo hello
              isle run -it --rm debian bash
              isle run -d --name web -p 8080:80 nginx
              isle run --rm -v ./data:/data:ro alpine ls /data
              echo hi | isle run -i --rm alpine cat
              isle run --dir ./data::/data hello.wasm /data

            ctrl-p ctrl-q leaves a program with a terminal running in the background.
            Without a terminal, signals are passed on to the program.
            """)

    @Flag(name: .shortAndLong, help: "Run in the background and print the name.") var detach = false
    @Option(help: ArgumentHelp("Keys that leave it running.", valueName: "keys")) var detachKeys = "ctrl-p,ctrl-q"
    @Flag(inversion: .prefixedNo, help: "Whether signals are passed on to the program.") var sigProxy = true
    @OptionGroup var instance: InstanceOptionGroup
    @OptionGroup(title: "Global options") var global: GlobalOptions
    @Argument(
        parsing: .captureForPassthrough, help: ArgumentHelp("Image and command.", valueName: "image"),
        completion: Completions.images)
    var words: [String] = []

    func run() throws {
        let (image, command) = try split(words)
        guard let keys = DetachKeys(detachKeys) else {
            throw UsageError("--detach-keys \(Quantity.quoted(detachKeys)) are no keys", hint: "write ctrl-p,ctrl-q")
        }
        if instance.tty && instance.interactive && !detach && !Terminal.isTerminal(STDIN_FILENO) {
            throw UsageError("standard input is not a terminal", hint: "use -i without -t")
        }
        var options = try instance.options(image: image, command: command)
        options.inputOnce = instance.interactive && !instance.tty && !detach
        // Said either way: unset, a userland or a machine has a terminal for its console, whose output is one stream.
        if !detach && !instance.tty && !options.config.contains(where: { $0.hasPrefix("oci.tty=") }) {
            options.config.append("oci.tty=false")
        }
        let client = global.client
        let name = try Creation(global: global, client: client).make(options, start: detach)
        if detach { return Output(options: global).lines([PlainText.escaped(name)]) }
        let end: Session.End
        do {
            end = try attachAndStart(name, client, keys)
        } catch {
            // Nothing of a run that never began is kept when nothing of it was to be kept.
            if instance.ephemeral, (error as? ClientError)?.kind != .connectionLost {
                let endpoint = Endpoint(["instances", name], query: [("force", "1"), ("volumes", "1")])
                do { try client.send("DELETE", endpoint, nil as API.Empty?) } catch let second {
                    Failure.complain("instance \(Quantity.quoted(name)) is left: \(second)")
                }
            }
            throw error
        }
        try Programs.exit(end, name: name, client: client)
    }

    private func attachAndStart(_ name: String, _ client: IsleClient, _ keys: DetachKeys) throws -> Session.End {
        var post = API.InstanceAttachPost()
        post.input = instance.interactive
        if instance.tty, let size = Terminal.size(of: STDOUT_FILENO) {
            post.width = Int(size.columns)
            post.height = Int(size.rows)
        }
        var options = Session.Options()
        options.input = instance.interactive
        options.terminal = instance.tty
        options.detachKeys = keys
        options.proxiesSignals = sigProxy
        options.started = { Failure.warn($0) }
        // Attached first, so that not a byte of what the program writes is lost.
        let attach = try client.start("POST", Endpoint(["instances", name, "attach"]), post, patient: true)
        let session = try Session(client, attach, options)
        var state = API.InstanceStatePut()
        state.action = "start"
        state.idempotent = true
        let start = try client.start("PUT", Endpoint(["instances", name, "state"]), state)
        // What attaching makes ready is ready: what fails from here on is the program.
        do {
            return try Programs.goesOn(name) { try session.run(starting: start) }
        } catch {
            throw Self.startFailure(error)
        }
    }

    /// A start that failed because of the program has docker run's exit codes.
    static func startFailure(_ error: any Error) -> any Error {
        guard let error = error as? ClientError else { return error }
        switch error.kind {
        case .refused(status: 404): return NotExecuted(code: Failure.commandNotFound, cause: error)
        case .refused(status: 400): return NotExecuted(code: Failure.cannotExecute, cause: error)
        default: return error
        }
    }
}
