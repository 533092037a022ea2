import ArgumentParser
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle attach`.
struct Attach: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Connect to the program that an instance runs.",
        discussion: """
            ctrl-p ctrl-q leaves it running. Without a terminal, signals are passed on to
            the program.

            Examples:
              isle attach web
              isle attach --no-stdin web
            """)

    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Flag(inversion: .prefixedNo, help: "Pass standard input on.") var stdin = true
    @Option(help: ArgumentHelp("Keys that leave it running.", valueName: "keys")) var detachKeys = "ctrl-p,ctrl-q"
    @Flag(inversion: .prefixedNo, help: "Whether signals are passed on to the program.") var sigProxy = true
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        guard let keys = DetachKeys(detachKeys) else {
            throw UsageError("--detach-keys \(Quantity.quoted(detachKeys)) are no keys", hint: "write ctrl-p,ctrl-q")
        }
        let client = global.client
        // To attach to a stopped instance means to make it ready for a start, which nobody asked for here.
        let status = try client.get(API.Instance.self, Endpoint(["instances", name])).status
        guard status != "Stopped" && status != "Error" else {
            throw ClientError(
                .refused(status: 400), "instance \(Quantity.quoted(name)) is not running",
                hint: "isle start --attach \(name)")
        }
        var post = API.InstanceAttachPost()
        post.input = stdin
        if let size = Terminal.size(of: STDOUT_FILENO) {
            post.width = Int(size.columns)
            post.height = Int(size.rows)
        }
        let operation = try client.start("POST", Endpoint(["instances", name, "attach"]), post, patient: true)
        var options = Session.Options()
        options.input = stdin
        options.terminal = Session.hasTerminal(operation)
        options.leavesAtEndOfInput = true
        options.detachKeys = keys
        options.proxiesSignals = sigProxy
        let end = try Programs.goesOn(name) { try Session(client, operation, options).run() }
        try Programs.exit(end, name: name, client: client)
    }
}

/// `isle console`.
struct Console: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Connect to an instance's console.",
        discussion: """
            ctrl-a q leaves it.

            Examples:
              isle console vm
              isle console vm --show-log
              isle console vm --screenshot screen.png
            """)

    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Option(help: "console, the serial line; or vga, the screen of a machine.") var type = "console"
    @Option(help: ArgumentHelp("Write what the screen shows to a PNG file, and end.", valueName: "file"))
    var screenshot: String?
    @Flag(help: "Show what the console said so far, and end.") var showLog = false
    @Option(help: ArgumentHelp("Keys that leave it.", valueName: "keys")) var detachKeys = "ctrl-a,q"
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        if let screenshot { return try Screen(client: client, name: name).save(to: screenshot) }
        if type == "vga" { throw Screen(client: client, name: name).advice }
        guard type == "console" else {
            throw UsageError("--type \(Quantity.quoted(type)) is not known", hint: "console or vga")
        }
        if showLog {
            return try client.stream(Endpoint(["instances", name, "console"])) { Style.output.write($0) }
        }
        guard let keys = DetachKeys(detachKeys) else {
            throw UsageError("--detach-keys \(Quantity.quoted(detachKeys)) are no keys", hint: "write ctrl-a,q")
        }
        var post = API.InstanceConsolePost()
        if let size = Terminal.size(of: STDOUT_FILENO) {
            post.width = Int(size.columns)
            post.height = Int(size.rows)
        }
        let operation = try client.start("POST", Endpoint(["instances", name, "console"]), post)
        var options = Session.Options()
        options.input = true
        options.terminal = true
        options.leavesAtEndOfInput = true
        options.detachKeys = keys
        if Style.error.isTerminal {
            Style.error.write("connected to the console of \(PlainText.escaped(name)); \(detachKeys) leaves it\n")
        }
        _ = try Session(client, operation, options).run()
        if Style.error.isTerminal { Style.error.write("\r\n") }
    }
}
