import DriverKit
import Glibc
import LinuxHost
import Model
import Netlink
import Nftables
import Testing

@testable import BridgeNetwork

@Suite(.enabled(if: canRunNetworks, "\(whyNot)"))
struct LifecycleTests {
    @Test func upTwiceIsTheSameAndDownLeavesNothing() async throws {
        try await Fixture.with { fixture in
            let before = try fixture.setting("ipv4/ip_forward")
            let before6 = try fixture.setting("ipv6/conf/all/forwarding")
            try await fixture.driver.up(fixture.network)
            let first = await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid
            try await fixture.driver.up(fixture.network)
            #expect(await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid == first)
            let link = try #require(try fixture.session().link(named: fixture.network.bridge))
            #expect(link.isUp && link.alias == "isle:network:\(fixture.network.name):\(fixture.runDirectory)")
            #expect(try fixture.session().addresses().filter { $0.link == link.index }.count >= 2)
            #expect(try fixture.setting("ipv4/ip_forward") == "1")
            #expect(try fixture.setting("ipv4/conf/\(fixture.network.bridge)/route_localnet") == "1")
            #expect(try fixture.setting("ipv4/conf/wan0/route_localnet") == "0")
            try await fixture.driver.down(fixture.network)
            #expect(try await fixture.leftovers() == [])
            #expect(try fixture.setting("ipv4/ip_forward") == before)
            #expect(try fixture.setting("ipv6/conf/all/forwarding") == before6)
            try await fixture.driver.down(fixture.network)
        }
    }

    @Test func forwardingStaysForThoseWhoNeedIt() async throws {
        try await Fixture.with { fixture in
            try NetworkNamespace.run(in: fixture.host) {
                try KernelSetting.write("ipv4/ip_forward", "0")
                try KernelSetting.write("ipv6/conf/wan0/accept_ra", "1")
            }
            var second = fixture.network
            second.name += "b"
            second.bridge += "b"
            second.ipv4 = "10.78.0.1/24"
            second.ipv6 = "fd78::1/64"
            try await fixture.driver.up(fixture.network)
            #expect(try fixture.setting("ipv6/conf/wan0/accept_ra") == "2")
            try await fixture.driver.up(second)
            try await fixture.driver.down(fixture.network)
            #expect(try fixture.setting("ipv4/ip_forward") == "1")
            #expect(try fixture.setting("ipv6/conf/wan0/accept_ra") == "2")
            try await fixture.driver.down(second)
            #expect(try fixture.setting("ipv4/ip_forward") == "0")
            #expect(try fixture.setting("ipv6/conf/wan0/accept_ra") == "1")
            try await fixture.driver.up(fixture.network)
            try fixture.nft().run(
                "table ip docker { chain f { type filter hook forward priority 0 ; policy accept ; } ; }")
            try await fixture.driver.down(fixture.network)
            #expect(try fixture.setting("ipv4/ip_forward") == "1")
        }
    }

    @Test func interfacesAndSubnetsOfOthersAreLeftAlone() async throws {
        try await Fixture.with { fixture in
            try fixture.session().perform([.makeBridge(LinkSettings(name: fixture.network.bridge))])
            let taken = await #expect(throws: EngineError.self) { try await fixture.driver.up(fixture.network) }
            #expect(taken?.code == .alreadyExists)
            #expect(try fixture.session().link(named: fixture.network.bridge) != nil)
            try fixture.session().perform([.deleteLink(.name(fixture.network.bridge))])
            var clash = fixture.network
            clash.ipv4 = "192.0.2.129/25"
            let overlap = await #expect(throws: EngineError.self) { try await fixture.driver.up(clash) }
            #expect(overlap?.code == .conflict && overlap?.message.contains("192.0.2.1/24") == true)
            #expect(try await fixture.leftovers() == [])
        }
    }

    @Test func aDeletedTableComesBackWithItsPorts() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let web = try await fixture.guest(
                fixture.endpoint("web", 5, ports: [PortMapping(hostPort: 8080, guestPort: 80)]))
            let server = try EchoServer(in: web, port: 80)
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            try fixture.nft().run("flush ruleset")
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080, patience: 1) == nil)
            try await fixture.driver.up(fixture.network)
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            // The next publication mends it too, for everybody.
            try fixture.nft().run("flush ruleset")
            _ = try await fixture.guest(fixture.endpoint("db", 6, ports: [PortMapping(hostPort: 8081, guestPort: 80)]))
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            withExtendedLifetime(server) {}
        }
    }

    @Test func theFirewallIsMendedWithoutBeingAsked() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let server = try EchoServer(in: fixture.outside, port: 9000)
            let web = try await fixture.guest(
                fixture.endpoint("web", 5, ports: [PortMapping(hostPort: 8080, guestPort: 80)]))
            let inner = try EchoServer(in: web, port: 80)
            func comesBack() async throws -> Bool {
                for _ in 0..<100 {
                    if try hello(from: web, "192.0.2.2", 9000, patience: 1) == "192.0.2.1",
                        try hello(from: fixture.host, "127.0.0.1", 8080, patience: 1) == "10.77.0.1"
                    {
                        return true
                    }
                    try await Task.sleep(for: .milliseconds(50))
                }
                return false
            }
            try fixture.nft().run("flush ruleset")
            #expect(try await comesBack())
            // Somebody's firewall starts after us.
            try fixture.nft().run(
                "table ip filter { chain FORWARD { type filter hook forward priority 0 ; policy drop ; } ; }")
            #expect(try await comesBack())
            #expect(try fixture.nft().list("list ruleset").rules.contains { $0.chain == "FORWARD" })
            withExtendedLifetime((server, inner)) {}
        }
    }

    @Test func aDeletedBridgeComesBackWithTheNextEndpoint() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            try fixture.session().perform([.deleteLink(.name(fixture.network.bridge))])
            let a = try await fixture.guest(fixture.endpoint("a", 5))
            #expect(try await fixture.ping(from: a, "10.77.0.1"))
            #expect(try await fixture.resolve("a.isle", from: a, wanting: "10.77.0.5") == "10.77.0.5")
        }
    }

    @Test func aKilledNameServerComesBack() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let a = try await fixture.guest(fixture.endpoint("a", 5))
            let first = try #require(await fixture.driver.networks[fixture.network.name]?.dnsmasq)
            try first.signal(SIGKILL)
            for _ in 0..<300 where await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid == first.pid {
                try await Task.sleep(for: .milliseconds(10))
            }
            let second = try #require(await fixture.driver.networks[fixture.network.name]?.dnsmasq)
            #expect(second.pid != first.pid)
            #expect(try await fixture.resolve("a", from: a, wanting: "10.77.0.5") == "10.77.0.5")
            // And again: the new one is watched too.
            try second.signal(SIGTERM)
            for _ in 0..<300 where await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid == second.pid {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try await fixture.resolve("a", from: a, wanting: "10.77.0.5") == "10.77.0.5")
        }
    }

    @Test func downIsRefusedWhileEndpointsAreConnected() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let endpoint = fixture.endpoint("web", 5)
            let namespace = try await fixture.guest(endpoint)
            let error = await #expect(throws: EngineError.self) { try await fixture.driver.down(fixture.network) }
            #expect(error?.code == .busy && error?.message.contains("web") == true)
            try await fixture.driver.disconnect(endpoint)
            namespace.close()
            try await fixture.driver.down(fixture.network)
            #expect(try await fixture.leftovers() == [])
        }
    }
}
