public import DriverKit
import Glibc
import LinuxHost
public import Logging
public import Model
import Netlink
import Nftables

/// Managed networks made of a Linux bridge, an nftables table and a dnsmasq process each.
///
/// Everything happens in one network namespace, usually the process's own. Host changes carry a mark by which a later daemon
/// knows them: the bridge and its ports an alias (`isle:…`), rules in tables of others a comment, our own table and
/// files their name. A network's folder below the run directory holds a journal of settings that were changed.
///
/// After a restart call `adopt` first: `up` publishes the ports of the endpoints that the driver knows.
public actor BridgeNetwork: NetworkDriver {
    /// What is the same for all networks of one daemon.
    public struct Configuration: Sendable {
        /// The daemon's run directory, absolute; `networks/` is made in it. Other users must be able to pass
        /// through it (mode 0711 does), since dnsmasq runs unprivileged.
        public var runDirectory: String
        public var resolvers: Resolvers
        /// Path or name of dnsmasq.
        public var dnsmasq: String
        /// The network namespace that plays the host; nil is the process's own.
        public var namespace: OwnedDescriptor?
        /// False: networks come up with IPv4 alone, whatever was asked for. It is what the kernel can do, unless it
        /// is set otherwise.
        public var ipv6: Bool = access("/proc/sys/net/ipv6", F_OK) == 0

        public init(
            runDirectory: String, resolvers: Resolvers = .host, dnsmasq: String = "dnsmasq",
            namespace: OwnedDescriptor? = nil
        ) {
            self.runDirectory = runDirectory
            self.resolvers = resolvers
            self.dnsmasq = dnsmasq
            self.namespace = namespace
        }
    }

    /// A network that is up.
    struct Network {
        var managed: ManagedNetwork
        var folder: NetworkFolder
        /// Interface index of the bridge.
        var bridge: UInt32
        var dnsmasq: Pidfd
        /// Watches dnsmasq; ends with the network.
        var supervisor: Task<Void, Never>?
    }

    /// An endpoint that is connected.
    struct Attachment {
        var checked: CheckedEndpoint
        var link: HostLink
        var reservations: [PortReservation]
    }

    let configuration: Configuration
    let log: Logger
    private let thread: NetworkThread
    private let user = DnsmasqService.unprivilegedUser()
    private var openSession: NetlinkSession?
    private var openNftables: Nftables?
    var networks: [String: Network] = [:]
    var attachments: [EndpointKey: Attachment] = [:]
    /// Endpoints that are connected without a network.
    var directs: [EndpointKey: DirectRecord] = [:]
    /// What the files of foreign names hold, by network and file.
    var foreign: [String: [String: String]] = [:]
    /// Endpoints that connections to shared ports may lead to.
    var ready: Set<EndpointKey> = []
    let sweeper: LinkSweeper
    /// Looks after the firewall while a network is up.
    var firewallWatch: Task<Void, Never>?

    /// - Throws: `internal` if the namespace cannot be entered.
    public init(_ configuration: Configuration, log: Logger) throws {
        self.configuration = configuration
        self.log = log
        do {
            thread = try NetworkThread(in: configuration.namespace)
        } catch {
            throw Self.engineError(error, "the network driver")
        }
        sweeper = LinkSweeper(namespace: configuration.namespace, log: log)
    }

    deinit {
        for network in networks.values { network.supervisor?.cancel() }
        firewallWatch?.cancel()
    }

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    // MARK: Networks

    public func up(_ network: NetworkSpec) throws {
        let managed = try ManagedNetwork(supported(network))
        if let current = networks[network.name], current.managed.spec.bridge != network.bridge {
            throw EngineError(
                .conflict, "network \(network.name) is up on bridge \(current.managed.spec.bridge)",
                hint: "take it down before its bridge is renamed")
        }
        if let other = networks.values.first(where: {
            $0.managed.spec.bridge == network.bridge && $0.managed.spec.name != network.name
        }) {
            throw EngineError(
                .alreadyExists, "bridge \(network.bridge) belongs to network \(other.managed.spec.name) already")
        }
        do {
            try raise(managed)
        } catch {
            if networks[network.name] == nil {
                do {
                    try tearDown(bridge: network.bridge)
                } catch let second {
                    log.error("network \(network.name): left-overs of a failed start remain: \(second)")
                }
            }
            throw Self.engineError(error, "network \(network.name)")
        }
    }

    public func down(_ network: NetworkSpec) throws {
        let users = attachments.values.filter { $0.checked.endpoint.network == network.name }
        guard users.isEmpty else {
            let names = users.map(\.checked.endpoint.hostname).sorted().prefix(5).joined(separator: ", ")
            throw EngineError(
                .busy, "network \(network.name) is used by \(users.count) endpoint(s): \(names)",
                hint: "stop these instances first", resource: "network \(network.name)")
        }
        // The name goes into paths and commands below; what else is wrong with it must not keep it here.
        let managed = try ManagedNetwork(NetworkSpec(name: network.name, bridge: network.bridge, ipv4: nil, ipv6: nil))
        forget(network.name)
        do {
            try tearDown(bridge: managed.spec.bridge)
        } catch {
            throw Self.engineError(error, "network \(network.name)")
        }
    }

    /// Every step looks at what is there, so that it is right from any state of the host.
    private func raise(_ managed: ManagedNetwork) throws {
        let folder = folder(managed.spec.bridge)
        try folder.make()
        let bridge = try BridgeLink(managed, runDirectory: configuration.runDirectory).ensure(session())
        try enableForwarding(managed, folder)
        let nft = try nftables()
        try nft.run(
            FirewallTable(network: managed).replace(
                ports: ports(of: managed.spec.name), shared: sharedPorts(of: managed.spec.name)))
        passForeignFirewalls(managed, try nft.list("list ruleset"), nft)
        let dnsmasq = try service(folder).ensure(dnsmasqConfiguration(managed, folder).text)
        let before = networks[managed.spec.name]
        let sameProcess = before?.dnsmasq.pid == dnsmasq.pid && before?.supervisor != nil
        if !sameProcess { before?.supervisor?.cancel() }
        networks[managed.spec.name] = Network(
            managed: managed, folder: folder, bridge: bridge,
            dnsmasq: sameProcess ? before?.dnsmasq ?? dnsmasq : dnsmasq,
            supervisor: sameProcess ? before?.supervisor : supervise(managed.spec.name, dnsmasq))
        try watchFirewall()
    }

    /// Removes everything that a network of this bridge can have left on the host, in whatever state it is.
    func tearDown(bridge: String) throws {
        let folder = folder(bridge)
        let service = service(folder)
        if let process = service.find() { try service.stop(process) }
        let managed = try ManagedNetwork(NetworkSpec(name: bridge, bridge: bridge, ipv4: nil, ipv6: nil))
        let nft = try nftables()
        let foreign = ForeignFirewall(network: managed)
        let ruleset = try nft.list("list ruleset")
        let commands = foreign.remove(from: ruleset, ignoring: Self.isOwnTable)
        if !commands.isEmpty { try nft.run(commands) }
        if ruleset.tables.contains(where: { $0.family == "inet" && $0.name == managed.table }) {
            try nft.run(FirewallTable(network: managed).remove)
        }
        try BridgeLink(managed, runDirectory: configuration.runDirectory).remove(session())
        try restoreSettings(bridge, folder, nft)
        try folder.remove()
    }

    // MARK: Parts

    /// What of a network this host can do.
    func supported(_ network: NetworkSpec) -> NetworkSpec {
        guard !configuration.ipv6, network.ipv6 != nil else { return network }
        log.warning("network \(network.name) has no IPv6: the kernel of this host has none")
        var network = network
        network.ipv6 = nil
        return network
    }

    func supported(_ endpoint: NetworkEndpoint) -> NetworkEndpoint {
        guard !configuration.ipv6 else { return endpoint }
        var endpoint = endpoint
        endpoint.ipv6 = nil
        return endpoint
    }

    static func isOwnTable(_ name: String) -> Bool { name.hasPrefix("isle_") }

    func session() throws -> NetlinkSession {
        if let openSession { return openSession }
        let session = try NetlinkSession()
        openSession = session
        return session
    }

    func nftables() throws -> Nftables {
        if let openNftables { return openNftables }
        let nft = try Nftables()
        openNftables = nft
        return nft
    }

    func folder(_ bridge: String) -> NetworkFolder {
        NetworkFolder(runDirectory: configuration.runDirectory, bridge: bridge)
    }

    func service(_ folder: NetworkFolder) -> DnsmasqService {
        DnsmasqService(executable: configuration.dnsmasq, folder: folder, user: user)
    }

    func dnsmasqConfiguration(_ managed: ManagedNetwork, _ folder: NetworkFolder) -> DnsmasqConfiguration {
        DnsmasqConfiguration(
            network: managed, folder: folder,
            resolvers: managed.spec.isInternal == true ? .none : configuration.resolvers, user: user)
    }

    /// Stops looking after a network.
    func forget(_ name: String) {
        networks.removeValue(forKey: name)?.supervisor?.cancel()
        foreign[name] = nil
        guard networks.isEmpty else { return }
        firewallWatch?.cancel()
        firewallWatch = nil
    }

    /// Ports that are published into the network called `name`, each for one endpoint.
    func ports(of name: String) -> [PublishedPort] {
        attachments.values.filter { $0.checked.endpoint.network == name }.flatMap(\.checked.ports)
            .filter { $0.service == nil }
    }

    /// Ports of services in the network called `name`, of the endpoints that are ready.
    func sharedPorts(of name: String) -> [PublishedPort] {
        attachments.filter { $0.value.checked.endpoint.network == name && ready.contains($0.key) }
            .flatMap(\.value.checked.ports).filter { $0.service != nil }
    }

    /// Errors of the mechanisms as the engine's own, naming the thing.
    static func engineError(_ error: any Error, _ resource: String) -> EngineError {
        switch error {
        case var error as EngineError:
            error.resource = error.resource ?? resource
            return error
        case let error as NetlinkError:
            let isForbidden = error.errno == 1 || error.errno == 13
            return EngineError(
                isForbidden ? .permissionDenied : .internal, "\(resource): \(error)",
                hint: isForbidden ? "Isle's daemon must run as root" : nil, resource: resource, cause: nil)
        default:
            return EngineError(.internal, "\(resource) failed", resource: resource, cause: error)
        }
    }
}
