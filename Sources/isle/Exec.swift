import ArgumentParser
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle exec`.
struct Exec: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a program in a running instance.",
        usage: "isle exec [OPTIONS] NAME [--] COMMAND…",
        discussion: """
            At a terminal the program gets a terminal and the keyboard too; -T prevents
            it. Elsewhere standard input is passed on with -i only.

            Examples:
              isle exec web nginx -t
              isle exec -u www-data -w /srv web sh -c 'echo $PWD'
              tar c . | isle exec -i box -- tar x -C /srv
            """)

    @Flag(name: .shortAndLong, help: "Pass standard input on.") var interactive = false
    @Flag(name: .shortAndLong, help: "Give the program a terminal.") var tty = false
    @Flag(name: [.customShort("T"), .long], help: "Give it none, even at a terminal.") var noTty = false
    @Flag(name: .shortAndLong, help: "Do not wait for it.") var detach = false
    @Option(
        name: [.short, .customLong("env")], help: ArgumentHelp("Set an environment variable.", valueName: "name=value"))
    var environment: [String] = []
    @Option(name: .shortAndLong, help: ArgumentHelp("User and group.", valueName: "user[:group]")) var user: String?
    @Option(name: [.customShort("w"), .customLong("workdir"), .customLong("cwd")], help: "Working folder.") var workdir:
        String?
    @OptionGroup(title: "Global options") var global: GlobalOptions
    @Argument(
        parsing: .captureForPassthrough, help: ArgumentHelp("Instance and program.", valueName: "name"),
        completion: Completions.instances)
    var words: [String] = []

    func run() throws {
        let (name, command) = try split(words, what: "NAME")
        guard !command.isEmpty else {
            throw UsageError(
                "the program to run in \(Quantity.quoted(name)) is missing", hint: "or log in: isle shell \(name)")
        }
        var program = InsideProgram(name: name, command: command)
        program.terminal = tty || InsideProgram.isAtTerminal && !noTty && !interactive && !detach
        program.input = interactive || program.terminal && !tty
        program.environment = try KeyValue.environment(environment) { Environment[$0] }
        program.user = user
        program.workingDirectory = workdir
        if tty && interactive && !Terminal.isTerminal(STDIN_FILENO) {
            throw UsageError("standard input is not a terminal", hint: "use -i without -t")
        }
        let client = global.client
        if detach { return try program.startOnly(client) }
        try Programs.exit(program.run(client), name: name, client: nil)
    }
}

/// `isle shell`.
struct Shell: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Log in to an instance.",
        discussion: """
            In system containers and machines it is a login of root, or of --user; in
            application containers the best shell that the image has.

            Examples:
              isle shell box
              isle shell box -u alice
            """)

    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Option(name: .shortAndLong, help: "Who logs in.") var user: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let instance = try client.get(API.Instance.self, Endpoint(["instances", name]))
        var program = InsideProgram(name: name, command: [])
        if instance.kind == "system" || instance.kind == "machine" {
            program.command = ["/bin/sh", "-c", Self.login, "sh", user ?? "root"]
        } else {
            program.command = ["/bin/sh", "-c", Self.bestShell]
            program.user = user
        }
        program.terminal = InsideProgram.isAtTerminal
        program.input = true
        if let term = Environment["TERM"] { program.environment = [("TERM", term)] }
        do {
            try Programs.exit(program.run(client), name: name, client: nil)
        } catch let error as NotExecuted {
            throw NotExecuted(
                code: error.code,
                cause: UsageError(
                    "instance \(Quantity.quoted(name)) has no shell", hint: "run its own programs with 'isle exec'"))
        }
    }

    private static let login = """
        if command -v su >/dev/null 2>&1; then exec su -l "$1"; fi
        cd "${HOME:-/root}" 2>/dev/null || cd /
        if command -v bash >/dev/null 2>&1; then exec bash -l; fi
        exec sh -l
        """
    private static let bestShell = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"
}

/// One program in an instance, connected to this process's streams.
struct InsideProgram {
    var name: String
    var command: [String]
    var environment: [(name: String, value: String)] = []
    var user: String?
    var workingDirectory: String?
    var terminal = false
    var input = false

    init(name: String, command: [String]) {
        self.name = name
        self.command = command
    }

    /// Whether a person sits at both ends.
    static var isAtTerminal: Bool { Terminal.isTerminal(STDIN_FILENO) && Terminal.isTerminal(STDOUT_FILENO) }

    private func post(websocket: Bool) -> API.InstanceExecPost {
        var post = API.InstanceExecPost()
        post.command = command
        post.waitForWebsocket = websocket
        post.interactive = terminal
        post.environment = Dictionary(environment.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        if terminal, post.environment["TERM"] == nil, let term = Environment["TERM"] { post.environment["TERM"] = term }
        if terminal, let size = Terminal.size(of: STDOUT_FILENO) {
            post.width = Int(size.columns)
            post.height = Int(size.rows)
        }
        post.cwd = workingDirectory ?? ""
        post.userName = user
        return post
    }

    /// Runs it to its end.
    func run(_ client: IsleClient) throws -> Session.End {
        let operation = try client.start("POST", Endpoint(["instances", name, "exec"]), post(websocket: true))
        var options = Session.Options()
        options.input = input
        options.terminal = terminal
        do {
            return try Session(client, operation, options).run()
        } catch let error as ClientError where error.kind == .refused(status: 404) {
            throw NotExecuted(code: Failure.commandNotFound, cause: error)
        } catch let error as ClientError where error.kind == .refused(status: 400) {
            throw NotExecuted(code: Failure.cannotExecute, cause: error)
        }
    }

    /// Starts it and does not wait.
    func startOnly(_ client: IsleClient) throws {
        _ = try client.start("POST", Endpoint(["instances", name, "exec"]), post(websocket: false))
    }
}
