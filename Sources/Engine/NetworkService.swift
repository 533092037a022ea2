import StateStore
public import DriverKit
import Logging
import Model

/// Managed networks: their records, the addresses on them, and when they exist on the host. A network is brought up
/// with its first endpoint and taken away when it has been without one for a while.
public actor NetworkService {
    let parts: EngineParts
    var networks: [String: NetworkSpec] = [:]
    var unreadable = UnreadableRecords("network")
    var acls: [String: NetworkACL] = [:]
    var unreadableACLs = UnreadableRecords("network ACL")
    /// Connected endpoints by network.
    var connected: [String: Set<NetworkEndpoint>] = [:]
    var isUp: Set<String> = []
    private var lingering: [String: Task<Void, Never>] = [:]
    /// What reads the living endpoints, while that has not worked since the daemon's start.
    private var untaken: (@Sendable () async throws -> [NetworkEndpoint])?
    let lock = KeyedLock<String>()
    /// How long an unused network stays, so that one short-lived instance after the other does not make it anew.
    private let linger: Duration

    init(parts: EngineParts, linger: Duration = .seconds(30)) {
        self.parts = parts
        self.linger = linger
    }

    /// Loads the networks; stores `standard` if there is none of its name.
    func load(standard: NetworkSpec) async throws {
        try await loadACLs()
        let (records, broken) = try await parts.store.networks(NetworkSpec.self)
        unreadable.found(broken, parts.logger)
        for network in records { networks[network.name] = network }
        if networks[standard.name] == nil, !broken.contains(standard.name) {
            try await parts.store.saveNetwork(standard, name: standard.name)
            networks[standard.name] = standard
        }
    }

    public func list() -> [NetworkSpec] { networks.values.sorted { $0.name < $1.name } }

    /// `notFound` if there is none.
    public func get(_ name: String) throws -> NetworkSpec {
        guard let network = networks[name] else {
            try unreadable.refuse(name)
            throw EngineError(.notFound, "network \(Names.quoted(name)) does not exist", hint: "isle network list")
        }
        return network
    }

    /// Whether its bridge is on the host now.
    public func isUp(_ name: String) -> Bool { isUp.contains(name) }

    /// Every endpoint that is connected, with its published ports.
    public func endpoints() -> [NetworkEndpoint] {
        connected.values.flatMap { $0 }.sorted {
            ($0.network, $0.hostname, $0.device) < ($1.network, $1.hostname, $1.device)
        }
    }

    /// `alreadyExists` if name or bridge are taken, `conflict` if the subnet overlaps another network's.
    ///
    /// An address that is `auto` is chosen here.
    public func create(_ wanted: NetworkSpec) async throws {
        try Names.checkResource(wanted.name, "network")
        try unreadable.refuse(wanted.name)
        let network = try await completed(wanted)
        // One after the other, so that of two with the same name, bridge or subnet one is refused.
        try await lock.withLock(Self.aclLock) {
            guard networks[network.name] == nil else {
                throw EngineError(.alreadyExists, "network \(Names.quoted(network.name)) exists already")
            }
            guard (1...15).contains(network.bridge.utf8.count),
                !networks.values.contains(where: { $0.bridge == network.bridge })
            else {
                throw EngineError(
                    .invalidArgument, "bridge name \(Names.quoted(network.bridge)) is too long or taken")
            }
            try checkSettings(network)
            try checkSecurity(network)
            try await parts.store.saveNetwork(network, name: network.name)
            networks[network.name] = network
        }
        parts.events.lifecycle("network-created", "/1.0/networks/\(network.name)")
    }

    /// `invalidArgument` for a domain, a subnet or ranges that are none, `conflict` if the subnet overlaps that of another
    /// network.
    func checkSettings(_ network: NetworkSpec) throws {
        guard Names.isDomain(network.domain) else {
            throw EngineError(
                .invalidArgument, "dns.domain: \(Names.quoted(network.domain)) is not a domain name",
                hint: "letters, digits, '-' and '_', in parts between dots")
        }
        for family in [IPAddress.Family.v4, .v6] { _ = try network.gateway(family) }
        try NetworkSubnets.check(network.dhcp?.ranges ?? [], in: network.ipv4)
        if let text = network.ipv4 {
            guard let subnet = IPv4Subnet(text) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(text)) is not a subnet",
                    hint: "write the gateway with its prefix length, as 10.99.0.1/24")
            }
            for other in networks.values where other.name != network.name {
                guard let taken = other.ipv4.flatMap({ IPv4Subnet($0) }) else { continue }
                if taken.contains(subnet.gateway) || subnet.contains(taken.gateway) {
                    throw EngineError(
                        .conflict, "subnet \(text) overlaps that of network \(other.name), \(other.ipv4 ?? "")")
                }
            }
        }
    }

    /// - Parameter usedBy: names of the instances that use it; must be empty.
    public func delete(_ name: String, usedBy: [String]) async throws {
        let network = try get(name)
        guard usedBy.isEmpty else {
            throw EngineError(
                .conflict, "network \(Names.quoted(name)) is used by \(usedBy.joined(separator: ", "))",
                hint: "take it from those instances and profiles first")
        }
        try await finishTakeOver()
        try await lock.withLock(name) {
            try await parts.network.down(network)
            isUp.remove(name)
        }
        try await parts.store.deleteNetwork(name: name)
        networks[name] = nil
        parts.events.lifecycle("network-deleted", "/1.0/networks/\(name)")
    }

    /// Leases of the DHCP service and addresses of connected endpoints.
    public func leases(_ name: String) async throws -> [NetworkLease] {
        let network = try get(name)
        var leases = (connected[name] ?? []).compactMap { endpoint in
            endpoint.ipv4.map { NetworkLease(hostname: endpoint.hostname, mac: endpoint.mac, address: $0) }
        }
        if isUp.contains(name) {
            for lease in try await parts.network.leases(network)
            where !leases.contains(where: { $0.address == lease.address }) {
                leases.append(lease)
            }
        }
        return leases.sorted { $0.hostname < $1.hostname }
    }

    /// Those that are connected and have an end on the host.
    func links(of endpoints: [NetworkEndpoint]) async throws -> [NetworkEndpoint: HostEnd] {
        endpoints.isEmpty ? [:] : try await parts.network.links(of: endpoints)
    }

    func interfaces(in namespace: OwnedDescriptor) async throws -> [GuestInterface] {
        try await parts.network.interfaces(in: namespace)
    }

    public func counters(_ endpoint: NetworkEndpoint) async throws -> NetworkCounters? {
        try await parts.network.counters(endpoint)
    }

    // MARK: for instances

    /// The network mode of an instance: its nics with addresses reserved, its ports on the first of them.
    func mode(for record: InstanceRecord, devices: Devices) async throws -> NetworkMode {
        if devices.hostNetwork {
            guard record.kind == .application || record.kind == .system else {
                throw EngineError(
                    .unsupported, "a \(record.kind.rawValue) cannot use the host's network",
                    hint: "use a managed network")
            }
            return .host
        }
        guard !devices.nics.isEmpty else {
            if let proxy = devices.proxies.first {
                throw EngineError(
                    .invalidArgument, "port device \(Names.quoted(proxy.device)) needs a network interface",
                    hint: "connect the instance to a network")
            }
            return .none
        }
        let main = mainNic(devices)
        try checkPorts(devices, main: main)
        var endpoints: [NetworkEndpoint] = []
        for nic in devices.nics {
            let reservation = try await reserve(record, nic)
            endpoints.append(endpoint(record, nic, reservation, main: main, ports: devices.proxies))
        }
        return .endpoints(endpoints)
    }

    /// What every instance has reserved.
    func reservations() async throws -> [InstanceID: [AddressReservation]] {
        Dictionary(grouping: try await parts.store.reservations(), by: \.instance)
    }

    /// The endpoints of an instance as they were last reserved, without reserving any.
    ///
    /// - Parameter known: what `reservations` gave, for a caller that asks for many instances.
    func reserved(
        _ record: InstanceRecord, _ merged: MergedConfig, known: [InstanceID: [AddressReservation]]? = nil
    ) async throws -> [NetworkEndpoint] {
        let devices = try Devices(merged.devices)
        guard !devices.nics.isEmpty else { return [] }
        let own: [AddressReservation]
        if let known { own = known[record.id] ?? [] } else { own = try await parts.store.reservations(of: record.id) }
        let main = mainNic(devices)
        return devices.nics.compactMap { nic in
            own.first { $0.device == nic.device }
                .map { endpoint(record, nic, $0, main: main, ports: devices.proxies) }
        }
    }

    /// The endpoints of an instance of which nothing but its reservations can be read: enough to leave its links and
    /// addresses alone. Its name stands in for by its id, and its ports are not known.
    func reserved(unreadable id: InstanceID) async throws -> [NetworkEndpoint] {
        try await reservations()[id, default: []].map { held in
            let nic = Devices.Nic(device: held.device, interface: held.device, network: held.network)
            let record = InstanceRecord(id: id, name: id.raw, kind: .system, architecture: "", createdAt: 0)
            return endpoint(record, nic, held, main: nil, ports: [])
        }
    }

    private func reserve(_ record: InstanceRecord, _ nic: Devices.Nic) async throws -> AddressReservation {
        let previous = try await parts.store.reservations(of: record.id).first { $0.device == nic.device }
        guard nic.direct == nil else {
            return try await parts.store.reserve(record.id, device: nic.device, network: "") { _ in
                AddressChooser.choose(instance: record.id, direct: nic, previous: previous)
            }
        }
        let network = try get(nic.network)
        let subnets = NetworkSubnets(
            ipv4: network.ipv4, ipv6: network.ipv6, ranges: network.dhcp?.ranges ?? [])
        return try await parts.store.reserve(record.id, device: nic.device, network: nic.network) { taken in
            try AddressChooser.choose(instance: record.id, nic: nic, network: subnets, previous: previous, taken: taken)
        }
    }

    private func endpoint(
        _ record: InstanceRecord, _ nic: Devices.Nic, _ reservation: AddressReservation, main: Devices.Nic?,
        ports: [Devices.Proxy]
    ) -> NetworkEndpoint {
        if let direct = nic.direct { return endpoint(record, nic, direct, mac: reservation.mac, main: main) }
        let network = networks[nic.network]
        let gateway4 = network?.ipv4.map { String($0.prefix { $0 != "/" }) }
        let gateway6 = network?.ipv6.map { String($0.prefix { $0 != "/" }) }
        var endpoint = NetworkEndpoint(
            instance: record.id, hostname: record.name, aliases: aliases(record, nic), network: nic.network,
            device: nic.interface,
            mac: reservation.mac, ipv4: reservation.ipv4, ipv6: reservation.ipv6,
            configuredByGuest: record.kind == .system || record.kind == .machine,
            ports: nic == main ? ports.compactMap { self.mapping($0, record) } : [],
            gateway4: gateway4, gateway6: gateway6, dns: [gateway4 ?? gateway6].compactMap { $0 },
            searchDomains: network.map { [$0.domain] } ?? [])
        endpoint.hasDefaultRoute = nic == main && leadsOut(nic)
        (endpoint.hostName, endpoint.mtu, endpoint.rules) = (nic.hostName, nic.mtu, nic.rules)
        return endpoint
    }

    /// One on no network: what it has of addresses stands in the device, or is between the instance and the world.
    private func endpoint(
        _ record: InstanceRecord, _ nic: Devices.Nic, _ direct: DirectLink, mac: String, main: Devices.Nic?
    ) -> NetworkEndpoint {
        let isRouted = direct.kind == .routed
        var endpoint = NetworkEndpoint(
            instance: record.id, hostname: record.name, network: "", device: nic.interface, mac: mac,
            ipv4: direct.ipv4.addresses.first, ipv6: direct.ipv6.addresses.first,
            configuredByGuest: record.kind == .machine || record.kind == .system && !isRouted, prefixLength4: 32,
            prefixLength6: 128)
        endpoint.hasDefaultRoute = isRouted && nic == main
        endpoint.direct = direct
        endpoint.rules = nic.rules
        return endpoint
    }

    /// Also known by the beginning of its id, as Docker's instances are.
    private func aliases(_ record: InstanceRecord, _ nic: Devices.Nic) -> [String] {
        let short = String(record.id.raw.prefix(12))
        return nic.aliases.filter { $0 != record.name && $0 != short } + [short]
    }

    /// The interface that has the default routes and the published ports: of those whose network leads out the one with
    /// the highest priority, the first among equals.
    private func mainNic(_ devices: Devices) -> Devices.Nic? {
        func rank(_ index: Int) -> (Int, Int, Int) {
            let nic = devices.nics[index]
            return (leadsOut(nic) ? 1 : 0, nic.gatewayPriority, -index)
        }
        return devices.nics.indices.max(by: { rank($0) < rank($1) }).map { devices.nics[$0] }
    }

    private func leadsOut(_ nic: Devices.Nic) -> Bool {
        if let direct = nic.direct { return direct.kind == .routed }
        return networks[nic.network]?.isInternal != true
    }

    /// Ports can be published to interfaces on a network alone.
    private func checkPorts(_ devices: Devices, main: Devices.Nic?) throws {
        guard let proxy = devices.proxies.first, main?.direct != nil else { return }
        throw EngineError(
            .invalidArgument,
            "port device \(Names.quoted(proxy.device)) cannot lead to \(Names.quoted(main?.device ?? "")), which is on no managed network",
            hint: "set nat=false, or give another interface a higher gateway.priority")
    }

    func connect(_ endpoint: NetworkEndpoint, namespace: OwnedDescriptor) async throws {
        try await use(endpoint) { try await parts.network.connect(endpoint, namespace: namespace) }
    }

    func tap(_ endpoint: NetworkEndpoint, owner: UInt32) async throws -> String {
        try await use(endpoint) { try await parts.network.tap(endpoint, owner: owner) }
    }

    /// Gives a connected endpoint other names and rules.
    func refresh(_ old: NetworkEndpoint, to new: NetworkEndpoint) async throws {
        guard connected[old.network]?.contains(old) == true else { return }
        try await parts.network.refresh(new)
        guard connected[old.network]?.remove(old) != nil else { return }
        connected[new.network]?.insert(new)
    }

    func disconnect(_ endpoint: NetworkEndpoint) async throws {
        defer { forget(endpoint) }
        try await parts.network.disconnect(endpoint)
    }

    /// Takes an interface of a container that goes on running away.
    func detach(_ endpoint: NetworkEndpoint, from namespace: OwnedDescriptor) async throws {
        defer { forget(endpoint) }
        try await parts.network.detach(endpoint, from: namespace)
    }

    /// Takes over the networks of instances that outlived the last daemon, once `living` can tell which endpoints those
    /// are. Until then nothing is changed on the host: `use` and `delete` try it again and fail when that fails.
    func takeOver(_ living: @escaping @Sendable () async throws -> [NetworkEndpoint]) async throws {
        untaken = living
        try await finishTakeOver()
    }

    private func finishTakeOver() async throws {
        guard untaken != nil else { return }
        // No network has the empty name.
        try await lock.withLock("") {
            guard let living = untaken else { return }
            let endpoints: [NetworkEndpoint]
            do { endpoints = try await living() } catch {
                throw EngineError(
                    .unavailable,
                    "it cannot be read which networks running instances use, so all networks are left as they are",
                    hint: "see the daemon's log; it is tried again with the next start", cause: error)
            }
            untaken = nil
            do { try await adopt(endpoints) } catch {
                // Instances without that network still run and are managed; starts that need it say what is wrong.
                parts.logger.error("the networks could not be taken over", metadata: ["error": "\(error)"])
            }
        }
    }

    private func adopt(_ endpoints: [NetworkEndpoint]) async throws {
        for endpoint in endpoints { connected[endpoint.network, default: []].insert(endpoint) }
        var used: [NetworkSpec] = []
        // What is on a network of which not everything can be read stays as it is, and keeps nothing from the others.
        var keepsOthers = !unreadable.names.isEmpty
        for network in networks.values where connected[network.name]?.isEmpty == false {
            do { used.append(try withACLs(network)) } catch {
                keepsOthers = true
                parts.logger.error(
                    "a network is left as it is", metadata: ["network": "\(network.name)", "error": "\(error)"])
            }
        }
        let known = Set(used.map(\.name))
        try await parts.network.adopt(
            used, endpoints: endpoints.filter { $0.network.isEmpty || known.contains($0.network) },
            keepsOthers: keepsOthers)
        for network in used {
            try await parts.network.up(network)
            isUp.insert(network.name)
        }
    }

    /// Takes unused networks away at once, at the daemon's end.
    func shutdown() async {
        for task in lingering.values { task.cancel() }
        for name in isUp where connected[name]?.isEmpty ?? true { await takeDown(name) }
    }

    private func use<Result: Sendable>(_ endpoint: NetworkEndpoint, _ body: () async throws -> Result) async throws
        -> Result
    {
        try await finishTakeOver()
        guard endpoint.direct == nil else {
            connected["", default: []].insert(endpoint)
            do { return try await body() } catch {
                forget(endpoint)
                throw error
            }
        }
        let network = try get(endpoint.network)
        // One that was changed takes the place of what it was.
        connected[endpoint.network] = (connected[endpoint.network] ?? []).filter {
            $0.instance != endpoint.instance || $0.device != endpoint.device
        }
        connected[endpoint.network, default: []].insert(endpoint)
        lingering.removeValue(forKey: endpoint.network)?.cancel()
        do {
            if !isUp.contains(network.name) {
                try await lock.withLock(network.name) {
                    if !isUp.contains(network.name) {
                        try await parts.network.up(try withACLs(network))
                        isUp.insert(network.name)
                    }
                }
            }
            return try await body()
        } catch {
            forget(endpoint)
            throw error
        }
    }

    private func forget(_ endpoint: NetworkEndpoint) {
        connected[endpoint.network]?.remove(endpoint)
        guard connected[endpoint.network]?.isEmpty ?? true, isUp.contains(endpoint.network) else { return }
        lingering[endpoint.network]?.cancel()
        let name = endpoint.network
        let linger = linger
        lingering[name] = Task { [weak self] in
            do { try await Task.sleep(for: linger) } catch { return }
            await self?.takeDown(name)
        }
    }

    private func takeDown(_ name: String) async {
        guard let network = networks[name] else { return }
        do {
            try await lock.withLock(name) {
                guard connected[name]?.isEmpty ?? true, isUp.contains(name) else { return }
                isUp.remove(name)
                try await parts.network.down(network)
            }
        } catch {
            parts.logger.warning(
                "taking the network down failed", metadata: ["network": "\(name)", "error": "\(error)"])
        }
    }
}
