import DriverKit
import Model

/// Works out the launch plan of an instance from its record, its merged configuration and its image. Pure.
struct PlanBuilder {
    let record: InstanceRecord
    let merged: MergedConfig
    let image: ImageRecord?
    let layout: HostLayout
    /// Bytes of memory of the host.
    let hostMemory: Int64

    func plan(
        root: RootSource, identity: IDRange?, network: NetworkMode, disks: [MountSpec],
        options: ContainerOptions = ContainerOptions()
    ) throws -> LaunchPlan {
        let security = merged.security
        var log = LogOptions(path: layout.log(of: record.id))
        if let size = merged.config["logs.max_size"].flatMap(Units.bytes) { log.maxSize = size }
        if let files = merged.config["logs.files"].flatMap(Int.init) { log.files = files }
        if merged.config["logs.driver"] == "none" { log.path = "" }
        var plan = LaunchPlan(
            id: record.id, name: record.name, kind: record.kind,
            hostname: merged.config["hostname"] ?? record.name, root: root, process: try process(),
            identity: security.privileged || options.sharesUsers ? nil : identity, mounts: disks, network: network,
            limits: try merged.limits(hostMemory: hostMemory),
            security: SecurityOptions(
                privileged: security.privileged, nesting: security.nesting, readOnlyRoot: security.readOnlyRoot,
                noNewPrivileges: security.noNewPrivileges ?? (record.kind != .system),
                addCapabilities: security.add, dropCapabilities: security.drop, seccomp: security.seccomp),
            stdio: stdio, log: log, runDirectory: layout.run(of: record.id),
            stateDirectory: layout.state(of: record.id), config: merged.config, devices: merged.devices)
        plan.options = options
        return plan
    }

    /// Program, arguments and environment of the first process: the instance's keys over the image's.
    ///
    /// As with Docker, an entrypoint of the instance's own drops the image's command. Empty arguments for a machine
    /// mean that the image's own init boots.
    func process() throws -> ProcessSpec {
        let entrypoint = merged.config["oci.entrypoint"].flatMap(CommandLineText.parse)
        let command = merged.config["oci.cmd"].flatMap(CommandLineText.parse)
        var arguments = (entrypoint ?? image?.config.entrypoint ?? [])
        arguments += command ?? (entrypoint == nil ? image?.config.cmd ?? [] : [])
        let isOwn = entrypoint != nil || command != nil
        switch record.kind {
        case .system where !isOwn && image?.hasInit != true: arguments = ["/sbin/init"]
        case .machine where !isOwn && image?.hasInit == true: arguments = []
        case .machine where image?.content == .disk: arguments = []
        case .module: arguments = (entrypoint ?? []) + (command ?? [])
        case .application where arguments.isEmpty:
            throw EngineError(
                .invalidArgument, "instance \(Names.quoted(record.name)) has no program to run",
                hint: "its image names none: give a command after the image's name, or --entrypoint")
        default: break
        }
        var process = surroundings()
        process.arguments = arguments
        return process
    }

    /// What every process of the instance begins with, further ones too: environment, folder and user; no program.
    func surroundings() -> ProcessSpec {
        var environment: [String] = []
        if record.kind != .module { environment = image?.config.env ?? [] }
        environment += merged.config.filter { $0.key.hasPrefix("environment.") }.sorted { $0.key < $1.key }
            .map { "\($0.key.dropFirst("environment.".count))=\($0.value)" }
        return ProcessSpec(
            arguments: [], environment: Self.lastWins(environment),
            workingDirectory: merged.config["oci.cwd"]
                ?? image?.config.workingDirectory.flatMap { $0.isEmpty ? nil : $0 },
            user: record.kind == .system
                ? nil : merged.config["oci.user"] ?? image?.config.user.flatMap { $0.isEmpty ? nil : $0 })
    }

    private var stdio: StdioOptions {
        // The console of a machine or a system container is a terminal; an application has one on request.
        let terminal = merged.flag("oci.tty") ?? (record.kind == .system || record.kind == .machine)
        return StdioOptions(
            terminal: terminal, openStdin: merged.flag("oci.stdin") ?? terminal,
            stdinOnce: merged.flag("oci.stdin_once") ?? false)
    }

    /// What asks the instance to end: its key, the image's stop signal, else nil for the driver's own way.
    var stopSignal: String? {
        merged.config["stop.signal"]
            ?? (record.kind == .application || record.kind == .module ? image?.config.stopSignal : nil)
    }

    /// Keeps the last of several settings of the same variable, at the place of the first.
    static func lastWins(_ environment: [String]) -> [String] {
        var order: [String] = []
        var values: [String: String] = [:]
        for entry in environment {
            let name = String(entry.prefix { $0 != "=" })
            if values.updateValue(entry, forKey: name) == nil { order.append(name) }
        }
        return order.compactMap { values[$0] }
    }
}
