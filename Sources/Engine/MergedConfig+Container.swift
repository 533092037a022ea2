import DriverKit
import Model

extension MergedConfig {
    /// What the keys say about a container beyond what every kind has; namespaces and devices are added by whoever
    /// knows other instances and the host. The values were checked when they were set.
    func containerOptions(gateway: String?) throws -> ContainerOptions {
        var options = ContainerOptions()
        for (key, value) in config {
            if key.hasPrefix("limits.kernel."), let pair = OptionForms.limitPair(value) {
                options.limits[String(key.dropFirst("limits.kernel.".count))] = KernelLimit(
                    soft: pair.soft, hard: pair.hard)
            } else if key == "linux.sysctl.kernel.domainname" {
                options.domainName = value
            } else if key.hasPrefix("linux.sysctl.") {
                options.sysctls[String(key.dropFirst("linux.sysctl.".count))] = value
            }
        }
        options.sharedMemory = config["oci.shm_size"].flatMap(Units.bytes)
        for (name, address) in OptionForms.hosts(config["oci.hosts"] ?? "") ?? [] {
            guard address == "host-gateway" else {
                options.hosts.append(HostEntry(name: name, address: address))
                continue
            }
            guard let gateway else {
                throw EngineError(
                    .invalidArgument,
                    "oci.hosts: \(Names.quoted(name)) is to be the host's gateway, and the instance has no network",
                    hint: "connect it to a network, or give an address")
            }
            options.hosts.append(HostEntry(name: name, address: gateway))
        }
        options.nameServers = OptionForms.list(config["oci.dns.servers"] ?? "")
        options.searchDomains = OptionForms.list(config["oci.dns.search"] ?? "")
        options.resolverOptions = OptionForms.list(config["oci.dns.options"] ?? "")
        options.domainName = config["oci.domainname"] ?? options.domainName
        options.hasInit = flag("oci.init") ?? false
        options.groups = OptionForms.list(config["oci.groups"] ?? "")
        options.sharesUsers = config["oci.userns"] == "host"
        options.outOfMemoryScore = config["oci.oom_score_adj"].flatMap(Int.init)
        if config["oci.uts"] == "host" { options.hostName = .host }
        if config["oci.pid"] == "host" { options.processes = .host }
        if config["oci.ipc"] == "host" { options.ipc = .host }
        return options
    }

    /// The name of the instance that a key such as `oci.pid=instance:web` points to.
    func joined(_ key: String) -> String? {
        guard let value = config[key], value.hasPrefix("instance:") else { return nil }
        return String(value.dropFirst("instance:".count))
    }
}
