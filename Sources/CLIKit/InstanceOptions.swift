public import WireTypes

/// What launch, run and create say about the new instance, as typed; `request` translates it into the API's words.
public struct InstanceOptions: Sendable {
    public var image = ""
    /// Made without an image: a machine with an empty disk, a container with an empty root.
    public var isEmpty = false
    public var name: String?
    /// `application`, `system`, `machine`; nil lets the image decide.
    public var kind: String?
    public var environment: [(name: String, value: String)] = []
    public var workingDirectory: String?
    public var user: String?
    public var entrypoint: String?
    public var command: [String] = []
    public var publish: [String] = []
    public var volumes: [String] = []
    public var directories: [String] = []
    public var network: String?
    public var hostname: String?
    public var labels: [String] = []
    public var restart: String?
    public var cpus: String?
    public var memory: String?
    public var pidsLimit: String?
    public var config: [String] = []
    public var devices: [String] = []
    public var profiles: [String] = []
    public var ephemeral = false
    public var privileged = false
    public var addCapabilities: [String] = []
    public var dropCapabilities: [String] = []
    public var readOnly = false
    public var securityOptions: [String] = []
    public var runtime: String?
    public var pull: String?
    public var autostart = false
    public var stopTimeout: String?
    public var stopSignal: String?
    public var disk: String?
    public var terminal = false
    /// Keep standard input open.
    public var input = false
    /// Close it when the first client that had it goes.
    public var inputOnce = false
    /// What docker run has for containers beyond that.
    public var flags = ContainerFlags()
    public var fuel: String?
    public var timeout: String?
    /// What relative paths begin at, and what `~` is.
    public var currentDirectory = "/"
    public var home: String?

    /// The content of a file that an option names; the second argument is the option.
    public var readFile: @Sendable (String, String) throws(UsageError) -> String = {
        path, option throws(UsageError) in
        throw UsageError("\(option) \(Quantity.quoted(path)): files cannot be read here")
    }

    /// Whether a file of the host is a block device.
    public var isBlockDevice: @Sendable (String) -> Bool = { _ in false }

    public init() {}

    /// The body of `POST /1.0/instances`.
    public func request() throws(UsageError) -> API.InstancesPost {
        var post = API.InstancesPost()
        post.name = name ?? ""
        post.kind = kind
        if kind == "machine" { post.type = "virtual-machine" }
        if isEmpty {
            post.source.type = "none"
        } else {
            post.source.reference = image
            post.source.pull = pull
        }
        post.ephemeral = ephemeral
        post.profiles = profiles.isEmpty ? nil : profiles
        post.config = try settings()
        post.devices = try deviceSettings()
        // What is said in LXD's own words counts more than the short forms.
        for text in config {
            let (key, value) = try KeyValue.pair(text, option: "--config")
            post.config[key] = value
        }
        for (index, text) in devices.enumerated() {
            if let keys = try DeviceFlag.keys(text, isBlock: isBlockDevice) {
                post.devices["device-\(index)"] = keys
                continue
            }
            let (name, settings) = try KeyValue.device(text)
            post.devices[name] = settings
        }
        return post
    }

    private func settings() throws(UsageError) -> [String: String] {
        var config: [String: String] = [:]
        for (name, value) in environment { config["environment." + name] = value }
        for label in labels {
            let (key, value) = label.contains("=") ? try KeyValue.pair(label, option: "--label") : (label, "")
            config["user." + key] = value
        }
        if let entrypoint { config["oci.entrypoint"] = entrypoint.isEmpty ? "[]" : JSONText.array([entrypoint]) }
        // As with Docker, a new entrypoint takes the image's arguments away too.
        if !command.isEmpty || entrypoint != nil { config["oci.cmd"] = JSONText.array(command) }
        config["oci.user"] = user
        config["oci.cwd"] = workingDirectory
        config["hostname"] = hostname
        config["oci.runtime"] = runtime
        config["stop.signal"] = stopSignal
        if terminal { config["oci.tty"] = "true" }
        if input { config["oci.stdin"] = "true" }
        if inputOnce { config["oci.stdin_once"] = "true" }
        config["restart.policy"] = try restart.map { text throws(UsageError) in try RestartPolicy.checked(text) }
        try addLimits(to: &config)
        if autostart { config["boot.autostart"] = "true" }
        if let stopTimeout {
            let seconds = try Quantity.seconds(stopTimeout, option: "--stop-timeout")
            config["stop.timeout"] = Quantity.decimal(seconds, digits: 3)
        }
        try addSecurity(to: &config)
        config.merge(try flags.config(memory: memory)) { $1 }
        config["module.fuel"] = fuel
        if let timeout {
            config["module.timeout"] = Quantity.decimal(try Quantity.seconds(timeout, option: "--timeout"), digits: 3)
        }
        return config
    }

    private func addLimits(to config: inout [String: String]) throws(UsageError) {
        if let cpus {
            let limit = try CPULimit(cpus)
            config["limits.cpu"] = limit.count
            config["limits.cpu.allowance"] = limit.allowance
        }
        config["limits.memory"] = try memory.map { text throws(UsageError) in
            try Quantity.size(text, option: "--memory")
        }
        if let pidsLimit, pidsLimit != "-1" {
            guard let limit = Int64(pidsLimit), limit > 0 else {
                throw UsageError("--pids-limit \(Quantity.quoted(pidsLimit)) is no number of processes")
            }
            config["limits.processes"] = String(limit)
        }
    }

    private func addSecurity(to config: inout [String: String]) throws(UsageError) {
        if privileged { config["security.privileged"] = "true" }
        if !addCapabilities.isEmpty { config["security.capabilities.add"] = addCapabilities.joined(separator: ",") }
        if !dropCapabilities.isEmpty { config["security.capabilities.drop"] = dropCapabilities.joined(separator: ",") }
        if readOnly { config["security.readonly"] = "true" }
        for option in securityOptions {
            if ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"].contains(option) {
                config["security.no_new_privileges"] = "true"
                continue
            }
            if ["no-new-privileges=false", "no-new-privileges:false"].contains(option) {
                config["security.no_new_privileges"] = "false"
                continue
            }
            if option.hasPrefix("apparmor") || option.hasPrefix("label") {
                throw UsageError(
                    "--security-opt \(Quantity.quoted(option)): Isle has no profiles of AppArmor and SELinux",
                    hint: "it relies on user namespaces, capabilities and seccomp")
            }
            let separator: Character = option.contains("=") ? "=" : ":"
            let halves = option.split(separator: separator, maxSplits: 1).map(String.init)
            guard halves.count == 2, halves[0] == "seccomp" else {
                throw UsageError(
                    "--security-opt \(Quantity.quoted(option)) is not understood",
                    hint: "write seccomp=default, seccomp=unconfined or seccomp=FILE")
            }
            let value = halves[1]
            config["security.seccomp"] =
                value == "default" || value == "unconfined" ? value : try readFile(value, "--security-opt seccomp")
        }
    }

    private func deviceSettings() throws(UsageError) -> [String: [String: String]] {
        var devices: [String: [String: String]] = [:]
        var ports: [[String: String]] = []
        for text in publish { ports += try PortMapping(text).devices }
        for (index, device) in ports.enumerated() { devices["proxy-\(index)"] = device }
        for (index, text) in volumes.enumerated() {
            devices["mount-\(index)"] = try MountMapping(volume: text, directory: currentDirectory, home: home).device
        }
        for (index, text) in directories.enumerated() {
            devices["dir-\(index)"] =
                try MountMapping(directoryGrant: text, directory: currentDirectory, home: home).device
        }
        switch network {
        case nil: break
        case "none"?: devices["eth0"] = ["type": "none"]
        case "host"?: devices["eth0"] = ["type": "nic", "nictype": "host"]
        case let name? where name.hasPrefix("container:") || name.hasPrefix("instance:"):
            let other = String(name.drop { $0 != ":" }.dropFirst())
            devices["eth0"] = ["type": "nic", "nictype": "instance", "parent": other]
        case let name?: devices["eth0"] = ["type": "nic", "network": name, "name": "eth0"]
        }
        let nic = flags.nic
        if !nic.isEmpty {
            guard devices["eth0"]?["network"] != nil else {
                throw UsageError(
                    "an address or alias needs a network of its own", hint: "name it: --network NAME or default")
            }
            devices["eth0"]?.merge(nic) { $1 }
        }
        devices.merge(try flags.devices()) { $1 }
        if let disk {
            devices["root"] = [
                "type": "disk", "path": "/", "pool": "default", "size": try Quantity.size(disk, option: "--disk"),
            ]
        }
        return devices
    }
}

/// `--restart`, as Docker has it.
public enum RestartPolicy {
    /// `text` if it is `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`.
    public static func checked(_ text: String) throws(UsageError) -> String {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch parts.first {
        case "no"?, "always"?, "unless-stopped"?: if parts.count == 1 { return text }
        case "on-failure"?:
            if parts.count == 1 || parts.count == 2 && Int(parts[1]).map({ $0 >= 0 }) ?? false { return text }
        default: break
        }
        throw UsageError(
            "--restart \(Quantity.quoted(text)) is no restart policy",
            hint: "one of no, on-failure[:N], always, unless-stopped")
    }
}

/// `--cpus`: a count, a fraction of processors, or a set.
struct CPULimit {
    var count: String?
    var allowance: String?

    init(_ text: String) throws(UsageError) {
        let isSet = text.contains("-") || text.contains(",")
        let parts = text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "," || $0 == "-" })
        if isSet, parts.allSatisfy({ UInt16($0) != nil && !$0.hasPrefix("+") }) {
            count = text
        } else if let whole = Int(text), whole > 0 {
            count = String(whole)
        } else if let number = Double(text), number.isFinite, number >= 0.01, number < 100_000 {
            allowance = "\(Int64((number * 100).rounded()))ms/100ms"
        } else {
            throw UsageError(
                "--cpus \(Quantity.quoted(text)) is no number of processors", hint: "write 2, 0.5 or the set 0-1")
        }
    }
}

/// Small pieces of JSON inside configuration values.
public enum JSONText {
    /// A JSON array of strings.
    public static func array(_ items: [String]) -> String {
        "[" + items.map(string).joined(separator: ",") + "]"
    }

    static func string(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
