import DriverKit
import Engine
import Model

/// What one host gives a container beside limits, mounts and networks, as configuration keys.
struct OptionTranslation {
    private(set) var config: [String: String] = [:]

    /// - Parameters:
    ///   - peers: other containers that the request names.
    ///   - linked: names of containers that it is linked to, with their addresses.
    init(host: HostBody, peers: [String: InstanceView], linked: [String]) throws {
        for limit in host.ulimits {
            func text(_ value: Int64) -> String { value < 0 ? "unlimited" : "\(value)" }
            config["limits.kernel.\(limit.name)"] = "\(text(limit.soft)):\(text(limit.hard))"
        }
        for (name, value) in host.sysctls { config["linux.sysctl.\(name)"] = value }
        if let size = host.shmSize { config["oci.shm_size"] = "\(size)" }
        if host.usesInit { config["oci.init"] = "true" }
        if let score = host.oomScoreAdj { config["oci.oom_score_adj"] = "\(score)" }
        for (key, list) in [
            ("oci.groups", host.groupAdd), ("oci.dns.servers", host.dns), ("oci.dns.search", host.dnsSearch),
            ("oci.dns.options", host.dnsOptions),
        ] where !list.isEmpty { config[key] = list.joined(separator: ",") }
        let hosts = try host.extraHosts.map(Self.host) + linked
        if !hosts.isEmpty { config["oci.hosts"] = hosts.joined(separator: ",") }
        config["oci.pid"] = try Self.namespace(host.pidMode, "PID", ["host"], peers)
        config["oci.ipc"] = try Self.namespace(
            host.ipcMode, "IPC", ["host", "private", "shareable", "none"], peers)
        config["oci.uts"] = try Self.namespace(host.utsMode, "UTS", ["host"], peers)
        guard ["", "private"].contains(host.cgroupnsMode) else {
            throw EngineError(.unsupported, "CgroupnsMode '\(host.cgroupnsMode)' is not offered by this engine")
        }
    }

    /// `name:address` or `name=address`; an IPv6 address may stand in brackets.
    private static func host(_ text: String) throws -> String {
        guard let end = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
            throw EngineError(.invalidArgument, "bad format for add-host: \"\(text)\"")
        }
        let address = text[text.index(after: end)...].filter { $0 != "[" && $0 != "]" }
        guard address == "host-gateway" || IPAddress(address) != nil else {
            throw EngineError(.invalidArgument, "invalid IP address in add-host: \"\(address)\"")
        }
        return "\(text[..<end])=\(address)"
    }

    /// The value of a namespace key; nil for the default.
    private static func namespace(
        _ mode: String, _ what: String, _ words: [String], _ peers: [String: InstanceView]
    ) throws -> String? {
        if mode.isEmpty { return nil }
        if mode.hasPrefix("container:"), what != "UTS" {
            guard let peer = peers[String(mode.dropFirst(10))] else {
                throw ContainerFinder.missing(String(mode.dropFirst(10)))
            }
            return "instance:\(peer.record.name)"
        }
        guard words.contains(mode) || (what == "PID" && mode == "private") else {
            throw EngineError(.invalidArgument, "invalid \(what) mode: \(mode)")
        }
        return what == "PID" && mode == "private" ? nil : mode
    }

    /// Names of other containers in a create request.
    static func peers(of body: ContainerBody) -> Set<String> {
        var names = Set<String>()
        for mode in [body.host.networkMode, body.host.pidMode, body.host.ipcMode] where mode.hasPrefix("container:") {
            names.insert(String(mode.dropFirst(10)))
        }
        for text in body.host.volumesFrom {
            names.insert(text.split(separator: ":").first.map(String.init) ?? text)
        }
        return names
    }

    static func health(_ health: HealthBody) -> [String: String] {
        var config: [String: String] = [:]
        if !health.test.isEmpty { config["health.test"] = JSON.strings(health.test).text }
        for (key, value) in [
            ("health.interval", health.interval), ("health.timeout", health.timeout),
            ("health.start_period", health.startPeriod), ("health.start_interval", health.startInterval),
        ] {
            if let value { config[key] = "\(Double(value) / 1e9)" }
        }
        if let retries = health.retries { config["health.retries"] = "\(retries)" }
        return config
    }
}
