import DriverKit
import Engine
import Model

/// An instance in Docker's terms: what list, inspect and events have in common.
struct ContainerFacts: Sendable {
    let view: InstanceView
    /// nil if the image is gone, or there never was one.
    let image: ImageRecord?
    let names: NetworkNames

    var record: InstanceRecord { view.record }
    var id: String { ContainerID.full(record.id) }
    private var config: [String: String] { view.expanded.config }

    /// The image as the client named it, or as the instance was made.
    var imageName: String {
        if let asked = record.annotations?[Annotations.image], !asked.isEmpty { return asked }
        return record.imageReference.map { ImageNames.familiar($0, among: []) } ?? ""
    }

    /// Labels of the image and, over them, the instance's `user.` keys.
    var labels: [String: String] {
        var labels = image?.config.labels ?? [:]
        for (key, value) in record.config where key.hasPrefix("user.") { labels[String(key.dropFirst(5))] = value }
        return labels
    }

    var entrypoint: [String]? {
        guard let own = config["oci.entrypoint"].map(Self.words) else { return image?.config.entrypoint }
        return own
    }

    var command: [String] {
        if let own = config["oci.cmd"].map(Self.words) { return own }
        return config["oci.entrypoint"] == nil ? image?.config.cmd ?? [] : []
    }

    /// Program and arguments.
    var arguments: [String] {
        let all = (entrypoint ?? []) + command
        if all.isEmpty, record.kind == .system || record.kind == .machine { return ["/sbin/init"] }
        return all
    }

    var environment: [String] {
        var order: [String] = []
        var values: [String: String] = [:]
        let own = config.filter { $0.key.hasPrefix("environment.") }.sorted { $0.key < $1.key }
            .map { "\($0.key.dropFirst(12))=\($0.value)" }
        for entry in (image?.config.env ?? []) + own {
            let name = String(entry.prefix { $0 != "=" })
            if values.updateValue(entry, forKey: name) == nil { order.append(name) }
        }
        return order.compactMap { values[$0] }
    }

    var hasTerminal: Bool {
        config["oci.tty"].map { $0 == "true" } ?? (record.kind == .system || record.kind == .machine)
    }

    var opensInput: Bool { config["oci.stdin"].map { $0 == "true" } ?? hasTerminal }

    /// A JSON array, or words with spaces between, as configuration keys have them.
    static func words(_ text: String) -> [String] {
        guard text.hasPrefix("["), let list = try? JSONParser.parse(text.utf8) else {
            return text.split(separator: " ").map(String.init)
        }
        return list.elements.compactMap(\.string)
    }

    // MARK: state

    /// One of Docker's words.
    var state: String {
        switch view.status {
        case .running, .stopping: return "running"
        case .frozen: return "paused"
        case .starting: return "created"
        case .error: return "dead"
        case .stopped:
            if record.lastUsedAt == 0 { return "created" }
            return record.wantsRunning && record.lastExit != nil ? "restarting" : "exited"
        }
    }

    /// As `docker ps` shows it.
    func status(now: Double) -> String {
        let code = record.lastExit?.code ?? 0
        switch state {
        case "running", "paused":
            let up = "Up \(Self.span(now - (view.startedAt ?? now)))"
            return state == "paused" ? up + " (Paused)" : up + healthSuffix
        case "restarting": return "Restarting (\(code)) \(Self.span(now - (record.lastExit?.finishedAt ?? now))) ago"
        case "exited": return "Exited (\(code)) \(Self.span(now - (record.lastExit?.finishedAt ?? now))) ago"
        case "dead": return "Dead"
        default: return "Created"
        }
    }

    /// `healthy`, `unhealthy`, `starting`, or `none` without a check.
    var health: String { record.health?.status.rawValue ?? "none" }

    private var healthSuffix: String {
        health == "none" ? "" : health == "starting" ? " (health: starting)" : " (\(health))"
    }

    /// Docker's words for a span (go-units, HumanDuration).
    static func span(_ seconds: Double) -> String {
        let whole = Int(max(0, min(seconds, 1e12)))
        let (minutes, hours) = (whole / 60, Int((max(0, min(seconds, 1e12)) / 3600).rounded()))
        switch whole {
        case ..<1: return "Less than a second"
        case 1: return "1 second"
        case ..<60: return "\(whole) seconds"
        case ..<120: return "About a minute"
        case ..<3600 where minutes < 46: return "\(minutes) minutes"
        default: break
        }
        switch hours {
        case ...1: return "About an hour"
        case ..<48: return "\(hours) hours"
        case ..<(24 * 7 * 2): return "\(hours / 24) days"
        case ..<(24 * 30 * 2): return "\(hours / 24 / 7) weeks"
        case ..<(24 * 365 * 2): return "\(hours / 24 / 30) months"
        default: return "\(hours / 24 / 365) years"
        }
    }

    // MARK: parts that list and inspect both show

    /// `NetworkMode` as it was asked for, else what the devices amount to.
    var networkMode: String {
        if let asked = record.annotations?[Annotations.network] { return asked }
        let nics = view.expanded.devices.values.filter { $0["type"] == "nic" }
        if nics.contains(where: { $0["nictype"] == "host" }) { return "host" }
        guard let network = nics.compactMap({ $0["network"] ?? $0["parent"] }).min() else { return "none" }
        return names.dockerName(network)
    }

    var networks: JSON {
        let mode = networkMode
        if mode == "host" || mode == "none" {
            return .object([JSON.Member(key: mode, value: Self.noEndpoint(mode))])
        }
        let reserved = view.endpoints.map { endpoint in
            JSON.Member(key: names.dockerName(endpoint.network), value: self.endpoint(endpoint))
        }
        // Before its first start a container has no addresses yet, but it is on its networks.
        let waiting = view.expanded.devices.values.compactMap { device -> JSON.Member? in
            guard device["type"] == "nic", let network = device["network"] ?? device["parent"],
                !view.endpoints.contains(where: { $0.network == network })
            else { return nil }
            let aliases = (device["aliases"] ?? "").split(separator: ",").map(String.init)
            let nothing = Self.noEndpoint(network, shown(aliases, network))
            return JSON.Member(key: names.dockerName(network), value: nothing.merging(EndpointNotes.shown(device)))
        }
        return .object(reserved + waiting.sorted { $0.key < $1.key })
    }

    /// Aliases on a network of the user's own, with the short id among them, by which Compose finds that it is
    /// connected as it wants; the standard network has none.
    private func shown(_ aliases: [String], _ network: String) -> [String]? {
        network == names.standard ? nil : aliases + [ContainerID.short(record.id)].filter { !aliases.contains($0) }
    }

    private static func noEndpoint(_ name: String, _ aliases: [String]? = nil) -> JSON {
        [
            "IPAMConfig": nil, "Links": nil, "Aliases": aliases.map { .strings($0) } ?? .null, "MacAddress": "",
            "DriverOpts": nil,
            "NetworkID": .string(ContainerID.of(name: name)), "EndpointID": "", "Gateway": "", "IPAddress": "",
            "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": nil,
        ]
    }

    private func endpoint(_ endpoint: NetworkEndpoint) -> JSON {
        // Addresses are reserved for ever here; Docker shows them only while it runs.
        let runs = view.pid != nil
        let device = view.expanded.devices.first { $0.key == endpoint.device || $0.value["name"] == endpoint.device }
        var fixed: [JSON.Member] = []
        if let address = device?.value["ipv4.address"] {
            fixed.append(.init(key: "IPv4Address", value: .string(address)))
        }
        if let address = device?.value["ipv6.address"] {
            fixed.append(.init(key: "IPv6Address", value: .string(address)))
        }
        let isOwn = endpoint.network != names.standard
        let dns = [record.name] + endpoint.aliases + [ContainerID.short(record.id)]
        return [
            "IPAMConfig": fixed.isEmpty ? .null : .object(fixed), "Links": EndpointNotes.links(device?.value ?? [:]),
            "Aliases": shown(endpoint.aliases, endpoint.network).map { .strings($0) } ?? .null,
            "MacAddress": .string(runs ? endpoint.mac : device?.value["hwaddr"] ?? ""),
            "DriverOpts": EndpointNotes.options(device?.value ?? [:]), "GwPriority": 0,
            "NetworkID": .string(ContainerID.of(name: endpoint.network)),
            "EndpointID": .string(runs ? ContainerID.of(name: endpoint.network + "/" + id) : ""),
            "Gateway": .string(runs ? endpoint.gateway4 ?? "" : ""),
            "IPAddress": .string(runs ? endpoint.ipv4 ?? "" : ""),
            "IPPrefixLen": .integer(runs && endpoint.ipv4 != nil ? Int64(endpoint.prefixLength4) : 0),
            "IPv6Gateway": .string(runs ? endpoint.gateway6 ?? "" : ""),
            "GlobalIPv6Address": .string(runs ? endpoint.ipv6 ?? "" : ""),
            "GlobalIPv6PrefixLen": .integer(runs && endpoint.ipv6 != nil ? Int64(endpoint.prefixLength6) : 0),
            "DNSNames": isOwn ? .strings(dns) : nil,
        ]
    }

    /// Published ports: guest port as `80/tcp`, with address and port of the host. While it runs, those in force.
    var publishedPorts: [(guest: String, address: String, port: String)] {
        if view.pid != nil {
            return view.endpoints.flatMap(\.ports).map {
                ("\($0.guestPort)/\($0.transport.rawValue)", $0.hostAddress, "\($0.hostPort)")
            }
        }
        return view.expanded.devices.sorted { $0.key < $1.key }.compactMap { _, device in
            guard device["type"] == "proxy", let listen = device["listen"], let connect = device["connect"],
                let first = listen.firstIndex(of: ":"), let last = listen.lastIndex(of: ":"), first < last,
                let guest = connect.split(separator: ":").last
            else { return nil }
            let address = listen[listen.index(after: first)..<last].filter { $0 != "[" && $0 != "]" }
            return ("\(guest)/\(listen[..<first])", address, String(listen[listen.index(after: last)...]))
        }
    }

    /// Ports that image or container expose, published or not.
    var exposedPorts: [String] {
        var ports = Set(image?.config.exposedPorts ?? [])
        for port in publishedPorts { ports.insert(port.guest) }
        if let text = record.annotations?[Annotations.create], let asked = try? JSONParser.parse(text.utf8) {
            for member in asked["ExposedPorts"].members { ports.insert(member.key) }
        }
        return ports.map { $0.contains("/") ? $0 : $0 + "/tcp" }.sorted()
    }

    func mounts(_ layout: HostLayout) -> [JSON] {
        view.expanded.devices.sorted { $0.key < $1.key }.compactMap { _, device -> JSON? in
            guard device["type"] == "disk", let source = device["source"], let target = device["path"], target != "/"
            else { return nil }
            if source == "tmpfs:", device[VolumeDriverOptions.note] == nil {
                return [
                    "Type": "tmpfs", "Source": "", "Destination": .string(target), "Mode": "",
                    "RW": .bool(device["readonly"] != "true"), "Propagation": "",
                ]
            }
            let writable = device["readonly"] != "true"
            if let name = device[VolumeDriverOptions.note] {
                return [
                    "Type": "volume", "Name": .string(name), "Source": .string(source), "Destination": .string(target),
                    "Driver": "local", "Mode": .string(writable ? "z" : "ro"), "RW": .bool(writable), "Propagation": "",
                ]
            }
            let mode = writable ? "" : "ro"
            if device["pool"] != nil {
                return [
                    "Type": "volume", "Name": .string(source),
                    "Source": .string(layout.volume(source, project: record.project)), "Destination": .string(target),
                    "Driver": "local", "Mode": .string(writable ? "z" : "ro"), "RW": .bool(writable), "Propagation": "",
                ]
            }
            return [
                "Type": "bind", "Source": .string(source), "Destination": .string(target), "Mode": .string(mode),
                "RW": .bool(writable), "Propagation": "rprivate",
            ]
        }
    }
}
