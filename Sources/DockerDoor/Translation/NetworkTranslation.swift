import Engine
import Model

/// `NetworkMode`, `EndpointsConfig` and ports as nic and proxy devices.
struct NetworkTranslation {
    private(set) var devices: [String: [String: String]] = [:]

    init(
        body: ContainerBody, exposed: [String], names: NetworkNames, peers: [String: InstanceView], shortID: String,
        profileDevices: [String: [String: String]]
    ) throws {
        // The default profile's interfaces are replaced by what is asked for here.
        for (name, device) in profileDevices where device["type"] == "nic" { devices[name] = ["type": "none"] }
        let mode = body.networkDisabled ? "none" : body.host.networkMode
        switch mode {
        case "none": devices["eth0"] = ["type": "none"]
        case "host": devices["eth0"] = ["type": "nic", "nictype": "host"]
        case _ where mode.hasPrefix("container:"):
            guard let peer = peers[String(mode.dropFirst(10))] else {
                throw ContainerFinder.missing(String(mode.dropFirst(10)))
            }
            devices["eth0"] = ["type": "nic", "nictype": "instance", "parent": peer.record.name]
        default:
            try connect(body, mode, names, shortID)
            try publish(body, exposed)
        }
        if mode == "host" || mode == "none", let other = body.endpoints.first(where: { $0.network != mode }) {
            throw EngineError(
                .invalidArgument,
                "container cannot be connected to network '\(other.network)' with NetworkMode '\(mode)'")
        }
    }

    private mutating func connect(_ body: ContainerBody, _ mode: String, _ names: NetworkNames, _ shortID: String)
        throws
    {
        var endpoints: [(network: String, endpoint: EndpointBody)] = []
        let first = try names.engineName(mode)
        for (name, endpoint) in body.endpoints {
            let network = try names.engineName(name)
            if network == first {
                endpoints.insert((network, endpoint), at: 0)
            } else {
                endpoints.append((network, endpoint))
            }
        }
        if endpoints.first?.network != first { endpoints.insert((first, EndpointBody()), at: 0) }
        for (index, (network, endpoint)) in endpoints.enumerated() {
            devices["eth\(index)"] = Self.nic(
                network, endpoint, name: "eth\(index)", mac: index == 0 ? body.macAddress : nil,
                // On networks of their own containers also go by the short id.
                aliases: network == names.standard ? [] : [shortID])
        }
    }

    /// The keys of an interface.
    static func nic(_ network: String, _ endpoint: EndpointBody, name: String, mac: String?, aliases: [String])
        -> [String: String]
    {
        var device = ["type": "nic", "network": network, "name": name]
        device["ipv4.address"] = endpoint.ipv4
        device["ipv6.address"] = endpoint.ipv6
        device["hwaddr"] = endpoint.mac ?? mac
        let all = endpoint.aliases + aliases.filter { !endpoint.aliases.contains($0) }
        if !all.isEmpty { device["aliases"] = all.joined(separator: ",") }
        if let priority = endpoint.gatewayPriority { device["gateway.priority"] = "\(priority)" }
        return device.merging(EndpointNotes.keys(endpoint)) { own, _ in own }
    }

    private mutating func publish(_ body: ContainerBody, _ exposed: [String]) throws {
        var bindings = body.host.portBindings
        if body.host.publishAllPorts {
            for port in exposed where !bindings.contains(where: { $0.port == port }) {
                bindings.append((port, [PortBindingBody(address: "", port: "")]))
            }
        }
        var taken = Set<String>()
        for (text, list) in bindings {
            let port = try GuestPort(text)
            for binding in list.isEmpty ? [PortBindingBody(address: "", port: "")] : list {
                let address = binding.address.isEmpty ? "0.0.0.0" : binding.address
                guard let parsed = IPAddress(address) else {
                    throw EngineError(.invalidArgument, "invalid IP address in add: \(address)")
                }
                let hostPort = try HostPort.choose(binding.port, parsed, port.transport, taken: &taken)
                let shown = parsed.family == .v6 ? "[\(parsed)]" : "\(parsed)"
                devices["port\(devices.count)"] = [
                    "type": "proxy", "listen": "\(port.transport):\(shown):\(hostPort)",
                    "connect": "\(port.transport):\(parsed.family == .v6 ? "[::1]" : "127.0.0.1"):\(port.number)",
                ]
            }
        }
    }
}

/// `80/tcp`.
struct GuestPort: Hashable {
    var number: UInt16
    var transport: String

    init(_ text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let transport = parts.count > 1 ? parts[1].lowercased() : "tcp"
        guard (1...2).contains(parts.count), let number = UInt16(parts[0]), number > 0 else {
            throw EngineError(.invalidArgument, "invalid port specification: \"\(text)\"")
        }
        guard transport == "tcp" || transport == "udp" else {
            throw EngineError(
                transport == "sctp" ? .unsupported : .invalidArgument,
                "the protocol of port \(text) is not offered here")
        }
        self.number = number
        self.transport = transport
    }
}

/// Docker's names of networks and the engine's: `bridge` is the standard one.
struct NetworkNames: Sendable {
    let standard: String
    let existing: Set<String>

    /// By name or by the id that the door gives it. `notFound` if there is none.
    func engineName(_ name: String) throws -> String {
        if ["default", "bridge", ""].contains(name) { return standard }
        if existing.contains(name) { return name }
        if ContainerID.isHexadecimal(name),
            let match = existing.first(where: { ContainerID.of(name: $0).hasPrefix(name) })
        {
            return match
        }
        throw EngineError(.notFound, "network \(name) not found")
    }

    func dockerName(_ name: String) -> String { name == standard ? "bridge" : name }
}
