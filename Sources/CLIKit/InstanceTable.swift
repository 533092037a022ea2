public import WireTypes

/// Instances as people are shown them.
public enum InstanceTable {
    /// One row for each instance. `now` is in seconds since 1970.
    public static func list(_ instances: [API.Instance], now: Double) -> Table {
        var table = Table([
            .init("NAME", minimum: 8), .init("KIND"), .init("STATUS"), .init("ADDRESS"), .init("PORTS", minimum: 8),
            .init("IMAGE", minimum: 8), .init("CREATED"),
        ])
        for instance in instances {
            table.add(
                .init(instance.name), .init(kind(instance)), status(instance),
                .init(isUp(instance) ? instance.addresses?.first ?? "-" : "-"),
                .init(isUp(instance) ? ports(instance.ports ?? []) : "-"),
                .init(instance.imageReference.map(ImageNames.short) ?? "-"),
                .init(Timestamp.seconds(instance.createdAt).map { Quantity.span(seconds: now - $0) + " ago" } ?? "-"))
        }
        return table
    }

    /// Whether its addresses answer.
    private static func isUp(_ instance: API.Instance) -> Bool {
        instance.status == "Running" || instance.status == "Frozen"
    }

    /// The kind; of servers that do not say it, LXD's type.
    static func kind(_ instance: API.Instance) -> String { instance.kind ?? instance.type }

    /// The status; of what ended with an error, how.
    static func status(_ instance: API.Instance) -> Table.Cell {
        switch instance.status {
        case "Running":
            guard let health = instance.health?.status, !health.isEmpty else { return .init("Running", .good) }
            let color: Color = health == "healthy" ? .good : health == "unhealthy" ? .bad : .warning
            return .init("Running (\(health))", color)
        case "Frozen": return .init("Paused", .warning)
        case "Stopped":
            guard let exit = instance.exit else { return .init("Stopped", .dim) }
            if exit.outOfMemory { return .init("Stopped (out of memory)", .bad) }
            if exit.exitCode == 0 { return .init("Stopped", .dim) }
            // What a stop or a kill ended is no failure of the program.
            let wasStopped = exit.signal == 15 || exit.signal == 9
            return .init("Stopped (\(exit.exitCode))", wasStopped ? .dim : .bad)
        case "Error": return .init("Error", .bad)
        default: return .init(instance.status, .warning)
        }
    }

    /// `8080->80`, the address of the host in front unless it is 127.0.0.1, `/udp` behind.
    public static func ports(_ ports: [API.PublishedPort]) -> String {
        if ports.isEmpty { return "-" }
        return ports.map { port in
            let address = port.hostAddress.contains(":") ? "[\(port.hostAddress)]" : port.hostAddress
            let front = port.hostAddress == "127.0.0.1" || port.hostAddress.isEmpty ? "" : address + ":"
            return "\(front)\(port.hostPort)->\(port.guestPort)" + (port.transport == "udp" ? "/udp" : "")
        }.joined(separator: ", ")
    }

    /// What `isle info` shows: name and value, a name that is indented belongs to the one before.
    public static func details(_ instance: API.Instance, _ state: API.InstanceState?, now: Double) -> [(
        String, Table.Cell
    )] {
        var lines: [(String, Table.Cell)] = [("Name", .init(instance.name))]
        func add(_ name: String, _ value: String?) {
            if let value, !value.isEmpty { lines.append((name, .init(value))) }
        }
        add("Description", instance.description)
        add("Kind", kind(instance))
        lines.append(("Status", status(instance)))
        add("  Reason", instance.exit?.reason)
        if let health = instance.health {
            add(
                "Health",
                health.status + (health.failingStreak > 0 ? ", \(health.failingStreak) failures in a row" : ""))
            if let last = health.log.last {
                let output = last.output.split(separator: "\n").first.map { ": \($0)" } ?? ""
                add("  Last test", (last.exitCode == 0 ? "passed" : "failed (\(last.exitCode))") + output)
            }
        }
        if let ended = instance.exit.flatMap({ Timestamp.seconds($0.finishedAt) }), ended > 0 {
            add("  Ended", Quantity.span(seconds: now - ended) + " ago")
        }
        add("Image", instance.imageReference.map(ImageNames.short))
        add("Architecture", instance.architecture)
        add("Id", instance.id)
        add("Created", ago(instance.createdAt, now))
        if instance.status != "Running" { add("Last start", ago(instance.lastUsedAt, now)) }
        add("Profiles", instance.profiles.joined(separator: ", "))
        if instance.ephemeral { add("Ephemeral", "yes: deleted when it stops") }
        add("Addresses", instance.addresses?.joined(separator: ", "))
        if let ports = instance.ports, !ports.isEmpty { add("Ports", self.ports(ports)) }
        guard let state, state.pid > 0 || instance.status == "Running" else { return lines }
        if let started = state.startedAt {
            add("Up for", Timestamp.seconds(started).map { Quantity.span(seconds: now - $0) })
        }
        if state.pid > 0 { add("PID", String(state.pid)) }
        if state.processes >= 0 { add("Processes", String(state.processes)) }
        if state.cpu.usage > 0 { add("CPU time", Quantity.decimal(Double(state.cpu.usage) / 1e9, digits: 2) + " s") }
        if state.memory.usage > 0 {
            add(
                "Memory",
                Quantity.bytes(state.memory.usage) + (state.memory.total.map { " of " + Quantity.bytes($0) } ?? ""))
            if state.memory.usagePeak > 0 { add("  Peak", Quantity.bytes(state.memory.usagePeak)) }
        }
        for (name, disk) in (state.disk ?? [:]).sorted(by: { $0.key < $1.key }) where disk.usage > 0 {
            add("Disk \(name)", Quantity.bytes(disk.usage))
        }
        for (name, interface) in (state.network ?? [:]).sorted(by: { $0.key < $1.key }) where name != "lo" {
            let addresses = interface.addresses.map { "\($0.address)/\($0.netmask)" }.joined(separator: ", ")
            add("Interface \(name)", addresses.isEmpty ? interface.hwaddr : addresses)
            add(
                "  Traffic",
                "\(Quantity.bytes(interface.counters.bytesReceived)) in, \(Quantity.bytes(interface.counters.bytesSent)) out"
            )
        }
        return lines
    }

    private static func ago(_ timestamp: String, _ now: Double) -> String? {
        guard let seconds = Timestamp.seconds(timestamp), seconds > 0 else { return nil }
        return
            "\(timestamp.prefix(10)) \(timestamp.dropFirst(11).prefix(8)) UTC (\(Quantity.span(seconds: now - seconds)) ago)"
    }
}
