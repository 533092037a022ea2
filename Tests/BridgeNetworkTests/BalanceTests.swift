import DriverKit
import Model
import Testing

@testable import BridgeNetwork

@Suite struct BalanceTests {
    private let spec = NetworkSpec(name: "default", bridge: "isle0", ipv4: "10.77.0.1/24", ipv6: "fd77::1/64")

    private func port(_ address: String, guest: String, host: String = "0.0.0.0") throws -> PublishedPort {
        let endpoint = NetworkEndpoint(
            instance: .random(), hostname: "web", network: "default", device: "eth0", mac: "00:16:3e:01:02:03",
            ipv4: guest, ipv6: nil, configuredByGuest: false,
            ports: [PortMapping(hostAddress: host, hostPort: 8080, guestPort: 80, service: "shop")])
        return try #require(try CheckedEndpoint(endpoint, in: ManagedNetwork(spec)).ports.first)
    }

    @Test func connectionsGoToEveryReadyEndpointInTurn() throws {
        let table = FirewallTable(network: try ManagedNetwork(spec))
        let (one, two) = (try port("", guest: "10.77.0.5"), try port("", guest: "10.77.0.6"))
        #expect(!one.collides(with: two))
        #expect(
            table.balance([two, one]) == """
                flush chain inet isle_isle0 balance
                add rule inet isle_isle0 balance meta nfproto ipv4 fib daddr type local tcp dport 8080 dnat ip to \
                numgen inc mod 2 map { 0 : 10.77.0.5 . 80, 1 : 10.77.0.6 . 80 }

                """)
        let local = try port("", guest: "10.77.0.5", host: "127.0.0.1")
        #expect(table.balance([local]).contains("ip daddr 127.0.0.1 tcp dport 8080"))
        #expect(table.balance([]) == "flush chain inet isle_isle0 balance\n")
    }

    @Test func nothingLeadsOutOfAnInternalNetwork() throws {
        var inner = spec
        inner.isInternal = true
        let text = FirewallTable(network: try ManagedNetwork(inner)).replace(ports: [])
        #expect(text.contains("iifname \"isle0\" drop") && !text.contains("daddr != 10.77.0.0/24 masquerade"))
    }

    @Test func bridgeNamesAreMadeFromLongOnes() {
        #expect(NetworkSpec.bridgeName(for: "lab") == "lab")
        let long = NetworkSpec.bridgeName(for: "my_long_project_default")
        #expect(long.utf8.count <= 15 && long.hasPrefix("is-"))
        #expect(long == NetworkSpec.bridgeName(for: "my_long_project_default"))
        #expect(long != NetworkSpec.bridgeName(for: "my_long_project_defaulu"))
    }
}
