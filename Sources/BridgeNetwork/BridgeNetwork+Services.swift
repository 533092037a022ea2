public import DriverKit
import Glibc
import Logging
import Model
import Nftables

// Ports that the instances of a service share, and ports and subnets that nobody has.
extension BridgeNetwork {
    public func setReady(_ endpoint: NetworkEndpoint, _ isReady: Bool) throws {
        let key = EndpointKey(endpoint)
        // Said before it is connected too, after a restart of the daemon: `adopt` publishes what is ready.
        guard (isReady ? ready.insert(key).inserted : ready.remove(key) != nil) else { return }
        guard let attachment = attachments[key], let network = networks[attachment.checked.endpoint.network],
            attachment.checked.ports.contains(where: { $0.service != nil })
        else { return }
        let table = FirewallTable(network: network.managed)
        let name = network.managed.spec.name
        do {
            try nftables().run(table.balance(sharedPorts(of: name)))
        } catch {
            log.warning("firewall table \(network.managed.table) is made anew: \(error)")
            do {
                try nftables().run(table.replace(ports: ports(of: name), shared: sharedPorts(of: name)))
            } catch {
                throw Self.engineError(error, "network \(name)")
            }
        }
    }

    public func freeSubnets(avoiding taken: [String]) throws -> (ipv4: String, ipv6: String) {
        do {
            let used = try SubnetChooser.inUse() + taken.compactMap { IPPrefix($0) }
            var generator = SystemRandomNumberGenerator()
            return (
                try SubnetChooser.ipv4(avoiding: used, using: &generator).description,
                try SubnetChooser.ipv6(avoiding: used, using: &generator).description
            )
        } catch {
            throw Self.engineError(error, "a new network")
        }
    }

    public func freePort(_ address: String, _ transport: PortMapping.Transport) throws -> UInt16 {
        guard let host = IPAddress(address) else {
            throw EngineError(.invalidArgument, "\(Names.quoted(address)) is not an address to publish a port on")
        }
        let published = Set(
            attachments.values.flatMap(\.checked.ports).filter { $0.transport == transport }.map(\.hostPort))
        for _ in 0..<64 {
            let port = try PortReservation.freePort(host, transport)
            if !published.contains(port) { return port }
        }
        throw EngineError(.resourceExhausted, "no port of \(address) is free")
    }
}
