import DriverKit
import Engine
import Model
import WireTypes

extension API.Instance {
    /// - Parameter full: with its state, as for `recursion=2`.
    init(_ view: InstanceView, full: Bool = false) {
        self.init()
        let record = view.record
        name = record.name
        description = record.description
        status = view.status.rawValue
        statusCode = view.status.code.rawValue
        createdAt = WireTypes.Timestamp.string(record.createdAt)
        lastUsedAt = WireTypes.Timestamp.string(record.lastUsedAt)
        type = record.kind.lxdType
        project = record.project
        architecture = record.architecture
        ephemeral = record.ephemeral
        stateful = record.hasSavedState == true
        profiles = record.profiles
        config = record.config
        devices = record.devices
        expandedConfig = view.expanded.config
        expandedDevices = view.expanded.devices
        let kept = InstanceVolatile.keys(view)
        config.merge(kept) { $1 }
        expandedConfig.merge(kept) { $1 }
        id = record.id.raw
        kind = record.kind.rawValue
        imageReference = record.imageReference
        if view.status == .stopped || view.status == .error { exit = record.lastExit.map { API.InstanceExit($0) } }
        addresses = view.endpoints.compactMap(\.ipv4) + view.endpoints.compactMap(\.ipv6)
        ports = view.endpoints.flatMap { API.PublishedPort.all(of: $0) }
        health = view.health.map { API.InstanceHealth($0) }
        if full {
            state = API.InstanceState(view)
            snapshots = view.snapshots.map { API.InstanceSnapshot($0) }
            backups = view.backups.map { API.Backup($0, isVolume: false) }
        }
    }

    /// Keys that Isle shows among an instance's own and does not take back.
    static func isShownOnly(_ key: String) -> Bool { key.hasPrefix("volatile.") }

    /// What a PUT may change, for the ETag.
    var changeable: API.InstancePut {
        var put = API.InstancePut()
        put.architecture = architecture
        put.config = config
        put.devices = devices
        put.ephemeral = ephemeral
        put.profiles = profiles
        put.description = description
        return put
    }
}

extension InstanceStatus {
    var code: API.StatusCode {
        switch self {
        case .stopped: .stopped
        case .starting: .starting
        case .running: .running
        case .frozen: .frozen
        case .stopping: .stopping
        case .error: .error
        }
    }
}

extension InstanceKind {
    /// The two types that LXD knows.
    var lxdType: String { self == .machine ? "virtual-machine" : "container" }
}

extension API.InstanceHealth {
    init(_ health: HealthState) {
        self.init()
        status = health.status.rawValue
        failingStreak = health.failingStreak
        log = health.log.map { result in
            var rendered = API.HealthResult()
            rendered.startedAt = WireTypes.Timestamp.string(result.startedAt)
            rendered.endedAt = WireTypes.Timestamp.string(result.endedAt)
            rendered.exitCode = result.exitCode
            rendered.output = result.output
            return rendered
        }
    }
}

extension API.InstanceExit {
    init(_ exit: ExitRecord) {
        self.init()
        exitCode = exit.code
        signal = exit.signal
        outOfMemory = exit.outOfMemory
        finishedAt = WireTypes.Timestamp.string(exit.finishedAt)
        reason = exit.reason
    }
}

extension API.PublishedPort {
    static func all(of endpoint: NetworkEndpoint) -> [API.PublishedPort] {
        endpoint.ports.map { port in
            var published = API.PublishedPort()
            published.instance = endpoint.hostname
            published.hostAddress = port.hostAddress
            published.hostPort = Int(port.hostPort)
            published.guestPort = Int(port.guestPort)
            published.transport = port.transport.rawValue
            return published
        }
    }
}

extension API.InstanceState {
    init(_ view: InstanceView) {
        self.init()
        status = view.status.rawValue
        statusCode = view.status.code.rawValue
        pid = Int64(view.pid ?? 0)
        processes = view.usage?.processes ?? (view.pid == nil ? 0 : -1)
        cpu.usage = view.usage?.cpuNanoseconds ?? 0
        memory.usage = view.usage?.memory ?? 0
        memory.usagePeak = view.usage?.memoryPeak ?? 0
        memory.total = view.usage?.memoryTotal ?? view.memoryLimit
        startedAt = view.startedAt.map { WireTypes.Timestamp.string($0) }
        guard view.pid != nil else { return }
        var interfaces = Dictionary(
            view.endpoints.map { ($0.device, Interface($0, view.hostEnds[$0.device])) }, uniquingKeysWith: { $1 })
        for found in view.interfaces {
            var interface = Interface(found)
            interface.hostName = view.hostEnds[found.name]?.name ?? ""
            interfaces[found.name] = interface
        }
        network = interfaces
    }
}

extension API.InstanceState.Interface {
    /// As it was set up.
    init(_ endpoint: NetworkEndpoint, _ end: HostEnd?) {
        self.init()
        hwaddr = endpoint.mac
        state = "up"
        type = "broadcast"
        addresses =
            [
                endpoint.ipv4.map { API.Address("inet", $0, endpoint.prefixLength4) },
                endpoint.ipv6.map { API.Address("inet6", $0, endpoint.prefixLength6) },
            ].compactMap { $0 }
        guard let end else { return }
        hostName = end.name
        mtu = end.mtu
        counters = API.Counters(end.counters)
    }

    /// As it is inside.
    init(_ interface: GuestInterface) {
        self.init()
        hwaddr = interface.mac
        mtu = interface.mtu
        state = interface.isUp ? "up" : "down"
        type = interface.isLoopback ? "loopback" : "broadcast"
        addresses = interface.addresses.map { found in
            var address = API.Address(found.isIPv6 ? "inet6" : "inet", found.address, found.prefixLength)
            address.scope = found.scope
            return address
        }
        counters = API.Counters(interface.counters)
    }
}

extension API.Address {
    init(_ family: String, _ address: String, _ prefix: Int) {
        self.init()
        self.family = family
        self.address = address
        netmask = String(prefix)
        scope = "global"
    }
}

extension API.Counters {
    init(_ counters: NetworkCounters) {
        self.init()
        bytesReceived = counters.bytesReceived
        bytesSent = counters.bytesSent
        packetsReceived = counters.packetsReceived
        packetsSent = counters.packetsSent
        errorsReceived = counters.errorsReceived
        errorsSent = counters.errorsSent
        droppedInbound = counters.droppedReceived
        droppedOutbound = counters.droppedSent
    }
}
