import ArgumentParser
import CHost
import CLIKit
import Client
import Glibc
import StackKit
import WireTypes

/// `isle stack`.
struct StackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stack",
        abstract: "Run the services of a Compose file.",
        discussion: """
            FILE is a Compose file, or a folder with one (compose.yaml, docker-compose.yml).

            Examples:
              isle stack up compose.yaml
              isle stack up compose.yaml web --scale web=3
              isle stack ps .
              isle stack logs -f . web
              isle stack down . -v
            """,
        subcommands: [
            StackUp.self, StackDown.self, StackBuild.self, StackPs.self, StackLogs.self, StackScale.self,
            StackConfig.self,
        ])
}

/// Options of every verb of `isle stack`.
struct StackOptions: ParsableArguments {
    @Argument(help: "Compose file, or the folder of one.", completion: .file()) var file: String
    @Option(
        name: [.customShort("o"), .customLong("override")],
        help: ArgumentHelp("A further file that goes over the first.", valueName: "file"), completion: .file())
    var overrides: [String] = []
    @Option(
        name: [.customShort("p"), .customLong("project-name")],
        help: ArgumentHelp("Name of the project; else the file's or its folder's.", valueName: "name"))
    var projectName: String?
    @Option(help: ArgumentHelp("Services of this profile too; '*' is all.", valueName: "name")) var profile: [String] =
        []
    @Option(help: ArgumentHelp("File of variables; else .env beside the file.", valueName: "file"), completion: .file())
    var envFile: String?

    func stack() throws -> Stack {
        let (file, access, name) = try load()
        return try Stack(
            file, name: name, profiles: profile, storage: Self.storage, access: access)
    }

    func load() throws -> (StackFile, StackFile.Access, name: String?) {
        let paths = try [first()] + overrides.map(absolute)
        var variables: [String: String] = [:]
        let folder = paths[0].split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
        if let envFile {
            for (name, value) in EnvironmentFile.parse(try LocalFile.text(envFile, "--env-file")) {
                variables[name] = value
            }
        } else if access("\(folder)/.env", R_OK) == 0 {
            for (name, value) in EnvironmentFile.parse(try LocalFile.text("\(folder)/.env", ".env")) {
                variables[name] = value
            }
        }
        let known = variables
        let access = StackFile.Access(
            read: { path throws(StackError) in
                do throws(UsageError) {
                    return try LocalFile.text(path, "file")
                } catch {
                    throw StackError(error.message, hint: error.hint)
                }
            }, environment: { Environment[$0] ?? known[$0] })
        return (
            try StackFile(paths: paths, access: access), access,
            projectName ?? access.environment("COMPOSE_PROJECT_NAME")
        )
    }

    /// Where contents of configs and secrets are written that have no file of their own.
    static var storage: String {
        if let state = Environment["XDG_STATE_HOME"], state.hasPrefix("/") { return state + "/isle/stacks" }
        return (Environment["HOME"] ?? "/root") + "/.local/state/isle/stacks"
    }

    private func first() throws -> String {
        let path = absolute(file)
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return path }
        let names = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"]
        guard let found = names.first(where: { access("\(path)/\($0)", R_OK) == 0 }) else {
            throw UsageError(
                "the folder \(Quantity.quoted(file)) has no Compose file", hint: names.joined(separator: ", "))
        }
        return "\(path)/\(found)"
    }

    private func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        return path == "." ? Environment.currentDirectory : "\(Environment.currentDirectory)/\(path)"
    }
}

struct StackUp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Bring the services to what the file says.",
        discussion: """
            What is as the file says stays as it is. What differs is replaced, one after the
            other, as deploy.update_config says.
            """)
    @OptionGroup var stack: StackOptions
    @Argument(help: "Only these services and what they depend on.") var services: [String] = []
    @Option(help: ArgumentHelp("Number of instances of a service.", valueName: "service=number")) var scale: [String] =
        []
    @Flag(help: "Delete instances of services that the file no longer has.") var removeOrphans = false
    @Flag(help: "Build the images of services that have 'build', even if they are there.") var build = false
    @Flag(help: "Replace instances that need not be replaced.") var forceRecreate = false
    // Compose's users write it; the services run in the background anyway.
    @Flag(name: .shortAndLong, help: .hidden) var detach = false
    @Option(help: ArgumentHelp("Most time to wait for a service to be ready.", valueName: "time"))
    var waitTimeout = "5m"
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let stack = try stack.stack()
        var runner = StackRunner(stack: stack, global: global)
        runner.patience = try Quantity.seconds(waitTimeout, option: "--wait-timeout")
        try runner.up(
            services, scale: try StackScale.counts(scale), removeOrphans: removeOrphans, forced: forceRecreate,
            builds: build)
    }
}

struct StackBuild: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Build the images of services that have 'build'.")
    @OptionGroup var stack: StackOptions
    @Argument(help: "Only these services.") var services: [String] = []
    @Flag(help: "Carry out every step anew.") var noCache = false
    @Flag(help: "Fetch base images even if they are here.") var pull = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        try StackRunner(stack: try stack.stack(), global: global).build(services, noCache: noCache, pull: pull)
    }
}

struct StackDown: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Delete the instances and networks of the project.")
    @OptionGroup var stack: StackOptions
    @Flag(name: .shortAndLong, help: "Delete its volumes too.") var volumes = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        try StackRunner(stack: try stack.stack(), global: global).down(volumes: volumes)
    }
}

struct StackPs: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List the instances of the project.", aliases: ["list", "ls"])
    @OptionGroup var stack: StackOptions
    @Argument(help: "Only these services.") var services: [String] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let runner = StackRunner(stack: try stack.stack(), global: global)
        let instances = try runner.instances().filter {
            services.isEmpty || services.contains($0.service)
        }
        let output = Output(options: global)
        let answer = JSONValue.array(
            try instances.map { try JSON.decode(JSONValue.self, from: JSON.encode($0.instance)) })
        try output.list(answer, names: instances.map(\.instance.name)) {
            InstanceTable.list(instances.map(\.instance), now: Now.seconds)
        }
    }
}

struct StackScale: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Change the number of instances of services.",
        discussion: "Example: isle stack scale compose.yaml web=3")
    @OptionGroup var stack: StackOptions
    @Argument(help: ArgumentHelp("Numbers.", valueName: "service=number")) var counts: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let wanted = try Self.counts(counts)
        let stack = try stack.stack()
        if let unknown = wanted.keys.sorted().first(where: { name in !stack.services.contains { $0.name == name } }) {
            throw UsageError("there is no service \(Quantity.quoted(unknown))")
        }
        try StackRunner(stack: stack, global: global).up(wanted.keys.sorted(), scale: wanted)
    }

    static func counts(_ texts: [String]) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for text in texts {
            let (name, value) = try KeyValue.pair(text, option: "the number")
            guard let count = Int(value), (0...1000).contains(count) else {
                throw UsageError("\(Quantity.quoted(text)) is no number of instances", hint: "write web=3")
            }
            counts[name] = count
        }
        return counts
    }
}

struct StackConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show the file with everything put in and merged.", aliases: ["convert"])
    @OptionGroup var stack: StackOptions
    @Flag(help: "Show the names of the services only.") var services = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let read = try stack.stack()
        let output = Output(options: global)
        if services { return output.lines(read.services.map(\.name)) }
        var document = try stack.load().0.document.objectValue ?? [:]
        document["name"] = .string(read.name)
        try output.value(.object(document))
    }
}
