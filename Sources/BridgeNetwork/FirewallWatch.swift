import DriverKit
import LinuxHost
import Logging
import Netlink
import Nftables

/// Other programs flush the ruleset, or start after us with chains that drop our packets. The kernel reports each
/// change of nftables; a moment later what networks need is looked at, and mended where it is missing.
extension BridgeNetwork {
    /// Multicast group of nftables' changes (`NFNLGRP_NFTABLES`, linux/netfilter/nfnetlink.h).
    private static let changes: UInt32 = 7

    /// Begins to watch, unless it does already; ends with the last network.
    func watchFirewall() throws {
        guard firewallWatch == nil else { return }
        let socket = try NetlinkSocket(.netfilter, group: Self.changes)
        firewallWatch = Task { [weak self] in
            while true {
                do {
                    try await DescriptorEvents.readable(socket.descriptor)
                    // Changes come in bursts, our own too.
                    try await Task.sleep(for: .milliseconds(300))
                } catch {
                    return
                }
                socket.drain()
                guard let self else { return }
                await self.mendFirewalls()
            }
        }
    }

    private func mendFirewalls() {
        do {
            let nft = try nftables()
            let ruleset = try nft.list("list ruleset")
            for network in networks.values {
                let table = FirewallTable(network: network.managed)
                if !table.isComplete(in: ruleset) {
                    log.warning("firewall table \(network.managed.table) was changed by others: it is made anew")
                    let name = network.managed.spec.name
                    try nft.run(table.replace(ports: ports(of: name), shared: sharedPorts(of: name)))
                }
                passForeignFirewalls(network.managed, ruleset, nft)
            }
            for table in interfaceTables where !table.isComplete(in: ruleset) {
                log.warning("the rules of interface \(table.link) were changed by others: they are made anew")
                try nft.run(table.replace)
            }
        } catch {
            log.warning("the firewall changed and cannot be looked after: \(error)")
        }
    }
}
