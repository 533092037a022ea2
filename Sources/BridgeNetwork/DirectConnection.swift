import DriverKit
import LinuxHost
import Model
import Netlink

/// Makes the links of an endpoint on no managed network, and what the host needs to know of them.
struct DirectConnection {
    let checked: DirectEndpoint
    let session: NetlinkSession
    let alias: String

    /// Index of the parent. `notFound` if the host has no such interface; nil if none is named.
    func parent() throws -> UInt32? {
        guard let name = checked.direct.parent else { return nil }
        guard let link = try session.link(named: name) else {
            throw EngineError(
                .notFound,
                "the host has no interface \(Names.quoted(name)), the parent of nic \(checked.endpoint.device)",
                hint: "ip link shows those that it has")
        }
        return link.index
    }

    /// The interface in `namespace` that shares `parent`.
    func makeMacvlan(_ parent: UInt32, in namespace: OwnedDescriptor) async throws {
        let name = checked.endpoint.device
        try session.perform([
            .makeMacvlan(
                LinkSettings(name: name, mac: checked.mac, mtu: checked.mtu), parent: parent, namespace: namespace)
        ])
        try NetworkNamespace.run(in: namespace) {
            // The instance's other interfaces leave the namespace with defaults of theirs.
            for (setting, value) in [("disable_ipv6", "0"), ("accept_ra", "1"), ("accept_dad", "1")] {
                KernelSetting.tryWrite("ipv6/conf/\(name)/\(setting)", value)
            }
        }
        try await awaitAddress(name, in: namespace)
        guard !checked.endpoint.configuredByGuest else { return }
        try setUp(in: namespace)
    }

    /// An earlier interface with the same hardware address may still be on its way out with its namespace, for which the
    /// kernel takes its time; until then this one cannot be set up, by the guest neither.
    private func awaitAddress(_ name: String, in namespace: OwnedDescriptor?) async throws {
        let space: NetlinkSession
        if let namespace {
            space = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
        } else {
            space = session
        }
        for attempt in 1...300 {
            do {
                try space.perform([.change(.name(name), LinkSettings(up: true))])
                break
            } catch let error as NetlinkError where error.errno == 98 {
                guard attempt < 300 else {
                    throw EngineError(
                        .conflict,
                        "the network of \(checked.direct.parent ?? "") has an interface with the address \(checked.mac) already",
                        hint: "choose another hwaddr, or leave it out")
                }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        if checked.endpoint.configuredByGuest, namespace != nil {
            try space.perform([.change(.name(name), LinkSettings(up: false))])
        }
    }

    /// The interface that shares `parent`, whose frames a program takes from the device file that is the result.
    func makeMacvtap(_ parent: UInt32, name: String) async throws -> String {
        try session.perform([
            .makeMacvlan(LinkSettings(name: name, mac: checked.mac, mtu: checked.mtu), parent: parent, isTap: true),
            .change(.name(name), LinkSettings(ipv6LinkLocal: false), alias: alias),
        ])
        try await awaitAddress(name, in: nil)
        let path = "/dev/tap\(try session.link(named: name)?.index ?? 0)"
        // Indices count in each network namespace, device files in all.
        guard try TapDevice.interface(of: path) == name else {
            throw EngineError(.unsupported, "\(path) belongs to an interface of another network namespace")
        }
        return path
    }

    /// The wire whose other end is in `namespace`.
    func makeVeth(_ name: String, in namespace: OwnedDescriptor) throws {
        let peer = LinkSettings(name: checked.endpoint.device, mac: checked.mac, mtu: checked.mtu)
        try session.perform([
            .makeVeth(LinkSettings(name: name, mtu: checked.mtu), peer: peer, namespace: namespace),
            .change(.name(name), LinkSettings(), alias: alias),
        ])
        try configureHost(name)
        guard !checked.endpoint.configuredByGuest else { return }
        try setUp(in: namespace)
        try VethConnection.awaitRunning(name, session)
    }

    func makeTap(_ name: String, owner: UInt32) throws {
        try TapDevice.make(name, owner: owner)
        try session.perform([.change(.name(name), LinkSettings(mtu: checked.mtu), alias: alias)])
        try configureHost(name)
    }

    // MARK: host

    private func configureHost(_ name: String) throws {
        KernelSetting.tryWrite("ipv6/conf/\(name)/accept_ra", "0")
        if checked.direct.kind == .routed {
            try KernelSetting.write("ipv4/conf/\(name)/rp_filter", "1")
            if checked.has(.v4) { try KernelSetting.write("ipv4/conf/\(name)/forwarding", "1") }
            if checked.has(.v6) { try KernelSetting.write("ipv6/conf/\(name)/forwarding", "1") }
        }
        try session.perform([.change(.name(name), LinkSettings(up: true))])
        guard let link = try session.link(named: name)?.index else {
            throw NetlinkError(errno: 19, request: "find link \(name)")
        }
        let own = try checked.hostAddresses.map { try Self.host($0) }
        let routes = try checked.addresses.map { try Self.host($0) } + checked.routes
        try session.perform(
            own.map { .addAddress($0, to: link) } + routes.map { .route(to: $0, through: nil, link: link) })
    }

    /// Where the host must pass packets on and does not. It is the administrator's to allow that.
    func checkForwarding() throws {
        var wanted: [String] = []
        let parent = checked.direct.parent
        if checked.has(.v4) { wanted.append("ipv4/conf/\(parent ?? "all")/forwarding") }
        if checked.has(.v6) {
            wanted.append("ipv6/conf/all/forwarding")
            if let parent { wanted += ["ipv6/conf/\(parent)/forwarding", "ipv6/conf/\(parent)/proxy_ndp"] }
        }
        for path in wanted where KernelSetting.read(path) != "1" {
            // Names of interfaces may have dots: sysctl(8) takes slashes too.
            throw EngineError(
                .conflict, "nic \(checked.endpoint.device) of the type routed needs net/\(path)=1 on the host",
                hint: "sysctl -w net/\(path)=1")
        }
    }

    /// `conflict` if somebody on the parent's network answers for one of the addresses within half a second.
    func checkNeighbours(_ parent: UInt32) async throws {
        let asked = checked.addresses.filter { checked.routing($0.family).probesNeighbours }
        guard !asked.isEmpty else { return }
        do { try session.perform(asked.map { .probe($0, link: parent) }) } catch is NetlinkError {
            // The parent is down or knows no such addresses: there is nobody to ask.
            return
        }
        for _ in 0..<10 {
            try await Task.sleep(for: .milliseconds(50))
            for known in try session.neighbours() where known.link == parent && asked.contains(known.address) {
                guard let mac = known.mac else { continue }
                throw EngineError(
                    .conflict,
                    "address \(known.address) is in use on the network of \(checked.direct.parent ?? "") by \(mac)",
                    hint: "choose another address, or set ipv4.neighbor_probe=false if that is meant")
            }
        }
    }

    // MARK: instance

    private func setUp(in namespace: OwnedDescriptor) throws {
        let device = checked.endpoint.device
        let isRouted = checked.direct.kind == .routed
        let hasIPv6 = !isRouted || checked.has(.v6)
        let socket = try NetworkNamespace.run(in: namespace) {
            KernelSetting.openToInstance()
            KernelSetting.tryWrite("ipv6/conf/\(device)/disable_ipv6", hasIPv6 ? "0" : "1")
            if isRouted { KernelSetting.tryWrite("ipv6/conf/\(device)/accept_ra", "0") }
            return try NetlinkSocket()
        }
        let inside = NetlinkSession(socket)
        guard let link = try inside.link(named: device)?.index else {
            throw NetlinkError(errno: 19, request: "find link \(device) in the instance")
        }
        var requests: [NetlinkRequest] = [.change(.name("lo"), LinkSettings(up: true))]
        requests += try checked.addresses.map { .addAddress(try Self.host($0), to: link) }
        requests.append(.change(.index(link), LinkSettings(up: true)))
        for gateway in checked.hostAddresses where checked.routing(gateway.family).hasGateway {
            requests.append(.route(to: try Self.host(gateway), through: nil, link: link))
            if checked.endpoint.hasDefaultRoute { requests.append(.defaultRoute(through: gateway, link: link)) }
        }
        try inside.perform(requests)
    }

    /// The prefix of this address alone.
    private static func host(_ address: IPAddress) throws -> IPPrefix {
        guard let prefix = IPPrefix(address, length: address.family.bits) else {
            throw EngineError(.internal, "address \(address) has no prefix")
        }
        return prefix
    }
}
