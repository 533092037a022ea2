import Model

/// The environment that a process of a container starts with.
enum ProcessEnvironment {
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// What every first process gets, below what the plan says.
    static func defaults(kind: InstanceKind, hostname: String, terminal: Bool) -> [String] {
        var result = ["PATH=\(path)"]
        if kind == .system {
            // init systems look for this name (systemd's CONTAINER_INTERFACE), and so do tools that want to know whether
            // they are in LXD's containers.
            result.append("container=lxc")
        } else {
            result.append("HOSTNAME=\(hostname)")
        }
        if terminal { result.append("TERM=xterm") }
        return result
    }

    /// All lists as one: later ones win, each name once, at its first place.
    /// - Throws: `invalidArgument` for an entry without a name or with a NUL byte.
    static func merged(_ lists: [String]..., home: String) throws -> [String] {
        var order: [String] = []
        var values: [String: String] = [:]
        for entry in lists.joined() {
            guard let equals = entry.firstIndex(of: "="), equals != entry.startIndex, !entry.utf8.contains(0) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(entry)) is not an environment variable",
                    hint: "write NAME=value")
            }
            let name = String(entry[..<equals])
            if values[name] == nil { order.append(name) }
            values[name] = String(entry[entry.index(after: equals)...])
        }
        if values["HOME"] == nil {
            order.append("HOME")
            values["HOME"] = home
        }
        return order.map { "\($0)=\(values[$0] ?? "")" }
    }
}
