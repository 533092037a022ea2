import DriverKit
import LinuxHost
import Logging
import Model
import Netlink
import Nftables

/// What a network changes on the host beside its own parts, and its name server's care.
extension BridgeNetwork {
    func enableForwarding(_ managed: ManagedNetwork, _ folder: NetworkFolder) throws {
        let links = try session().links().map(\.name)
        let missing = HostJournal.forwarding(
            ipv4: managed.ipv4 != nil, ipv6: managed.ipv6 != nil, bridge: managed.spec.bridge, links: links,
            read: KernelSetting.read)
        var journal =
            try folder.readJournal() ?? HostJournal(network: managed.spec.name, bridge: managed.spec.bridge)
        journal.network = managed.spec.name
        // The value before our first change is the one to go back to.
        journal.settings += missing.filter { new in !journal.settings.contains { $0.path == new.path } }
        try folder.writeJournal(journal)
        for setting in missing { try KernelSetting.write(setting.path, setting.after) }
    }

    /// Puts back what `enableForwarding` changed, unless others have come to rely on it.
    func restoreSettings(_ bridge: String, _ folder: NetworkFolder, _ nft: Nftables) throws {
        let found: HostJournal?
        do { found = try folder.readJournal() } catch {
            // The rest of the network is to go all the same.
            log.error("\(error)")
            return
        }
        guard let journal = found, !journal.settings.isEmpty else { return }
        if let heir = networks.values.first(where: { $0.managed.spec.bridge != bridge }) {
            // Our other networks forward too: the last of them puts the settings back.
            var inherited =
                try heir.folder.readJournal()
                ?? HostJournal(network: heir.managed.spec.name, bridge: heir.managed.spec.bridge)
            inherited.settings = journal.settings + inherited.settings
            try heir.folder.writeJournal(inherited)
            return
        }
        let reason = try forwardingUser(bridge, nft)
        if let reason { log.notice("bridge \(bridge): forwarding stays enabled on this host, since \(reason)") }
        for setting in journal.undo(keepForwarding: reason != nil, read: KernelSetting.read) {
            let number = KernelSetting.tryWrite(setting.path, setting.before)
            if number != 0 { log.warning("net.\(setting.path) could not be set back to \(setting.before)") }
        }
    }

    /// Who else seems to need packets forwarded, in words; nil if nobody.
    private func forwardingUser(_ bridge: String, _ nft: Nftables) throws -> String? {
        let hooks = ["forward", "postrouting"]
        if let chain = try nft.list("list chains").chains.first(where: { hooks.contains($0.hook ?? "") }) {
            return "table \(chain.family) \(chain.table) has rules for forwarded packets"
        }
        if let link = try session().links().first(where: { $0.kind == "bridge" && $0.name != bridge }) {
            return "bridge \(link.name) exists"
        }
        return nil
    }

    /// Puts accept rules into chains of others that would drop our packets. A chain that refuses them is only
    /// reported: everything else about the network works.
    func passForeignFirewalls(_ managed: ManagedNetwork, _ ruleset: Ruleset, _ nft: Nftables) {
        do {
            let foreign = ForeignFirewall(network: managed)
            let (commands, blockers) = foreign.accept(in: ruleset, ignoring: Self.isOwnTable)
            guard !commands.isEmpty else { return }
            try nft.run(commands)
            for blocker in blockers {
                log.notice(
                    """
                    firewall chain \(blocker) drops what it does not know: rules for bridge \
                    \(managed.spec.bridge) were added to \(blocker.entry), marked "\(managed.ruleComment)"
                    """)
            }
        } catch {
            log.warning(
                """
                network \(managed.spec.name): another firewall on this host may drop its packets, and rules for \
                bridge \(managed.spec.bridge) could not be added there: \(error)
                """)
        }
    }

    /// Starts dnsmasq again whenever it ends: after 100 ms, doubled up to a minute while it keeps ending soon.
    func supervise(_ name: String, _ process: Pidfd) -> Task<Void, Never> {
        Task { [weak self] in
            var process = process
            var delay = Duration.milliseconds(100)
            while true {
                let start = ContinuousClock.now
                do { try await process.ended() } catch { return }
                if ContinuousClock.now - start > .seconds(10) { delay = .milliseconds(100) }
                while true {
                    do { try await Task.sleep(for: delay) } catch { return }
                    delay = min(delay * 2, .seconds(60))
                    guard let self else { return }
                    switch await self.restartDnsmasq(name, after: process) {
                    case .running(let next): process = next
                    case .failed: continue
                    case .unwanted: return
                    }
                    break
                }
            }
        }
    }

    private enum Restart {
        case running(Pidfd)
        case failed
        case unwanted
    }

    private func restartDnsmasq(_ name: String, after ended: Pidfd) -> Restart {
        guard let network = networks[name], network.dnsmasq.pid == ended.pid else { return .unwanted }
        let status = try? ended.reap()
        let how = status.map { $0.signal.map { "by signal \($0)" } ?? "with code \($0.code)" } ?? "unexpectedly"
        log.warning("dnsmasq of network \(name), process \(ended.pid), ended \(how): starting it again")
        do {
            let next = try service(network.folder).ensure(
                dnsmasqConfiguration(network.managed, network.folder).text)
            networks[name]?.dnsmasq = next
            return .running(next)
        } catch {
            log.error("network \(name) has no name server: \(error)")
            return .failed
        }
    }
}
