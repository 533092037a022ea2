public import DriverKit
import LinuxHost
import Logging
import Model
import Netlink
import Nftables

extension BridgeNetwork {
    /// What lives goes on without interruption; a network that cannot be brought up does not keep the others from it.
    public func adopt(_ specs: [NetworkSpec], endpoints: [NetworkEndpoint], keepsOthers: Bool = false) throws {
        var failures: [EngineError] = []
        func attempt(_ resource: String, _ body: () throws -> Void) {
            do { try body() } catch { failures.append(Self.engineError(error, resource)) }
        }
        attempt("interfaces of earlier runs") { try adoptDirect(endpoints, keepsOthers: keepsOthers) }
        let endpoints = endpoints.filter { $0.direct == nil && !$0.network.isEmpty }
        let wanted = Set(specs.map(\.bridge))
        if !keepsOthers { attempt("networks of earlier runs") { try removeUnwanted(wanted) } }
        let links = try session().links()
        let found = attach(endpoints, specs, links, &failures)
        attachments = found
        for spec in specs {
            attempt("network \(spec.name)") {
                try up(spec)
                if let network = networks[spec.name] { try synchroniseNames(network) }
            }
        }
        attempt("rules of interfaces of earlier runs") { try removeOrphanedTables(wanted) }
        attempt("names across networks") { try shareNames() }
        retire(links, besides: Set(found.values.map(\.link.name)), of: wanted)
        if let first = failures.first {
            for failure in failures { log.error("\(failure)") }
            throw first
        }
    }

    private func removeUnwanted(_ wanted: Set<String>) throws {
        for (name, network) in networks where !wanted.contains(network.managed.spec.bridge) {
            forget(name)
        }
        let parent = NetworkFolder.parent(configuration.runDirectory)
        let bridges = try session().links().filter {
            BridgeLink.isBridge($0, of: configuration.runDirectory)
        }.map(\.name)
        for bridge in Set(NetworkFolder.names(in: parent) + bridges).subtracting(wanted).sorted() {
            guard ManagedNetwork.isInterfaceName(bridge) else { continue }
            log.notice("bridge \(bridge) belongs to no network any more: removing what is left of it")
            try tearDown(bridge: bridge)
        }
    }

    /// What the endpoints have on this host: link and ports. One without a link is not connected.
    private func attach(
        _ endpoints: [NetworkEndpoint], _ specs: [NetworkSpec], _ links: [Link], _ failures: inout [EngineError]
    ) -> [EndpointKey: Attachment] {
        var found: [EndpointKey: Attachment] = [:]
        for endpoint in endpoints {
            do {
                guard let spec = specs.first(where: { $0.name == endpoint.network }) else {
                    throw EngineError(.notFound, "there is no network \(endpoint.network)")
                }
                let checked = try CheckedEndpoint(supported(endpoint), in: ManagedNetwork(supported(spec)))
                let alias = HostLink.alias(bridge: spec.bridge, key: checked.key)
                // The newest, if an older one is still on its way out.
                guard let link = links.filter({ $0.alias == alias }).max(by: { $0.index < $1.index }) else {
                    log.warning("instance \(endpoint.hostname) has lost its interface \(endpoint.device)")
                    continue
                }
                found[checked.key] = Attachment(
                    checked: checked, link: HostLink(name: link.name, index: link.index, isTap: link.kind == "tun"),
                    reservations: reserveAgain(checked))
            } catch {
                failures.append(
                    Self.engineError(error, "endpoint \(endpoint.device) of instance \(endpoint.hostname)"))
            }
        }
        return found
    }

    /// A port that somebody took while no daemon ran stays published: the firewall's translation comes first.
    private func reserveAgain(_ checked: CheckedEndpoint) -> [PortReservation] {
        let kept = attachments[checked.key]?.reservations ?? []
        return checked.ports.compactMap { port in
            if let same = kept.first(where: { $0.port.isBoundLike(port) }) { return same }
            do {
                return try PortReservation(port, for: checked.endpoint.hostname)
            } catch {
                log.warning("\(error)")
                return nil
            }
        }
    }

    /// Makes the folder's files those of the connected endpoints.
    private func synchroniseNames(_ network: Network) throws {
        let own = attachments.values.filter { $0.checked.endpoint.network == network.managed.spec.name }
        let files = Set(own.map(\.checked.key.fileName))
        for attachment in own { try announce(attachment.checked, network) }
        for file in NetworkFolder.names(in: network.folder.hosts) where !files.contains(file) && !Self.isForeign(file) {
            try network.folder.removeFile(network.folder.hosts + "/" + file)
        }
        let reserved = Set(own.filter(\.checked.endpoint.configuredByGuest).map(\.checked.key.fileName))
        for file in NetworkFolder.names(in: network.folder.reservations) where !reserved.contains(file) {
            try network.folder.removeFile(network.folder.reservations + "/" + file)
        }
        try service(network.folder).reload(network.dnsmasq)
    }

    private func retire(_ links: [Link], besides kept: Set<String>, of bridges: Set<String>) {
        for link in links where !kept.contains(link.name) {
            guard let bridge = HostLink.bridge(ofAlias: link.alias), bridges.contains(bridge) else { continue }
            sweeper.retire(HostLink(name: link.name, index: link.index, isTap: link.kind == "tun"))
        }
    }
}
