public import DriverKit
import LinuxHost
import Logging
public import Model
import Netlink
import Nftables

// Interfaces that are on no managed network.
extension BridgeNetwork {
    var directFolder: DirectFolder { DirectFolder(runDirectory: configuration.runDirectory) }

    /// Connects a container's.
    func connectDirect(
        _ endpoint: NetworkEndpoint, _ direct: DirectLink, namespace: OwnedDescriptor
    ) async throws {
        try await attachDirect(endpoint, direct, previousIn: namespace) { connection, parent, name in
            switch (direct.kind, parent) {
            case (.macvlan, let parent?): try await connection.makeMacvlan(parent, in: namespace)
            case (.macvlan, nil): throw EngineError(.invalidArgument, "nic \(endpoint.device) names no parent")
            case (.p2p, _), (.routed, _): try connection.makeVeth(name, in: namespace)
            }
        }
    }

    /// Connects a machine's, and gives the interface's name or device file.
    func tapDirect(_ endpoint: NetworkEndpoint, _ direct: DirectLink, owner: UInt32) async throws -> String {
        try await attachDirect(endpoint, direct, previousIn: nil) { connection, parent, name in
            switch (direct.kind, parent) {
            case (.macvlan, let parent?): return try await connection.makeMacvtap(parent, name: name)
            case (.macvlan, nil): throw EngineError(.invalidArgument, "nic \(endpoint.device) names no parent")
            case (.p2p, _), (.routed, _):
                try connection.makeTap(name, owner: owner)
                return name
            }
        }
    }

    private func attachDirect<Result>(
        _ endpoint: NetworkEndpoint, _ direct: DirectLink, previousIn namespace: OwnedDescriptor?,
        make: (DirectConnection, UInt32?, String) async throws -> Result
    ) async throws -> Result {
        do {
            let checked = try DirectEndpoint(endpoint, direct)
            try detachDirect(checked.key, from: namespace)
            let connection = DirectConnection(
                checked: checked, session: try session(), alias: directFolder.alias(checked.key))
            let parent = try connection.parent()
            try checkTaken(checked)
            if direct.kind == .routed {
                try connection.checkForwarding()
                if let parent { try await connection.checkNeighbours(parent) }
            }
            let isInside = direct.kind == .macvlan && namespace != nil
            let name = isInside ? endpoint.device : direct.hostName ?? HostLink.randomName()
            if !isInside, try session().link(named: name) != nil {
                throw EngineError(
                    .conflict, "the host has an interface \(Names.quoted(name)) already",
                    hint: "choose another host_name, or leave it out")
            }
            let record = DirectRecord(endpoint: endpoint, link: isInside ? nil : name)
            try directFolder.write(record)
            directs[checked.key] = record
            do {
                let result = try await make(connection, parent, name)
                if direct.kind == .routed { try confine(record, parent) }
                if let table = InterfaceTable(record) { try apply(table, replacing: nil) }
                return result
            } catch {
                do { try detachDirect(checked.key, from: namespace) } catch let second {
                    log.error("interface \(checked.key.fileName): left-overs remain: \(second)")
                }
                throw error
            }
        } catch {
            throw Self.engineError(error, "nic \(endpoint.device) of instance \(endpoint.hostname)")
        }
    }

    /// Holds a connected one to the rules that it has now.
    func refreshDirect(_ endpoint: NetworkEndpoint) throws {
        guard var record = directs[EndpointKey(endpoint)] else { return }
        let old = record.endpoint.rules
        record.endpoint.rules = endpoint.rules
        if let table = InterfaceTable(record) { try apply(table, replacing: old) }
        try directFolder.write(record)
        directs[EndpointKey(endpoint)] = record
    }

    /// Takes links, addresses that the host answers for, and rules of the endpoint away; no error if there is nothing.
    func detachDirect(_ key: EndpointKey, from namespace: OwnedDescriptor?) throws {
        guard let record = try directs[key] ?? directFolder.read(key) else { return }
        try undo(record)
        if record.link == nil, let namespace {
            let inside = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
            try ignoringGone { try inside.perform([.deleteLink(.name(record.endpoint.device))]) }
        }
        try directFolder.remove(key)
        directs[key] = nil
    }

    /// Keeps what living instances have and takes the rest of earlier runs away.
    func adoptDirect(_ endpoints: [NetworkEndpoint], keepsOthers: Bool) throws {
        let (records, damaged) = directFolder.all()
        for path in damaged { log.error("\(path) is damaged: what an interface changed on the host stays") }
        let living = Set(endpoints.filter { $0.direct != nil }.map { EndpointKey($0) })
        // Of an instance of which nothing but addresses can be read.
        let unknown = Set(endpoints.filter { $0.direct == nil && $0.network.isEmpty }.map(\.instance))
        var failure: (any Error)?
        for record in records {
            let key = EndpointKey(record.endpoint)
            if living.contains(key) || unknown.contains(key.instance) || keepsOthers {
                directs[key] = record
                continue
            }
            directs[key] = record
            do { try detachDirect(key, from: nil) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// `conflict` if another interface of ours has one of the addresses.
    private func checkTaken(_ checked: DirectEndpoint) throws {
        for (key, other) in directs where key != checked.key {
            guard let direct = other.endpoint.direct, direct.kind == .routed else { continue }
            let taken = try DirectEndpoint(other.endpoint, direct).addresses
            guard let address = checked.addresses.first(where: taken.contains) else { continue }
            throw EngineError(
                .conflict, "address \(address) belongs to instance \(other.endpoint.hostname)",
                hint: "choose another address")
        }
    }

    /// Has the host answer for the addresses on the parent, and drop what comes from other addresses.
    private func confine(_ record: DirectRecord, _ parent: UInt32?) throws {
        guard let direct = record.endpoint.direct, let link = record.link else { return }
        let checked = try DirectEndpoint(record.endpoint, direct)
        let table = DirectRecord.table(link)
        try nftables().run(
            """
            table inet \(table) {
              chain prerouting {
                type filter hook prerouting priority raw
                iifname "\(link)" fib saddr . iif oif missing drop
              }
            }
            """)
        if let parent { try session().perform(checked.addresses.map { .answer(for: $0, link: parent) }) }
    }

    private func undo(_ record: DirectRecord) throws {
        guard let direct = record.endpoint.direct else { return }
        if direct.kind == .routed {
            let checked = try DirectEndpoint(record.endpoint, direct)
            if let name = direct.parent, let parent = try session().link(named: name)?.index {
                for address in checked.addresses {
                    try ignoringGone { try session().perform([.stopAnswering(for: address, link: parent)]) }
                }
            }
            // Adding what is there is no error; deleting what is not would be one.
            if let link = record.link {
                let table = DirectRecord.table(link)
                try nftables().run("add table inet \(table)\ndelete table inet \(table)")
            }
        }
        if let link = record.link { try withdrawRules(record.endpoint.rules, of: link) }
        guard let name = record.link, let link = try session().link(named: name),
            // One with a name of our making may not have got its mark any more.
            link.alias == directFolder.alias(EndpointKey(record.endpoint))
                || link.alias == nil && name != direct.hostName
        else { return }
        try ignoringGone { try session().perform([.deleteLink(.name(name))]) }
    }

    /// For what takes away what may have gone by itself.
    func ignoringGone(_ body: () throws -> Void) throws {
        do { try body() } catch let error as NetlinkError where error.isGone {}
    }
}

extension BridgeNetwork {
    public func detach(_ endpoint: NetworkEndpoint, from namespace: OwnedDescriptor) throws {
        guard endpoint.direct != nil else {
            let link = attachments[EndpointKey(endpoint)]?.link
            try disconnect(endpoint)
            // The instance lives on and sees it: nothing else takes it away.
            guard let link else { return }
            do {
                try ignoringGone { try session().perform([.deleteLink(.name(link.name))]) }
            } catch { throw Self.engineError(error, "nic \(endpoint.device) of instance \(endpoint.hostname)") }
            return
        }
        do { try detachDirect(EndpointKey(endpoint), from: namespace) } catch {
            throw Self.engineError(error, "nic \(endpoint.device) of instance \(endpoint.hostname)")
        }
    }

    public func interfaces(in namespace: OwnedDescriptor) throws -> [GuestInterface] {
        do {
            let inside = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
            let addresses = Dictionary(grouping: try inside.addresses(), by: \.link)
            return try inside.links(withStatistics: true).map { GuestInterface($0, addresses[$0.index] ?? []) }
        } catch {
            throw Self.engineError(error, "the interfaces of an instance")
        }
    }
}

extension GuestInterface {
    init(_ link: Link, _ addresses: [InterfaceAddress]) {
        self.init(
            name: link.name, mac: link.isLoopback ? "" : link.mac?.description ?? "", mtu: Int(link.mtu),
            isUp: link.isUp, isLoopback: link.isLoopback,
            addresses: addresses.map { found in
                let address = found.prefix.address
                return Address(
                    address: address.description, prefixLength: found.prefix.length, isIPv6: address.family == .v6,
                    scope: address.isLoopback ? "local" : address.isLinkLocal ? "link" : "global")
            },
            counters: link.statistics.map { NetworkCounters($0) }
                ?? NetworkCounters(bytesReceived: 0, bytesSent: 0, packetsReceived: 0, packetsSent: 0))
    }
}
