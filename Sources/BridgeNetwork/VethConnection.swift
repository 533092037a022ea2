import DriverKit
import Glibc
import LinuxHost
import Model
import Netlink

/// Connects one endpoint to its bridge by a veth pair whose other end is made in the instance's network namespace,
/// and configures it there: three datagrams to the kernel on the host's side, two inside.
struct VethConnection {
    let endpoint: CheckedEndpoint
    let network: BridgeNetwork.Network
    let namespace: OwnedDescriptor
    /// Of the host's end.
    let name: String

    /// - Throws: `NetlinkError` with `EEXIST` if the namespace has an interface of this name; nothing is left then.
    func make(_ session: NetlinkSession) throws -> HostLink {
        let inside = endpoint.endpoint.configuredByGuest ? nil : try enterNamespace()
        let spec = network.managed.spec
        let mtu = endpoint.mtu(in: spec)
        let peer = LinkSettings(name: endpoint.endpoint.device, mac: endpoint.mac, mtu: mtu)
        do {
            try session.perform([
                .makeVeth(LinkSettings(name: name, mtu: mtu, master: network.bridge), peer: peer, namespace: namespace),
                .change(
                    .name(name), HostLink.portSettings(endpoint),
                    alias: HostLink.alias(bridge: spec.bridge, key: endpoint.key)),
                .change(.name(name), LinkSettings(up: true)),
            ])
            guard let link = try session.link(named: name) else {
                throw NetlinkError(errno: 19, request: "find link \(name)")
            }
            if let inside {
                try configure(inside)
                try Self.awaitRunning(name, session)
                try announce(inside)
            } else {
                // Its addresses are the guest's affair, but not every guest looks for links that are down.
                let guest = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
                try guest.perform([.change(.name(endpoint.endpoint.device), LinkSettings(up: true))])
            }
            // Addresses and links are used again: what host and bridge remember of the last user must not count.
            try session.perform(
                [.forward(endpoint.mac, to: link.index)]
                    + [endpoint.ipv4, endpoint.ipv6].compactMap { $0 }.map {
                        .neighbour($0, mac: endpoint.mac, link: network.bridge)
                    })
            return HostLink(name: name, index: link.index, isTap: false)
        } catch {
            _ = try? session.perform([.deleteLink(.name(name))])
            throw error
        }
    }

    /// A session in the instance's namespace. Settings for interfaces that come are made first, so that the interface
    /// never acts on a router advertisement.
    private func enterNamespace() throws -> NetlinkSession {
        let hasIPv6 = endpoint.ipv6 != nil
        let socket = try NetworkNamespace.run(in: namespace) {
            // Each of these may be missing (a kernel without IPv6) or refused; the interface works without.
            KernelSetting.tryWrite("ipv6/conf/default/accept_ra", "0")
            KernelSetting.tryWrite("ipv6/conf/default/accept_dad", "0")
            KernelSetting.tryWrite("ipv6/conf/default/disable_ipv6", hasIPv6 ? "0" : "1")
            KernelSetting.tryWrite("ipv4/conf/default/arp_notify", "1")
            KernelSetting.tryWrite("ipv6/conf/default/ndisc_notify", "1")
            KernelSetting.openToInstance()
            return try NetlinkSocket()
        }
        return NetlinkSession(socket)
    }

    private func configure(_ inside: NetlinkSession) throws {
        guard let index = try inside.link(named: endpoint.endpoint.device)?.index else {
            throw NetlinkError(errno: 19, request: "find link \(endpoint.endpoint.device) in the instance")
        }
        var requests: [NetlinkRequest] = [.change(.name("lo"), LinkSettings(up: true))]
        for family in IPAddress.Family.allCases {
            guard let address = endpoint.address(family), let network = network.managed.prefix(family),
                let prefix = IPPrefix(address, length: network.length)
            else { continue }
            requests.append(.addAddress(prefix, to: index))
        }
        requests.append(.change(.index(index), LinkSettings(up: true)))
        for family in IPAddress.Family.allCases
        where endpoint.address(family) != nil && endpoint.endpoint.hasDefaultRoute {
            guard let gateway = gateway(family) else { continue }
            requests.append(.defaultRoute(through: gateway, link: index))
        }
        try inside.perform(requests)
        try Self.awaitRunning(endpoint.endpoint.device, inside)
    }

    /// What the kernel announced as the interface came up was lost, since the bridge did not take anything yet. It does
    /// so again when the hardware address is set (Documentation/networking/ip-sysctl.rst, arp_notify, ndisc_notify):
    /// neighbours that remember who had the IP address before would send to that one for up to a minute.
    private func announce(_ inside: NetlinkSession) throws {
        try inside.perform([.change(.name(endpoint.endpoint.device), LinkSettings(mac: endpoint.mac))])
    }

    /// The kernel notices in the background that both ends are up, and until then loses the first packets, which
    /// would be sent again only after a second. From 6.14 on it catches up when it is asked.
    static func awaitRunning(_ name: String, _ session: NetlinkSession) throws {
        for _ in 0..<100 {
            if try session.link(named: name)?.isRunning != false { return }
            usleep(500)
        }
    }

    private func gateway(_ family: IPAddress.Family) -> IPAddress? {
        let stated = family == .v4 ? endpoint.endpoint.gateway4 : endpoint.endpoint.gateway6
        return stated.flatMap { IPAddress($0) } ?? network.managed.prefix(family)?.address
    }
}
