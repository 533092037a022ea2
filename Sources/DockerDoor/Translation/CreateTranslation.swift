import Engine
import Model

/// Turns Docker's description of a container into the engine's: configuration keys and devices.
///
/// What cannot be honoured is refused by name; what takes no effect and harms nobody becomes a warning.
struct CreateTranslation {
    let body: ContainerBody
    let id: InstanceID
    let image: ImageRecord
    /// What the client called the image.
    let imageReference: String
    let names: NetworkNames
    /// Other containers that the request names, by what it calls them.
    let peers: [String: InstanceView]
    /// Of containers that it is linked to.
    let links: LinkTranslation
    /// What volumes of the request are with options of Docker's `local` driver, by name.
    let volumeOptions: [String: VolumeDriverOptions]
    /// Devices of the default profile, which the container's own replace.
    let profileDevices: [String: [String: String]]

    private(set) var warnings: [String] = []
    private(set) var config: [String: String] = [:]
    private(set) var devices: [String: [String: String]] = [:]
    private(set) var volumes: [String] = []

    init(
        body: ContainerBody, id: InstanceID, image: ImageRecord, imageReference: String, names: NetworkNames,
        peers: [String: InstanceView], links: LinkTranslation, volumeOptions: [String: VolumeDriverOptions],
        profileDevices: [String: [String: String]]
    ) throws {
        self.links = links
        self.volumeOptions = volumeOptions
        self.body = body
        self.id = id
        self.image = image
        self.imageReference = imageReference
        self.names = names
        self.peers = peers
        self.profileDevices = profileDevices
        try translate()
    }

    /// The kind of instance: a container, unless the runtime names another.
    var kind: InstanceKind {
        get throws {
            switch body.host.runtime {
            case "", "crun", "runc", "runsc", "io.containerd.runc.v2":
                return image.content == .module ? .module : .application
            case "io.containerd.wasmtime.v1", "wasmtime", "isle-module": return .module
            case "isle-system": return .system
            case "isle-machine": return .machine
            default:
                throw EngineError(
                    .invalidArgument, "unknown or invalid runtime name: \(body.host.runtime)",
                    hint: "one of " + Self.runtimes.joined(separator: ", "))
            }
        }
    }

    static let runtimes = ["crun", "runc", "runsc", "io.containerd.wasmtime.v1", "isle-system", "isle-machine"]

    private mutating func translate() throws {
        if let field = body.host.unsupported.first {
            throw EngineError(.unsupported, "HostConfig.\(field) is not offered by this engine")
        }
        try translateProcess()
        try translateHost()
        config.merge(try OptionTranslation(host: body.host, peers: peers, linked: links.hosts).config) { $1 }
        if let domain = body.domainname { config["oci.domainname"] = domain }
        if let health = body.health { config.merge(OptionTranslation.health(health)) { $1 } }
        config.merge(try SecurityTranslation(host: body.host, warnings: &warnings).config) { $1 }
        config.merge(try LimitTranslation.config(body.host.resources, warnings: &warnings)) { $1 }
        let exposed = Set(image.config.exposedPorts + body.exposedPorts)
        let network = try NetworkTranslation(
            body: body, exposed: exposed.sorted(), names: names, peers: peers, shortID: ContainerID.short(id),
            profileDevices: profileDevices)
        devices.merge(network.devices) { $1 }
        for (name, value) in links.variables where config["environment.\(name)"] == nil {
            config["environment.\(name)"] = value
        }
        let mounts = try MountTranslation(body, peers: peers, volumeOptions: volumeOptions)
        if let driver = body.host.volumeDriver, driver != "local", mounts.hasVolumes {
            throw EngineError(.notFound, "error looking up volume plugin \(driver): plugin \"\(driver)\" not found")
        }
        devices.merge(mounts.devices) { $1 }
        volumes = mounts.anonymous
    }

    private mutating func translateProcess() throws {
        // As dockerd merges them: an empty list says nothing, an entrypoint of one empty text takes the image's away.
        if let entrypoint = body.entrypoint, !entrypoint.isEmpty {
            config["oci.entrypoint"] = JSON.strings(entrypoint == [""] ? [] : entrypoint).text
        }
        if let command = body.command, !command.isEmpty { config["oci.cmd"] = JSON.strings(command).text }
        for entry in body.environment {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard !parts[0].isEmpty else {
                throw EngineError(.invalidArgument, "invalid environment variable: \(entry)")
            }
            // A name alone takes nothing away: Docker's own meaning, to unset a variable of the image, has no key here.
            guard parts.count == 2 else { continue }
            config["environment.\(parts[0])"] = String(parts[1])
        }
        if let user = body.user { config["oci.user"] = user }
        if let folder = body.workingDirectory {
            guard folder.hasPrefix("/") else {
                throw EngineError(
                    .invalidArgument, "the working directory '\(folder)' is invalid, it needs to be an absolute path")
            }
            config["oci.cwd"] = folder
        }
        if body.tty { config["oci.tty"] = "true" }
        if body.openStdin { config["oci.stdin"] = "true" }
        // A terminal has no end of input to pass on: whoever attaches after a detach goes on typing.
        if body.stdinOnce, !body.tty { config["oci.stdin_once"] = "true" }
        if let signal = body.stopSignal {
            guard Signals.number(signal) != nil else {
                throw EngineError(.invalidArgument, "invalid signal: \(signal)")
            }
            config["stop.signal"] = signal
        }
        // Never, in Docker's way to say it, is as long as there is.
        if let timeout = body.stopTimeout { config["stop.timeout"] = "\(timeout < 0 ? 31_536_000 : timeout)" }
        for (label, value) in body.labels {
            guard !label.isEmpty else { throw EngineError(.invalidArgument, "a label has no name") }
            config["user.\(label)"] = value
        }
    }

    private mutating func translateHost() throws {
        let host = body.host
        if try kind == .application, host.networkMode != "host", host.utsMode != "host" {
            var name = body.hostname ?? ContainerID.short(id)
            if let domain = body.domainname { name += "." + domain }
            config["hostname"] = name
        } else if let name = body.hostname {
            config["hostname"] = name
        }
        if let policy = try host.restart.policy {
            if host.autoRemove, policy != "no" {
                throw EngineError(.invalidArgument, "can't create 'AutoRemove' container with restart policy")
            }
            config["restart.policy"] = policy
        }
        switch host.logType {
        case "none": config["logs.driver"] = "none"
        case "", "json-file", "local":
            if let size = host.logOptions["max-size"] { config["logs.max_size"] = size }
            if let files = host.logOptions["max-file"] { config["logs.files"] = files }
        default:
            throw EngineError(
                .invalidArgument, "logger: no log driver named '\(host.logType)' is registered")
        }
        if host.runtime == "runsc" || host.runtime == "runc" { config["oci.runtime"] = host.runtime }
    }

    /// The request to the engine.
    func request(name: String?) throws -> CreateRequest {
        var request = CreateRequest(
            name: name, kind: try kind, image: imageReference, pull: .never, config: config, devices: devices,
            ephemeral: body.host.autoRemove)
        request.id = id
        request.naming = .relaxed
        request.volumes = volumes
        request.annotations = [
            Annotations.create: body.raw.text, Annotations.image: body.image ?? "",
            Annotations.network: body.host.networkMode,
        ]
        return request
    }
}

/// What the door keeps with an instance; the engine does not read it.
enum Annotations {
    /// The body of the create request.
    static let create = "docker.create"
    /// The image as the client named it.
    static let image = "docker.image"
    /// `NetworkMode`.
    static let network = "docker.network"
}
