import Model

/// Privileges of a container as `security.` keys.
struct SecurityTranslation {
    private(set) var config: [String: String] = [:]

    init(host: HostBody, warnings: inout [String]) throws {
        // Docker's default: programs as su and sudo work. They gain nothing on the host, whose ids are others.
        config["security.no_new_privileges"] = "false"
        for option in host.securityOpt { try add(option, &warnings) }
        var added = host.capAdd.map(Self.capability)
        if host.privileged {
            config["security.privileged"] = "true"
            config["security.nesting"] = "true"
            config["security.seccomp"] = config["security.seccomp"] ?? "unconfined"
            added = ["ALL"]
        }
        switch host.usernsMode {
        case "": break
        case "host": config["oci.userns"] = "host"
        default: throw EngineError(.invalidArgument, "invalid userns mode: \(host.usernsMode)")
        }
        if !added.isEmpty { config["security.capabilities.add"] = added.joined(separator: ",") }
        let dropped = host.capDrop.map(Self.capability)
        if !dropped.isEmpty { config["security.capabilities.drop"] = dropped.joined(separator: ",") }
        if host.readonlyRootfs { config["security.readonly"] = "true" }
    }

    private mutating func add(_ option: String, _ warnings: inout [String]) throws {
        // `name=value`; the older form has a colon.
        let separator: Character = option.contains("=") ? "=" : ":"
        let parts = option.split(separator: separator, maxSplits: 1).map(String.init)
        let value = parts.count > 1 ? parts[1] : ""
        switch parts.first {
        case "no-new-privileges":
            config["security.no_new_privileges"] = value == "false" ? "false" : "true"
        case "seccomp":
            guard value == "unconfined" || value == "builtin" || value.hasPrefix("{") else {
                throw EngineError(.invalidArgument, "the seccomp profile is neither 'unconfined' nor JSON")
            }
            config["security.seccomp"] = value == "builtin" ? "default" : value
        case "apparmor", "label":
            if value != "unconfined", value != "disable" {
                warnings.append("\(option): this host confines containers by user namespaces, not by profiles")
            }
        case "systempaths":
            throw EngineError(.unsupported, "security option '\(option)' is not offered by this engine")
        default: throw EngineError(.invalidArgument, "invalid --security-opt 2: \"\(option)\"")
        }
    }

    private static func capability(_ name: String) -> String {
        let upper = name.uppercased()
        return upper == "ALL" || upper.hasPrefix("CAP_") ? upper : "CAP_" + upper
    }
}
