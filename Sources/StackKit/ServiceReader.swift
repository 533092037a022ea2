import CLIKit
import WireTypes

/// Translates one service of a Compose file into what `isle launch` takes. A field that Isle does not know is an error:
/// it could be the one that matters.
struct ServiceReader {
    let name: String
    let project: String
    let directory: String
    /// Paths on the host of configs and secrets, by kind and name.
    let files: [String: [String: String]]
    let networks: [String: Stack.Network]
    let volumes: [String: Stack.Volume]
    /// What builds may be given.
    let secrets: [String: Stack.File]
    let access: StackFile.Access
    private var options = InstanceOptions()
    private var devices: [String: [String: String]] = [:]

    init(
        name: String, project: String, directory: String, files: [String: [String: String]],
        networks: [String: Stack.Network], volumes: [String: Stack.Volume], secrets: [String: Stack.File],
        access: StackFile.Access
    ) {
        self.name = name
        self.project = project
        self.directory = directory
        self.files = files
        self.networks = networks
        self.volumes = volumes
        self.secrets = secrets
        self.access = access
    }

    mutating func read(_ fields: inout Fields) throws(StackError) -> Stack.Service {
        options.currentDirectory = directory
        options.home = access.environment("HOME")
        let source = fields.take("build")
        if let image = try fields.text("image") {
            options.image = image
        } else if source == nil {
            throw StackError("service '\(name)' has no image")
        } else {
            options.image = "\(project)-\(name)"
        }
        var build: Stack.Build?
        if let source {
            build = try BuildReader(service: name, directory: directory, secrets: secrets, access: access)
                .read(source, image: options.image)
        }
        try readKind(&fields)
        let buildsAlways = try readPullPolicy(&fields, isBuilt: build != nil)
        try readProgram(&fields)
        try readSecurity(&fields)
        try readNamespaces(&fields)
        try readLimits(&fields)
        try readHealth(&fields)
        try readMounts(&fields)
        var labels: [String: String] = [:]
        for (key, value) in try fields.map("labels") { labels[key] = value ?? "" }
        for (key, value) in try fields.map("annotations") { labels[key] = value ?? "" }
        let containerName = try fields.text("container_name")
        let dependencies = try readDependencies(&fields)
        var replicas = try fields.count("scale")
        var update = Stack.Update()
        try readDeploy(&fields, &replicas, &update)
        let (nics, shared) = try readNetworks(&fields)
        try readPorts(&fields)
        for key in ["expose", "attach", "platform", "links", "external_links", "develop", "stdin"] {
            _ = fields.take(key)
        }
        try fields.finish()
        if containerName != nil, (replicas ?? 1) > 1 {
            throw StackError("service '\(name)' has a container_name: there can be but one of it")
        }
        return Stack.Service(
            name: name, replicas: replicas ?? 1, containerName: containerName, dependencies: dependencies,
            update: update, options: options, nics: nics, devices: devices, labels: labels, sharedNetwork: shared,
            build: build, buildsAlways: buildsAlways, hash: "")
    }

    private mutating func readKind(_ fields: inout Fields) throws(StackError) {
        var own = try Fields("service '\(name)', x-isle", fields.take("x-isle"))
        if let kind = try own.text("kind") {
            guard ["application", "system", "machine", "module"].contains(kind) else {
                throw StackError(
                    "service '\(name)': '\(kind)' is no kind", hint: "application, system, machine or module")
            }
            options.kind = kind
        }
        for (key, value) in try own.map("config") { options.config.append("\(key)=\(value ?? "")") }
        options.profiles = try own.list("profiles")
        try own.finish()
    }

    private mutating func readProgram(_ fields: inout Fields) throws(StackError) {
        if let words = try fields.words("entrypoint") {
            options.config.append("oci.entrypoint=\(JSONText.array(words))")
        }
        if let words = try fields.words("command") { options.config.append("oci.cmd=\(JSONText.array(words))") }
        var environment: [(name: String, value: String)] = []
        for entry in fields.take("env_file").map({ $0.arrayValue ?? [$0] }) ?? [] {
            var file = try Fields(
                "service '\(name)', env_file", entry.stringValue.map { ["path": .string($0)] } ?? entry)
            guard let path = try file.text("path") else { throw StackError("service '\(name)': env_file has no path") }
            let isRequired = file.take("required")?.boolValue ?? true
            _ = file.take("format")
            try file.finish()
            do {
                environment += EnvironmentFile.parse(try access.read(Stack.absolute(path, directory)))
            } catch {
                if isRequired { throw error }
            }
        }
        for (key, value) in try fields.map("environment") {
            if let value = value ?? access.environment(key) { environment.append((key, value)) }
        }
        options.environment = environment
        options.user = try fields.text("user")
        options.workingDirectory = try fields.text("working_dir")
        options.hostname = try fields.text("hostname")
        options.terminal = try fields.flag("tty")
        options.input = try fields.flag("stdin_open")
        options.restart = try fields.text("restart")
        options.stopSignal = try fields.text("stop_signal")
        options.stopTimeout = try fields.text("stop_grace_period")
        options.runtime = try fields.text("runtime")
    }

    /// Whether the image is to be made with every `up`. One that is made here is in no registry, unless the policy says so.
    private mutating func readPullPolicy(_ fields: inout Fields, isBuilt: Bool) throws(StackError) -> Bool {
        if isBuilt { options.pull = "never" }
        guard let policy = try fields.text("pull_policy") else { return false }
        if policy == "build" {
            guard isBuilt else {
                throw StackError("service '\(name)': the pull_policy is build, but there is no 'build'")
            }
            return true
        }
        let words = ["if_not_present": "missing", "missing": "missing", "always": "always", "never": "never"]
        guard let pull = words[policy] else {
            throw StackError("service '\(name)': the pull_policy '\(policy)' is not offered")
        }
        if !isBuilt { options.pull = pull }
        return false
    }

    private mutating func readSecurity(_ fields: inout Fields) throws(StackError) {
        options.privileged = try fields.flag("privileged")
        options.readOnly = try fields.flag("read_only")
        options.addCapabilities = try fields.list("cap_add")
        options.dropCapabilities = try fields.list("cap_drop")
        options.securityOptions = try fields.list("security_opt")
        options.flags.groups = try fields.list("group_add")
        options.flags.hasInit = try fields.flag("init")
        options.flags.userNamespace = try fields.text("userns_mode")
        options.devices = try fields.list("devices")
        if let parent = try fields.text("cgroup_parent") {
            throw StackError(
                "service '\(name)': cgroup_parent '\(parent)' cannot be: Isle keeps its own control groups")
        }
    }

    private mutating func readNamespaces(_ fields: inout Fields) throws(StackError) {
        options.flags.processes = try fields.text("pid").map(instance)
        options.flags.ipc = try fields.text("ipc").map(instance)
        options.flags.hostNames = try fields.text("uts")
        options.flags.domainName = try fields.text("domainname")
        options.flags.nameServers = try fields.list("dns")
        options.flags.searchDomains = try fields.list("dns_search")
        options.flags.resolverOptions = try fields.list("dns_opt")
        for (key, value) in try fields.map("sysctls") { options.flags.sysctls.append("\(key)=\(value ?? "")") }
        switch fields.take("extra_hosts") {
        case .object(let hosts)?:
            for (host, address) in hosts.sorted(by: { $0.key < $1.key }) {
                for item in address.arrayValue ?? [address] {
                    options.flags.hosts.append("\(host)=\(Fields.text(item) ?? "")")
                }
            }
        case .array(let items)?: options.flags.hosts = items.compactMap(Fields.text)
        default: break
        }
        for (limit, value) in fields.take("ulimits")?.objectValue ?? [:] {
            let soft = value["soft"].flatMap(Fields.text) ?? Fields.text(value) ?? ""
            let hard = value["hard"].flatMap(Fields.text) ?? soft
            options.flags.ulimits.append("\(limit)=\(soft):\(hard)")
        }
        options.flags.sharedMemory = try fields.text("shm_size")
        options.flags.tmpfs = try fields.list("tmpfs")
    }

    /// Another service's first instance.
    private func instance(_ text: String) -> String {
        guard text.hasPrefix("service:") else { return text }
        return "container:" + Stack.instanceName("\(project)-\(text.dropFirst("service:".count))-1")
    }

    private mutating func readLimits(_ fields: inout Fields) throws(StackError) {
        options.cpus = try fields.text("cpus")
        options.memory = try fields.text("mem_limit")
        options.pidsLimit = try fields.text("pids_limit")
        options.flags.swap = try fields.text("memswap_limit")
        options.flags.reservation = try fields.text("mem_reservation")
        options.flags.swappiness = try fields.text("mem_swappiness")
        options.flags.cpuShares = try fields.text("cpu_shares")
        options.flags.cpuSet = try fields.text("cpuset")
        options.flags.cpuQuota = try fields.text("cpu_quota")
        options.flags.cpuPeriod = try fields.text("cpu_period")
        options.flags.outOfMemoryScore = try fields.text("oom_score_adj")
        var disk = try Fields("service '\(name)', blkio_config", fields.take("blkio_config"))
        options.flags.diskWeight = try disk.text("weight")
        try disk.finish()
        var logging = try Fields("service '\(name)', logging", fields.take("logging"))
        options.flags.logDriver = try logging.text("driver")
        for (key, value) in try logging.map("options") { options.flags.logOptions.append("\(key)=\(value ?? "")") }
        try logging.finish()
    }

    private mutating func readHealth(_ fields: inout Fields) throws(StackError) {
        var health = try Fields("service '\(name)', healthcheck", fields.take("healthcheck"))
        options.flags.noHealthCheck = try health.flag("disable")
        if let test = health.take("test") {
            if let command = test.stringValue {
                options.flags.healthCommand = command
            } else {
                options.config.append("health.test=\(JSONText.array(test.arrayValue?.compactMap(Fields.text) ?? []))")
            }
        }
        options.flags.healthInterval = try health.text("interval")
        options.flags.healthTimeout = try health.text("timeout")
        options.flags.healthStartPeriod = try health.text("start_period")
        options.flags.healthStartInterval = try health.text("start_interval")
        options.flags.healthRetries = try health.text("retries")
        try health.finish()
    }

    private func readDependencies(_ fields: inout Fields) throws(StackError) -> [Stack.Dependency] {
        var dependencies: [Stack.Dependency] = []
        for (service, value) in fields.take("depends_on")?.objectValue ?? [:] {
            let word = value["condition"]?.stringValue ?? "service_started"
            guard let condition = Stack.Condition(rawValue: word) else {
                throw StackError("service '\(name)' depends on '\(service)' with the unknown condition '\(word)'")
            }
            dependencies.append(
                Stack.Dependency(
                    service: service, condition: condition, isRequired: value["required"]?.boolValue ?? true))
        }
        return dependencies.sorted { $0.service < $1.service }
    }

    private mutating func readDeploy(_ fields: inout Fields, _ replicas: inout Int?, _ update: inout Stack.Update)
        throws(StackError)
    {
        var deploy = try Fields("service '\(name)', deploy", fields.take("deploy"))
        if let count = try deploy.count("replicas") { replicas = count }
        var resources = try Fields("service '\(name)', deploy.resources", deploy.take("resources"))
        var limits = try Fields("service '\(name)', deploy.resources.limits", resources.take("limits"))
        if let cpus = try limits.text("cpus") { options.cpus = cpus }
        if let memory = try limits.text("memory") { options.memory = memory }
        if let pids = try limits.text("pids") { options.pidsLimit = pids }
        try limits.finish()
        var kept = try Fields("service '\(name)', deploy.resources.reservations", resources.take("reservations"))
        if let memory = try kept.text("memory") { options.flags.reservation = memory }
        for key in ["cpus", "generic_resources"] { _ = kept.take(key) }
        try kept.finish()
        try resources.finish()
        var policy = try Fields("service '\(name)', deploy.restart_policy", deploy.take("restart_policy"))
        if let condition = try policy.text("condition") {
            let most = try policy.count("max_attempts")
            switch condition {
            case "none": options.restart = "no"
            case "on-failure": options.restart = "on-failure" + (most.map { ":\($0)" } ?? "")
            default: options.restart = "unless-stopped"
            }
        }
        var rolling = try Fields("service '\(name)', deploy.update_config", deploy.take("update_config"))
        update.startsFirst = try rolling.text("order") == "start-first"
        update.parallelism = max(1, try rolling.count("parallelism") ?? 1)
        if let delay = try rolling.text("delay") {
            do { update.delay = try Quantity.seconds(delay, option: "delay") } catch { throw StackError("\(error)") }
        }
        for key in ["failure_action", "monitor", "max_failure_ratio"] { _ = rolling.take(key) }
        try rolling.finish()
        for key in ["mode", "labels", "endpoint_mode", "placement", "rollback_config"] { _ = deploy.take(key) }
        try deploy.finish()
    }

    private mutating func readMounts(_ fields: inout Fields) throws(StackError) {
        for (index, value) in (fields.take("volumes")?.arrayValue ?? []).enumerated() {
            let mount = try MountReader(service: name, directory: directory, home: options.home, volumes: volumes)
                .read(value)
            if let tmpfs = mount.tmpfs { options.flags.tmpfs.append(tmpfs) }
            if let device = mount.device { devices["mount-\(index)"] = device }
        }
        for (kind, prefix) in [("configs", "/"), ("secrets", "/run/secrets/")] {
            for (index, value) in (fields.take(kind)?.arrayValue ?? []).enumerated() {
                let what = "service '\(name)', \(kind)"
                var entry = try Fields(what, value.stringValue.map { ["source": .string($0)] } ?? value)
                guard let source = try entry.text("source") else { throw StackError("\(what): an entry has no source") }
                guard let path = files[kind]?[source] else { throw StackError("\(what): there is no '\(source)'") }
                let target = try entry.text("target") ?? source
                for key in ["uid", "gid", "mode"] { _ = entry.take(key) }
                try entry.finish()
                devices["\(kind)-\(index)"] = [
                    "type": "disk", "source": path, "path": target.hasPrefix("/") ? target : prefix + target,
                    "readonly": "true",
                ]
            }
        }
    }

    private mutating func readNetworks(_ fields: inout Fields) throws(StackError) -> (
        nics: [String: [String: String]], shared: String?
    ) {
        let wanted = fields.take("networks")?.objectValue
        let mac = try fields.text("mac_address")
        if let mode = try fields.text("network_mode") {
            switch mode {
            case "none": return (["eth0": ["type": "none"]], nil)
            case "host": return (["eth0": ["type": "nic", "nictype": "host"]], nil)
            case "bridge", "default": break
            case _ where mode.hasPrefix("service:") || mode.hasPrefix("container:"):
                let other = instance(mode).drop { $0 != ":" }.dropFirst()
                let service = mode.hasPrefix("service:") ? String(mode.dropFirst("service:".count)) : nil
                return (["eth0": ["type": "nic", "nictype": "instance", "parent": String(other)]], service)
            default: throw StackError("service '\(name)': the network_mode '\(mode)' is not offered")
            }
        }
        var nics: [String: [String: String]] = [:]
        // As Compose numbers them: by priority, then by name.
        let names = (wanted ?? ["default": .null]).sorted {
            let (left, right) = ($0.value["priority"]?.intValue ?? 0, $1.value["priority"]?.intValue ?? 0)
            return left != right ? left > right : $0.key < $1.key
        }
        for (index, (network, value)) in names.enumerated() {
            guard network == "default" || networks[network] != nil else {
                throw StackError("service '\(name)' is on the network '\(network)', which 'networks' does not have")
            }
            var entry = try Fields("service '\(name)', network '\(network)'", value)
            var nic = [
                "type": "nic", "name": "eth\(index)", "network": networks[network]?.name ?? "\(project)_default",
            ]
            nic["aliases"] = ([name] + (try entry.list("aliases"))).joined(separator: ",")
            nic["ipv4.address"] = try entry.text("ipv4_address")
            nic["ipv6.address"] = try entry.text("ipv6_address")
            nic["hwaddr"] = try entry.text("mac_address") ?? (index == 0 ? mac : nil)
            nic["gateway.priority"] = try entry.text("gw_priority")
            for key in ["priority", "link_local_ips", "driver_opts", "interface_name"] { _ = entry.take(key) }
            try entry.finish()
            nics["eth\(index)"] = nic
        }
        return (nics, nil)
    }

    private mutating func readPorts(_ fields: inout Fields) throws(StackError) {
        var number = 0
        for value in fields.take("ports")?.arrayValue ?? [] {
            for port in try PortReader.ports(value, service: name) {
                var device = port
                // Instances of the service share a port that is fixed; connections go to those that are healthy.
                if !(device["listen"]?.hasSuffix(":0") ?? false) {
                    device["service"] = Stack.instanceName("\(project)-\(name)")
                }
                devices["port-\(number)"] = device
                number += 1
            }
        }
    }
}
