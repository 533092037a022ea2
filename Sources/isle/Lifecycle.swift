import ArgumentParser
import CLIKit
import Client
import WireTypes

/// Names of instances, and what every verb on several of them does: all begin at once, then each is waited for.
struct InstanceNames: ParsableArguments {
    @Argument(help: "The instances.", completion: Completions.instances) var names: [String] = []
    @Flag(help: "All instances that it applies to.") var all = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if names.isEmpty && !all { throw ValidationError("the instance's name is missing") }
        if !names.isEmpty && all { throw ValidationError("names and --all exclude each other") }
    }

    /// The instances; of `--all` those in one of `states`.
    func chosen(_ client: IsleClient, states: Set<String>?) throws -> [String] {
        guard all else { return names }
        return try client.get([API.Instance].self, Endpoint(["instances"], query: [("recursion", "1")]))
            .filter { states?.contains($0.status) ?? true }.map(\.name)
    }

    /// Puts `state` on each and prints the names.
    func change(_ state: API.InstanceStatePut, states: Set<String>?) throws {
        let client = global.client
        var state = state
        (state.kill, state.idempotent) = (true, true)
        try perform(try chosen(client, states: states), client) { name in
            try client.start("PUT", Endpoint(["instances", name, "state"]), state)
        }
    }

    /// Starts an operation for each of `names`, waits for all of them and prints the names.
    func perform(_ names: [String], _ client: IsleClient, _ start: (String) throws -> API.Operation) throws {
        var operations: [String: API.Operation] = [:]
        var failed = false
        func attempt(_ body: () throws -> Void) throws {
            do {
                try body()
            } catch let error as ClientError where error.kind != .daemonUnavailable && names.count > 1 {
                Failure.complain(error.description)
                failed = true
            }
        }
        for name in names { try attempt { operations[name] = try start(name) } }
        for name in names {
            guard let operation = operations[name] else { continue }
            try attempt {
                try global.finish(operation, with: client)
                Output(options: global).done(name)
            }
        }
        if failed { throw ExitCode(1) }
    }
}

/// `isle start`.
struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start instances.",
        discussion: """
            Examples:
              isle start web box
              isle start -a web        show its output until it ends
            """)
    @Flag(name: .shortAndLong, help: "Show the output until it ends, and exit as it does.") var attach = false
    @Flag(help: "Boot it even if it was stopped with its state.") var stateless = false
    @OptionGroup var instances: InstanceNames

    func run() throws {
        var state = API.InstanceStatePut()
        state.action = "start"
        state.stateful = !stateless
        state.idempotent = true
        guard attach else { return try instances.change(state, states: ["Stopped", "Error"]) }
        guard instances.names.count == 1, let name = instances.names.first else {
            throw UsageError("--attach takes one instance")
        }
        let client = instances.global.client
        let operation = try client.start(
            "POST", Endpoint(["instances", name, "attach"]), API.InstanceAttachPost(), patient: true)
        var options = Session.Options()
        options.terminal = Session.hasTerminal(operation)
        options.started = { Failure.warn($0) }
        let session = try Session(client, operation, options)
        let start = try client.start("PUT", Endpoint(["instances", name, "state"]), state)
        try Programs.exit(session.run(starting: start), name: name, client: client)
    }
}

/// `isle stop`.
struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop instances: ask first, kill after a time.",
        discussion: """
            Examples:
              isle stop web
              isle stop --timeout 60 db
              isle stop --force box
              isle stop --stateful vm    its memory is kept until it is started
            """)
    @Option(
        name: [.short, .customLong("timeout"), .customLong("time")],
        help: ArgumentHelp("Seconds before it is killed; else the instance's own bound.", valueName: "seconds"))
    var timeout: Int?
    @Flag(name: .shortAndLong, help: "Kill at once.") var force = false
    @Flag(help: "Keep a machine's memory in a file; the next start goes on from there.") var stateful = false
    @OptionGroup var instances: InstanceNames

    func run() throws {
        var state = API.InstanceStatePut()
        state.action = "stop"
        state.timeout = timeout ?? -1
        state.force = force
        state.stateful = stateful
        try instances.change(state, states: ["Running", "Frozen", "Starting", "Stopping"])
    }
}

/// `isle restart`.
struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop instances and start them again.", discussion: "Example: isle restart web")
    @Option(
        name: [.short, .customLong("timeout"), .customLong("time")],
        help: ArgumentHelp("Seconds before it is killed.", valueName: "seconds"))
    var timeout: Int?
    @Flag(name: .shortAndLong, help: "Kill instead of asking.") var force = false
    @OptionGroup var instances: InstanceNames

    func run() throws {
        var state = API.InstanceStatePut()
        state.action = "restart"
        state.timeout = timeout ?? -1
        state.force = force
        try instances.change(state, states: ["Running", "Frozen"])
    }
}

/// `isle kill`.
struct Kill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a signal to the first process of instances.",
        discussion: """
            Examples:
              isle kill web
              isle kill -s HUP web
            """)
    @Option(name: .shortAndLong, help: "The signal, by name or number.") var signal = "KILL"
    @OptionGroup var instances: InstanceNames

    func run() throws {
        var state = API.InstanceStatePut()
        state.action = "kill"
        state.signal = signal
        try instances.change(state, states: ["Running", "Frozen"])
    }
}

/// `isle pause`.
struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Freeze all processes of instances.", discussion: "Example: isle pause box", aliases: ["freeze"])
    @OptionGroup var instances: InstanceNames

    func run() throws {
        var state = API.InstanceStatePut()
        state.action = "freeze"
        try instances.change(state, states: ["Running"])
    }
}

/// `isle resume`.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let paused instances go on.", discussion: "Example: isle resume box", aliases: ["unpause"])
    @OptionGroup var instances: InstanceNames

    func run() throws {
        var state = API.InstanceStatePut()
        state.action = "unfreeze"
        try instances.change(state, states: ["Frozen"])
    }
}

/// `isle delete`.
struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete instances.",
        discussion: """
            Examples:
              isle delete box
              isle delete --force web db
              isle rm -fv web          with the volumes that its image asked for
            """, aliases: ["rm"])
    @Flag(name: .shortAndLong, help: "Also if it runs: it is killed.") var force = false
    @Flag(name: [.customShort("v"), .long], help: "With the volumes that were made for it, without a name.")
    var volumes = false
    @OptionGroup var instances: InstanceNames

    func run() throws {
        let client = instances.global.client
        let names = try instances.chosen(client, states: force ? nil : ["Stopped", "Error"])
        let query = [("force", force ? "1" : nil), ("volumes", volumes ? "1" : nil)]
        try instances.perform(names, client) { name in
            try client.start("DELETE", Endpoint(["instances", name], query: query), nil as API.Empty?)
        }
    }
}

/// `isle rename`.
struct Rename: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rename an instance.", discussion: "Example: isle rename box old-box")
    @Argument(help: "The instance.", completion: Completions.instances) var name: String
    @Argument(help: "Its new name.") var newName: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.InstancePost()
        post.name = newName
        let client = global.client
        try global.finish(client.start("POST", Endpoint(["instances", name]), post), with: client)
        Output(options: global).done(newName)
    }
}

/// `isle wait`.
struct Wait: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until instances have ended and print their exit codes.",
        discussion: "Example: isle wait job")
    @Argument(help: "The instances.", completion: Completions.instances) var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            let answer = try client.get(JSONValue.self, Endpoint(["instances", name, "wait"]), patient: true)
            switch global.format {
            case .table, .csv: Output(options: global).lines([String(answer["exit_code"]?.intValue ?? 0)])
            case .json, .yaml: try Output(options: global).value(answer)
            }
        }
    }
}
