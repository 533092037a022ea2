public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Logging
public import Model
import Netlink
import Nftables

extension BridgeNetwork {
    public func connect(_ endpoint: NetworkEndpoint, namespace: OwnedDescriptor) async throws {
        if let direct = endpoint.direct { return try await connectDirect(endpoint, direct, namespace: namespace) }
        try attach(endpoint) { network, checked, previous in
            let connection = VethConnection(
                endpoint: checked, network: network, namespace: namespace, name: try hostName(checked))
            do {
                return try connection.make(session())
            } catch let error as NetlinkError where error.isAlreadyThere {
                // The other end of an earlier link of this endpoint is still in the same namespace.
                guard let previous else {
                    // One that was disconnected just now is on its way out: the kernel takes tens of milliseconds.
                    if let link = try retry(connection) { return link }
                    throw EngineError(
                        .conflict,
                        "the network namespace of instance \(endpoint.hostname) has an interface "
                            + "\(endpoint.device) already")
                }
                try session().perform([.deleteLink(.name(previous.name))])
                return try connection.make(session())
            }
        }
    }

    private func retry(_ connection: VethConnection) throws -> HostLink? {
        sweeper.hurry()
        for _ in 0..<200 {
            usleep(5_000)
            do { return try connection.make(session()) } catch let error as NetlinkError where error.isAlreadyThere {
                continue
            }
        }
        return nil
    }

    public func tap(_ endpoint: NetworkEndpoint, owner: UInt32) async throws -> String {
        if let direct = endpoint.direct { return try await tapDirect(endpoint, direct, owner: owner) }
        try attach(endpoint) { network, checked, _ in
            let name = try hostName(checked)
            try TapDevice.make(name, owner: owner)
            do {
                try session().perform([
                    .change(
                        .name(name),
                        LinkSettings(
                            mtu: checked.mtu(in: network.managed.spec), master: network.bridge)),
                    .change(
                        .name(name), HostLink.portSettings(checked),
                        alias: HostLink.alias(bridge: network.managed.spec.bridge, key: checked.key)),
                    .change(.name(name), LinkSettings(up: true)),
                ])
            } catch {
                sweeper.retire(HostLink(name: name, index: 0, isTap: true))
                throw error
            }
            return HostLink(name: name, index: try session().link(named: name)?.index ?? 0, isTap: true)
        }
        return attachments[EndpointKey(endpoint)]?.link.name ?? ""
    }

    /// The name that the host's end gets. What is left of an earlier link of this endpoint under that name goes.
    private func hostName(_ checked: CheckedEndpoint) throws -> String {
        guard let name = checked.endpoint.hostName else { return HostLink.randomName() }
        guard let link = try session().link(named: name) else { return name }
        guard let alias = link.alias, alias.hasPrefix(HostLink.aliasPrefix), alias.hasSuffix(":" + checked.key.alias)
        else {
            throw EngineError(
                .conflict, "the host has an interface \(Names.quoted(name)) already",
                hint: "choose another host_name, or leave it out")
        }
        try ignoringGone { try session().perform([.deleteLink(.index(link.index))]) }
        return name
    }

    public func disconnect(_ endpoint: NetworkEndpoint) throws {
        if endpoint.direct != nil {
            do { return try detachDirect(EndpointKey(endpoint), from: nil) } catch {
                throw Self.engineError(error, "nic \(endpoint.device) of instance \(endpoint.hostname)")
            }
        }
        ready.remove(EndpointKey(endpoint))
        guard let attachment = attachments.removeValue(forKey: EndpointKey(endpoint)) else { return }
        sweeper.retire(attachment.link)
        guard let network = networks[attachment.checked.endpoint.network] else { return }
        do {
            try withdrawRules(attachment.checked.endpoint.rules, of: attachment.link.name)
            try withdraw(attachment.checked, network)
            try shareNames()
        } catch {
            throw Self.engineError(error, "endpoint \(endpoint.device) of instance \(endpoint.hostname)")
        }
    }

    public func refresh(_ endpoint: NetworkEndpoint) throws {
        guard endpoint.direct == nil else {
            do { return try refreshDirect(endpoint) } catch {
                throw Self.engineError(error, "nic \(endpoint.device) of instance \(endpoint.hostname)")
            }
        }
        guard let old = attachments[EndpointKey(endpoint)], let network = networks[endpoint.network] else { return }
        do {
            let checked = try CheckedEndpoint(supported(endpoint), in: network.managed)
            try apply(
                InterfaceTable(checked, link: old.link.name), replacing: old.checked.endpoint.rules)
            attachments[checked.key] = Attachment(checked: checked, link: old.link, reservations: old.reservations)
            try announce(checked, network)
            try shareNames()
        } catch {
            throw Self.engineError(error, "endpoint \(endpoint.device) of instance \(endpoint.hostname)")
        }
    }

    public func counters(_ endpoint: NetworkEndpoint) throws -> NetworkCounters? {
        guard let name = hostLink(EndpointKey(endpoint)), let found = try session().link(named: name) else {
            return nil
        }
        return NetworkCounters(hostSide: found)
    }

    public func links(of endpoints: [NetworkEndpoint]) throws -> [NetworkEndpoint: HostEnd] {
        let names = endpoints.compactMap { endpoint in hostLink(EndpointKey(endpoint)).map { (endpoint, $0) } }
        var links: [String: Link] = [:]
        if names.count > 3 {
            for link in try session().links(withStatistics: true) { links[link.name] = link }
        } else {
            for (_, name) in names { links[name] = try session().link(named: name) }
        }
        var ends: [NetworkEndpoint: HostEnd] = [:]
        for (endpoint, name) in names {
            guard let link = links[name], let counters = NetworkCounters(hostSide: link) else { continue }
            ends[endpoint] = HostEnd(name: name, mtu: Int(link.mtu), counters: counters)
        }
        return ends
    }

    private func hostLink(_ key: EndpointKey) -> String? { attachments[key]?.link.name ?? directs[key]?.link }

    public func leases(_ network: NetworkSpec) throws -> [NetworkLease] {
        guard let folder = networks[network.name]?.folder else { return [] }
        let text = String(decoding: try readSmallFile(folder.leases, limit: 16 << 20), as: UTF8.self)
        var names: [String: String] = [:]
        for attachment in attachments.values {
            names[attachment.checked.mac.description] = attachment.checked.endpoint.hostname
        }
        return DnsmasqConfiguration.leases(text, now: Double(Glibc.time(nil))) { names[$0] }
    }

    // MARK: Steps

    /// Reserves ports, makes the link by `makeLink` (which gets the endpoint's earlier link, if there is one), gives
    /// names and publishes ports. On error the endpoint is not connected and nothing of it is left.
    private func attach(
        _ endpoint: NetworkEndpoint, makeLink: (Network, CheckedEndpoint, HostLink?) throws -> HostLink
    ) throws {
        do {
            guard let network = networks[endpoint.network] else {
                throw EngineError(.notFound, "network \(endpoint.network) is not up")
            }
            let checked = try CheckedEndpoint(supported(endpoint), in: network.managed)
            let previous = attachments.removeValue(forKey: checked.key)
            var kept: [PortReservation] = []
            if let previous {
                kept = previous.reservations
                // Names and ports that stay the same are simply written again below.
                if let old = networks[previous.checked.endpoint.network] { try withdraw(previous.checked, old) }
                try withdrawRules(previous.checked.endpoint.rules, of: previous.link.name)
            }
            let reservations = try reserve(checked, reusing: kept)
            let link: HostLink
            do {
                link = try linkOnBridge(network, checked, previous?.link, makeLink)
            } catch {
                if let previous { sweeper.retire(previous.link) }
                throw error
            }
            if let previous { sweeper.retire(previous.link) }
            attachments[checked.key] = Attachment(checked: checked, link: link, reservations: reservations)
            do {
                try announce(checked, network)
                try shareNames()
                try publish(checked.ports, network)
                try apply(InterfaceTable(checked, link: link.name), replacing: nil)
            } catch {
                attachments[checked.key] = nil
                _ = try? withdrawRules(checked.endpoint.rules, of: link.name)
                sweeper.retire(link)
                // The first failure is the one to report; the files and elements are also removed by `adopt`.
                do { try withdraw(checked, network) } catch {
                    log.warning("endpoint \(checked.key.fileName): \(error)")
                }
                throw error
            }
        } catch {
            throw Self.engineError(error, "endpoint \(endpoint.device) of instance \(endpoint.hostname)")
        }
    }

    /// Somebody may have deleted the bridge: then it is made anew, once.
    private func linkOnBridge(
        _ network: Network, _ checked: CheckedEndpoint, _ previous: HostLink?,
        _ makeLink: (Network, CheckedEndpoint, HostLink?) throws -> HostLink
    ) throws -> HostLink {
        do {
            return try makeLink(network, checked, previous)
        } catch let error as NetlinkError {
            guard try session().link(named: network.managed.spec.bridge)?.index != network.bridge else { throw error }
            log.warning("bridge \(network.managed.spec.bridge) is gone: making it anew")
            try up(network.managed.spec)
            guard let again = networks[network.managed.spec.name] else { throw error }
            return try makeLink(again, checked, previous)
        }
    }

    private func reserve(_ checked: CheckedEndpoint, reusing kept: [PortReservation]) throws -> [PortReservation] {
        var reservations: [PortReservation] = []
        for port in checked.ports {
            for other in attachments.values where other.checked.ports.contains(where: { $0.collides(with: port) }) {
                throw EngineError(
                    .conflict,
                    "port \(port) for instance \(checked.endpoint.hostname) is published by instance "
                        + other.checked.endpoint.hostname,
                    hint: "choose another host port", resource: "port \(port)")
            }
            let sharers = attachments.values.flatMap(\.reservations).filter { $0.port.service == port.service }
            if let same = (kept + (port.service == nil ? [] : sharers)).first(where: { $0.port.isBoundLike(port) }) {
                reservations.append(same)
            } else {
                reservations.append(try PortReservation(port, for: checked.endpoint.hostname))
            }
        }
        return reservations
    }

    /// Writes the endpoint's names, and its DHCP reservation if the guest configures itself.
    func announce(_ checked: CheckedEndpoint, _ network: Network) throws {
        let files = dnsmasqConfiguration(network.managed, network.folder)
        let name = checked.key.fileName
        let hosts = files.hosts(checked)
        if !hosts.isEmpty { try network.folder.replace(network.folder.hosts + "/" + name, with: Array(hosts.utf8)) }
        guard checked.endpoint.configuredByGuest else { return }
        let reservation = Array(files.reservation(checked).utf8)
        try network.folder.replace(network.folder.reservations + "/" + name, with: reservation)
    }

    func publish(_ ports: [PublishedPort], _ network: Network) throws {
        guard !ports.isEmpty else { return }
        let table = FirewallTable(network: network.managed)
        do {
            let shared = ports.contains { $0.service != nil }
            try nftables().run(
                table.add(ports.filter { $0.service == nil })
                    + (shared ? table.balance(sharedPorts(of: network.managed.spec.name)) : ""))
        } catch {
            // The table is not as we left it: whoever flushed the ruleset took the other ports away too.
            log.warning("firewall table \(network.managed.table) is made anew: \(error)")
            let name = network.managed.spec.name
            try nftables().run(table.replace(ports: self.ports(of: name), shared: sharedPorts(of: name)))
        }
    }

    /// Takes names, reservation and published ports of the endpoint away.
    func withdraw(_ checked: CheckedEndpoint, _ network: Network) throws {
        let name = checked.key.fileName
        try network.folder.removeFile(network.folder.hosts + "/" + name)
        if try network.folder.removeFile(network.folder.reservations + "/" + name) {
            // Reservations, unlike names, are only forgotten when all are read again.
            try service(network.folder).reload(network.dnsmasq)
        }
        guard !checked.ports.isEmpty else { return }
        let table = FirewallTable(network: network.managed)
        let own = checked.ports.filter { $0.service == nil }
        let rest = sharedPorts(of: network.managed.spec.name).filter { !checked.ports.contains($0) }
        do {
            try nftables().run(table.delete(own) + (own.count < checked.ports.count ? table.balance(rest) : ""))
        } catch {
            let others = ports(of: network.managed.spec.name).filter { !checked.ports.contains($0) }
            try nftables().run(table.replace(ports: others, shared: rest))
        }
    }
}

extension PublishedPort {
    /// Whether both occupy the same port of the host, wherever they lead.
    func isBoundLike(_ other: PublishedPort) -> Bool {
        transport == other.transport && hostAddress == other.hostAddress && hostPort == other.hostPort
    }
}

extension NetworkCounters {
    /// What the host's end sends is what the guest receives. A macvtap is the guest's own end.
    init?(hostSide link: Link) {
        guard let statistics = link.statistics else { return nil }
        let own = NetworkCounters(statistics)
        guard link.kind != "macvtap" else {
            self = own
            return
        }
        self.init(
            bytesReceived: own.bytesSent, bytesSent: own.bytesReceived, packetsReceived: own.packetsSent,
            packetsSent: own.packetsReceived)
        (errorsReceived, errorsSent) = (own.errorsSent, own.errorsReceived)
        (droppedReceived, droppedSent) = (own.droppedSent, own.droppedReceived)
    }

    init(_ statistics: LinkStatistics) {
        self.init(
            bytesReceived: Int64(clamping: statistics.bytesReceived), bytesSent: Int64(clamping: statistics.bytesSent),
            packetsReceived: Int64(clamping: statistics.packetsReceived),
            packetsSent: Int64(clamping: statistics.packetsSent))
        errorsReceived = Int64(clamping: statistics.errorsReceived)
        errorsSent = Int64(clamping: statistics.errorsSent)
        droppedReceived = Int64(clamping: statistics.droppedReceived)
        droppedSent = Int64(clamping: statistics.droppedSent)
    }
}
