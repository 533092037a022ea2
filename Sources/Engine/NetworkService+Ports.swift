import DriverKit
import Logging
import Model

// Ports of the host: those that Isle chooses, and those that a service's instances share.
extension NetworkService {
    /// Ports for those that the devices leave open, as keys to be written down with the record.
    ///
    /// - Parameter keeping: ports that were chosen for this run already stay.
    func chosenPorts(_ record: InstanceRecord, _ devices: Devices, keeping: Bool = false) async throws
        -> [String: String]
    {
        var keys: [String: String] = [:]
        for proxy in devices.proxies where proxy.mapping.hostPort == 0 {
            let key = Self.portKey(proxy)
            if keeping, record.config[key] != nil { continue }
            let port = try await parts.network.freePort(
                proxy.mapping.hostAddress, proxy.mapping.transport == "udp" ? .udp : .tcp)
            keys[key] = String(port)
        }
        return keys
    }

    /// The port as the driver is told; nil for one that was never chosen.
    func mapping(_ proxy: Devices.Proxy, _ record: InstanceRecord) -> PortMapping? {
        var port = proxy.mapping.hostPort
        if port == 0 {
            guard let chosen = record.config[Self.portKey(proxy)].flatMap(UInt16.init), chosen > 0 else { return nil }
            port = chosen
        }
        return PortMapping(
            hostAddress: proxy.mapping.hostAddress, hostPort: port, guestPort: proxy.mapping.guestPort,
            transport: proxy.mapping.transport == "udp" ? .udp : .tcp, service: proxy.mapping.service)
    }

    private static func portKey(_ proxy: Devices.Proxy) -> String {
        "volatile.\(proxy.device).\(proxy.mapping.guestPort).host_port"
    }

    /// The network with the addresses that were left to Isle.
    func completed(_ network: NetworkSpec) async throws -> NetworkSpec {
        guard network.ipv4 == "auto" || network.ipv6 == "auto" else { return network }
        let taken = list().flatMap { [$0.ipv4, $0.ipv6].compactMap { $0 } }
        let free = try await parts.network.freeSubnets(avoiding: taken)
        var network = network
        if network.ipv4 == "auto" { network.ipv4 = free.ipv4 }
        if network.ipv6 == "auto" { network.ipv6 = free.ipv6 }
        return network
    }

    /// Whether connections to shared ports may lead to the endpoint.
    func setReady(_ endpoint: NetworkEndpoint, _ isReady: Bool) async {
        guard endpoint.ports.contains(where: { $0.service != nil }) else { return }
        do { try await parts.network.setReady(endpoint, isReady) } catch {
            parts.logger.warning(
                "a shared port does not follow the health of its instance",
                metadata: ["instance": "\(endpoint.hostname)", "error": "\(error)"])
        }
    }
}
