import WireTypes

extension Stack {
    /// Reads a project out of a loaded file.
    ///
    /// - Parameters:
    ///   - name: the project's; nil: the file's, else the folder's.
    ///   - profiles: those that are active; `*` is all.
    ///   - storage: an absolute folder that files for configs and secrets may be written to.
    public init(
        _ file: StackFile, name: String?, profiles: [String], storage: String, access: StackFile.Access
    ) throws(StackError) {
        let given = name ?? file.document["name"]?.stringValue
        let folder = file.directory.split(separator: "/").last.map(String.init) ?? "stack"
        let project = given ?? Self.projectName(folder)
        guard project == Self.projectName(project), !project.isEmpty else {
            throw StackError(
                "'\(project)' is no name for a project", hint: "lower-case letters, digits, '-' and '_', a letter first"
            )
        }
        self.name = project
        directory = file.directory
        files = file.files
        networks = try Self.networks(file.document["networks"], project)
        volumes = try Self.volumes(file.document["volumes"], project)
        written = [:]
        let folderOfFiles = "\(storage)/\(project)"
        var contents: [String: String] = [:]
        var shown: [String: [String: String]] = [:]
        var secrets: [String: File] = [:]
        for kind in ["configs", "secrets"] {
            for (item, value) in file.document[kind]?.objectValue ?? [:] {
                var fields = try Fields("\(kind.dropLast()) '\(item)'", value)
                if let path = try fields.text("file") {
                    let absolute = Self.absolute(path, file.directory)
                    shown[kind, default: [:]][item] = absolute
                    if kind == "secrets" { secrets[item] = File(path: absolute, content: nil) }
                } else {
                    let variable = try fields.text("environment")
                    guard let content = try fields.text("content") ?? variable.flatMap({ access.environment($0) })
                    else {
                        throw StackError(
                            "\(kind.dropLast()) '\(item)' has no content",
                            hint: "give it 'file', 'content', or 'environment' with a variable that is set")
                    }
                    contents["\(kind)-\(item)"] = content
                    shown[kind, default: [:]][item] = "\(folderOfFiles)/\(kind)-\(item)"
                    if kind == "secrets" { secrets[item] = File(path: nil, content: content) }
                }
                for key in ["name", "labels", "external", "template_driver"] { _ = fields.take(key) }
                try fields.finish()
            }
        }
        written = contents
        services = []
        var active = Set(profiles)
        if let variable = access.environment("COMPOSE_PROFILES") {
            active.formUnion(variable.split(separator: ",").map(String.init))
        }
        for (service, value) in (file.document["services"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
            var fields = try Fields("service '\(service)'", value)
            let own = try fields.list("profiles")
            guard own.isEmpty || active.contains("*") || !active.isDisjoint(with: own) else { continue }
            var reader = ServiceReader(
                name: service, project: project, directory: file.directory, files: shown, networks: networks,
                volumes: volumes, secrets: secrets, access: access)
            var read = try reader.read(&fields)
            read.hash = Self.hash(value, contents)
            services.append(read)
        }
        for service in services where service.nics.values.contains(where: { $0["network"] == "\(project)_default" }) {
            networks["default"] =
                networks["default"] ?? Network(name: "\(project)_default", isExternal: false, config: [:])
            break
        }
        for service in services {
            for device in service.devices.values where device["pool"] != nil {
                guard let name = device["source"], !volumes.values.contains(where: { $0.name == name }) else {
                    continue
                }
                throw StackError("service '\(service.name)' uses the volume '\(name)', which 'volumes' does not have")
            }
        }
    }

    static func projectName(_ text: String) -> String {
        let kept = text.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        return String(kept.drop { !$0.isLetter && !$0.isNumber })
    }

    static func absolute(_ path: String, _ directory: String) -> String {
        if path.hasPrefix("/") { return path }
        var parts = directory.split(separator: "/").map(String.init)
        for part in path.split(separator: "/") {
            switch part {
            case ".": break
            case "..": _ = parts.popLast()
            default: parts.append(String(part))
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    private static func networks(_ value: JSONValue?, _ project: String) throws(StackError) -> [String: Network] {
        var networks: [String: Network] = [:]
        for (name, value) in value?.objectValue ?? [:] {
            var fields = try Fields("network '\(name)'", value)
            let isExternal = try external(&fields)
            let given = try fields.text("name")
            if let driver = try fields.text("driver"), !["bridge", "default"].contains(driver) {
                throw StackError("network '\(name)': the driver '\(driver)' is not offered", hint: "use bridge")
            }
            var config: [String: String] = [:]
            if try fields.flag("internal") { config["internal"] = "true" }
            if try fields.flag("enable_ipv6") { config["ipv6.address"] = "auto" }
            for (key, value) in try labels(&fields) { config["user.\(key)"] = value }
            try addSubnets(fields.take("ipam"), to: &config, name)
            for key in ["driver_opts", "attachable", "enable_ipv4"] { _ = fields.take(key) }
            try fields.finish()
            networks[name] = Network(
                name: given ?? (isExternal ? name : "\(project)_\(name)"), isExternal: isExternal, config: config)
        }
        return networks
    }

    private static func addSubnets(_ value: JSONValue?, to config: inout [String: String], _ name: String)
        throws(StackError)
    {
        for entry in value?["config"]?.arrayValue ?? [] {
            var fields = try Fields("network '\(name)', ipam", entry)
            guard let subnet = try fields.text("subnet") else { continue }
            let halves = subnet.split(separator: "/").map(String.init)
            guard halves.count == 2 else { throw StackError("network '\(name)': '\(subnet)' is no subnet") }
            let isSix = subnet.contains(":")
            var gateway = try fields.text("gateway")
            if gateway == nil {
                // The first address, as Docker chooses it.
                if isSix {
                    gateway = halves[0].hasSuffix("::") ? halves[0] + "1" : halves[0]
                } else {
                    var parts = halves[0].split(separator: ".").map(String.init)
                    parts[parts.count - 1] = String((Int(parts[parts.count - 1]) ?? 0) + 1)
                    gateway = parts.joined(separator: ".")
                }
            }
            config[isSix ? "ipv6.address" : "ipv4.address"] = "\(gateway ?? "")/\(halves[1])"
        }
    }

    private static func volumes(_ value: JSONValue?, _ project: String) throws(StackError) -> [String: Volume] {
        var volumes: [String: Volume] = [:]
        for (name, value) in value?.objectValue ?? [:] {
            var fields = try Fields("volume '\(name)'", value)
            let isExternal = try external(&fields)
            let given = try fields.text("name")
            if let driver = try fields.text("driver"), driver != "local" {
                throw StackError("volume '\(name)': the driver '\(driver)' is not offered", hint: "use local")
            }
            let labels = try labels(&fields)
            _ = fields.take("driver_opts")
            try fields.finish()
            volumes[name] = Volume(
                name: given ?? (isExternal ? name : "\(project)_\(name)"), isExternal: isExternal, labels: labels)
        }
        return volumes
    }

    private static func external(_ fields: inout Fields) throws(StackError) -> Bool {
        guard let value = fields.take("external") else { return false }
        return value.boolValue ?? true
    }

    private static func labels(_ fields: inout Fields) throws(StackError) -> [String: String] {
        var labels: [String: String] = [:]
        if let items = fields.take("labels") {
            let map = try Merging.normal(["labels": items], service: fields.what)["labels"]
            for (key, value) in map?.objectValue ?? [:] { labels[key] = Fields.text(value) ?? "" }
        }
        return labels
    }

    /// FNV-1a over the fields in order of their names, with what is written for configs and secrets.
    private static func hash(_ value: JSONValue, _ contents: [String: String]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ 0xff) &* 0x100_0000_01b3
        }
        func walk(_ value: JSONValue) {
            switch value {
            case .object(let object):
                add("{")
                for (key, item) in object.sorted(by: { $0.key < $1.key }) {
                    // How many there are, and in what order they are replaced, is no property of one of them.
                    if key == "deploy", case .object(let deploy) = item {
                        add(key)
                        walk(.object(deploy.filter { $0.key != "replicas" && $0.key != "update_config" }))
                        continue
                    }
                    if key == "scale" || key == "depends_on" { continue }
                    add(key)
                    walk(item)
                }
                add("}")
            case .array(let items):
                add("[")
                for item in items { walk(item) }
                add("]")
            default: add(Fields.text(value) ?? "~")
            }
        }
        walk(value)
        for (key, content) in contents.sorted(by: { $0.key < $1.key }) { add(key + content) }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
