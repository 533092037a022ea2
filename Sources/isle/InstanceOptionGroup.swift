import ArgumentParser
import CLIKit

/// Options of run, launch and create.
struct InstanceOptionGroup: ParsableArguments {
    @Flag(help: "Run it as a virtual machine.") var vm = false
    @Flag(help: "Run it as a system container, with the image's own init.") var system = false
    @Flag(help: "Run it as an application container.") var app = false
    @Option(help: "The instance's name; else one is made up.") var name: String?
    @Flag(name: [.customLong("rm"), .customLong("ephemeral")], help: "Delete it when it stops.") var ephemeral = false
    @Flag(name: .shortAndLong, help: "Keep standard input open.") var interactive = false
    @Flag(name: .shortAndLong, help: "Give it a terminal.") var tty = false
    @Option(
        name: [.short, .customLong("env")],
        help: ArgumentHelp("Set an environment variable; NAME alone takes the value here.", valueName: "name=value"))
    var environment: [String] = []
    @Option(help: ArgumentHelp("Read environment variables from a file.", valueName: "file"), completion: .file())
    var envFile: [String] = []
    @Option(
        name: [.customShort("w"), .customLong("workdir"), .customLong("cwd")], help: "Working folder of the program.")
    var workdir: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("User and group of the program.", valueName: "user[:group]"))
    var user: String?
    @Option(help: "Program in place of the image's entrypoint.") var entrypoint: String?
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Publish a port, on 127.0.0.1 unless an address is given.", valueName: "[addr:]host:guest[/udp]"))
    var publish: [String] = []
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Mount a folder of the host or a named volume.", valueName: "src:dst[:ro]"))
    var volume: [String] = []
    @Option(help: ArgumentHelp("Grant a module a folder.", valueName: "host::guest[:ro]")) var dir: [String] = []
    @Option(
        name: [.customLong("net"), .customLong("network")],
        help: ArgumentHelp("none, host, default, or a network's name.", valueName: "mode"),
        completion: Completions.networks)
    var network: String?
    @Option(help: "Host name inside; else the instance's name.") var hostname: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("Set a label.", valueName: "key=value")) var label: [String] = []
    @Option(
        help: ArgumentHelp("no, on-failure[:N], always or unless-stopped.", valueName: "policy"),
        completion: .list(["no", "on-failure", "always", "unless-stopped"]))
    var restart: String?
    @Option(help: ArgumentHelp("Processors: 2, 0.5, or a set as 0-1.", valueName: "number")) var cpus: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("Memory limit: 512MiB, 2g.", valueName: "size")) var memory: String?
    @Option(help: ArgumentHelp("Most processes and threads.", valueName: "number")) var pidsLimit: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("Set any configuration key, as with LXD.", valueName: "key=value"))
    var config: [String] = []
    @Option(
        name: [.customShort("D"), .long],
        help: ArgumentHelp("Add any device, as with LXD.", valueName: "name,key=value…"))
    var device: [String] = []
    @Option(help: "A profile in place of 'default'; repeatable.", completion: Completions.profiles) var profile:
        [String] = []
    @Flag(help: "Root inside is root on the host. Dangerous.") var privileged = false
    @Option(help: ArgumentHelp("Add a capability.", valueName: "cap")) var capAdd: [String] = []
    @Option(help: ArgumentHelp("Drop a capability, or ALL.", valueName: "cap")) var capDrop: [String] = []
    @Flag(help: "The root filesystem cannot be written.") var readOnly = false
    @Option(help: ArgumentHelp("seccomp=default, seccomp=unconfined or seccomp=FILE.", valueName: "option"))
    var securityOpt: [String] = []
    @Option(help: ArgumentHelp("OCI runtime: crun, runc, runsc.", valueName: "name")) var runtime: String?
    @Option(help: "Fetch the image: missing, always or never.", completion: .list(["missing", "always", "never"]))
    var pull: PullPolicy?
    @Flag(help: "Start it with the daemon.") var autostart = false
    @Option(help: ArgumentHelp("Time from the stop signal to the kill.", valueName: "time")) var stopTimeout: String?
    @Option(help: ArgumentHelp("Signal that asks it to stop.", valueName: "signal")) var stopSignal: String?
    @Option(help: ArgumentHelp("Size of the root disk.", valueName: "size")) var disk: String?
    @Option(help: ArgumentHelp("Instructions that a module may execute.", valueName: "number")) var fuel: String?
    @Option(help: ArgumentHelp("Wall time that a module may take.", valueName: "time")) var timeout: String?

    @OptionGroup(title: "Container options") var container: ContainerOptionGroup

    enum PullPolicy: String, ExpressibleByArgument, CaseIterable { case missing, always, never }

    func validate() throws {
        if [vm, system, app].filter({ $0 }).count > 1 {
            throw ValidationError("--vm, --system and --app exclude each other")
        }
    }

    /// The options as CLIKit translates them.
    func options(image: String, command: [String]) throws -> InstanceOptions {
        var options = InstanceOptions()
        options.image = image
        options.name = name
        options.kind = vm ? "machine" : system ? "system" : app ? "application" : nil
        var settings: [String] = []
        for path in envFile { settings += KeyValue.environmentFile(try LocalFile.text(path, "--env-file")) }
        options.environment = try KeyValue.environment(settings + environment) { Environment[$0] }
        options.workingDirectory = workdir
        options.user = user
        options.entrypoint = entrypoint
        options.command = command
        options.publish = publish
        options.volumes = volume
        options.directories = dir
        options.network = network
        options.hostname = hostname
        options.labels = label
        options.restart = restart
        options.cpus = cpus
        options.memory = memory
        options.pidsLimit = pidsLimit
        options.config = config
        options.devices = device
        options.profiles = profile
        options.ephemeral = ephemeral
        options.privileged = privileged
        options.addCapabilities = capAdd
        options.dropCapabilities = capDrop
        options.readOnly = readOnly
        options.securityOptions = securityOpt
        options.runtime = runtime
        options.pull = pull?.rawValue
        options.autostart = autostart
        options.stopTimeout = stopTimeout
        options.stopSignal = stopSignal
        options.disk = disk
        options.terminal = tty
        options.input = interactive
        options.flags = container.flags
        options.isBlockDevice = LocalFile.isBlockDevice
        options.fuel = fuel
        options.timeout = timeout
        options.currentDirectory = Environment.currentDirectory
        options.home = Environment["HOME"]
        options.readFile = { path, option throws(UsageError) in try LocalFile.text(path, option) }
        return options
    }
}
