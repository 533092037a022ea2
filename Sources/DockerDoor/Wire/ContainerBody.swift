import Model

/// The body of `POST /containers/create`: the container's own configuration, with `HostConfig` and `NetworkingConfig`.
struct ContainerBody: Sendable {
    var image: String?
    var command: [String]?
    var entrypoint: [String]?
    var environment: [String]
    var user: String?
    var workingDirectory: String?
    var hostname: String?
    var domainname: String?
    var tty: Bool
    var openStdin: Bool
    var stdinOnce: Bool
    var labels: [String: String]
    var volumes: [String]
    var exposedPorts: [String]
    var stopSignal: String?
    var stopTimeout: Int64?
    var networkDisabled: Bool
    var macAddress: String?
    var health: HealthBody?
    var host: HostBody
    /// Networks to connect to, the one of `NetworkMode` among them or not.
    var endpoints: [(network: String, endpoint: EndpointBody)]
    /// As it was sent, for inspect.
    var raw: JSON

    init(_ body: Fields) throws {
        raw = body.json
        image = try body.text("Image")
        command = try body.command("Cmd")
        entrypoint = try body.command("Entrypoint")
        environment = try body.strings("Env")
        user = try body.text("User")
        workingDirectory = try body.text("WorkingDir")
        hostname = try body.text("Hostname")
        domainname = try body.text("Domainname")
        tty = try body.bool("Tty")
        openStdin = try body.bool("OpenStdin")
        stdinOnce = try body.bool("StdinOnce")
        labels = try body.texts("Labels")
        volumes = try body.names("Volumes")
        exposedPorts = try body.names("ExposedPorts")
        stopSignal = try body.text("StopSignal")
        stopTimeout = try body.integer("StopTimeout")
        networkDisabled = try body.bool("NetworkDisabled")
        macAddress = try body.text("MacAddress")
        health = try HealthBody(body.object("Healthcheck"))
        host = try HostBody(body.object("HostConfig"))
        endpoints = try body.object("NetworkingConfig").map("EndpointsConfig").map {
            ($0.key, try EndpointBody($0.fields))
        }
        // Checked for their types alone: they say how the client attaches.
        for key in ["AttachStdin", "AttachStdout", "AttachStderr", "ArgsEscaped"] { _ = try body.bool(key) }
        _ = try body.strings("OnBuild")
        _ = try body.command("Shell")
    }
}

/// A health check; durations in nanoseconds.
struct HealthBody: Sendable {
    var test: [String]
    var interval: Int64?
    var timeout: Int64?
    var startPeriod: Int64?
    var startInterval: Int64?
    var retries: Int64?

    /// nil if nothing is said.
    init?(_ fields: Fields) throws {
        guard !fields.json.members.isEmpty else { return nil }
        test = try fields.strings("Test")
        interval = try fields.amount("Interval")
        timeout = try fields.amount("Timeout")
        startPeriod = try fields.amount("StartPeriod")
        startInterval = try fields.amount("StartInterval")
        retries = try fields.amount("Retries")
        for (name, value) in [("Interval", interval), ("Timeout", timeout), ("StartPeriod", startPeriod)] {
            if let value, value < 1_000_000 {
                throw EngineError(.invalidArgument, "\(name) in Healthcheck cannot be less than 1ms")
            }
        }
    }
}

/// How a container is on one network.
struct EndpointBody: Sendable {
    var aliases: [String]
    var ipv4: String?
    var ipv6: String?
    var mac: String?
    /// `container:alias`.
    var links: [String]
    /// Options of Docker's bridge driver: kept and shown, without effect.
    var driverOptions: [String: String]
    /// The network with the highest has the default route.
    var gatewayPriority: Int64?

    init(_ fields: Fields) throws {
        aliases = try fields.strings("Aliases")
        links = try fields.strings("Links")
        driverOptions = try fields.texts("DriverOpts")
        mac = try fields.text("MacAddress")
        gatewayPriority = try fields.amount("GwPriority")
        let addresses = try fields.object("IPAMConfig")
        ipv4 = try addresses.text("IPv4Address")
        ipv6 = try addresses.text("IPv6Address")
    }

    init() {
        aliases = []
        links = []
        driverOptions = [:]
    }
}
