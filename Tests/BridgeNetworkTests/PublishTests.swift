import DriverKit
import Glibc
import LinuxHost
import Model
import Netlink
import Nftables
import Testing

@testable import BridgeNetwork

@Suite(.enabled(if: canRunNetworks, "\(whyNot)"))
struct PublishTests {
    /// A network with a server on port 80 of a guest, published as `ports` say.
    private func withServer(
        _ ports: [PortMapping], _ body: (Fixture, NetworkEndpoint, OwnedDescriptor) async throws -> Void
    ) async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let endpoint = fixture.endpoint("web", 5, ports: ports)
            let web = try await fixture.guest(endpoint)
            let servers = try [EchoServer(in: web, port: 80), EchoServer(in: web, port: 81, v6: true)]
            try await body(fixture, endpoint, web)
            withExtendedLifetime(servers) {}
        }
    }

    /// Makes a namespace send packets for the guests and for 127.0.0.0/8 to `gateway`: what a neighbour on the same
    /// wire, or a guest, may well set up.
    private func aim(_ namespace: OwnedDescriptor, at gateway: String, _ fixture: Fixture) async throws {
        let script = """
            ip addr flush dev lo; ip link set lo down; ip route add 127.0.0.0/8 via \(gateway)
            ip route add 10.77.0.0/24 via \(gateway) || true
            echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
            """
        #expect(try await fixture.run(in: namespace, ["sh", "-c", script]).status.isSuccess)
        let route = try await fixture.run(in: namespace, ["ip", "route", "get", "127.0.0.1"])
        try #require(route.outputText.contains("via \(gateway)"))
    }

    @Test func guestsReachTheOutsideUnderTheHostsAddress() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let server = try EchoServer(in: fixture.outside, port: 9000)
            let a = try await fixture.guest(fixture.endpoint("a", 5))
            #expect(try hello(from: a, "192.0.2.2", 9000) == "192.0.2.1")
            withExtendedLifetime(server) {}
        }
    }

    @Test func byDefaultAPortIsTheHostsOwnOnly() async throws {
        try await withServer([PortMapping(hostPort: 8080, guestPort: 80)]) { fixture, _, _ in
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            #expect(try hello(from: fixture.host, "192.0.2.1", 8080, patience: 1) == nil)
            #expect(try hello(from: fixture.outside, "192.0.2.1", 8080, patience: 1) == nil)
            let other = try await fixture.guest(fixture.endpoint("b", 6))
            #expect(try hello(from: other, "10.77.0.1", 8080, patience: 1) == nil)
            #expect(try hello(from: other, "10.77.0.5", 80) == "10.77.0.6")
            try await aim(fixture.outside, at: "192.0.2.1", fixture)
            #expect(try hello(from: fixture.outside, "127.0.0.1", 8080, patience: 1) == nil)
            #expect(try hello(from: fixture.outside, "10.77.0.5", 80, patience: 1) == nil)
        }
    }

    @Test func onEveryAddressWhenAsked() async throws {
        let ports = [PortMapping(hostAddress: "0.0.0.0", hostPort: 8080, guestPort: 80)]
        try await withServer(ports) { fixture, _, web in
            #expect(try hello(from: fixture.outside, "192.0.2.1", 8080) == "192.0.2.2")
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            #expect(try hello(from: fixture.host, "192.0.2.1", 8080) != nil)
            // Through the host's address from the same network: a neighbour, and the guest itself.
            let other = try await fixture.guest(fixture.endpoint("b", 6))
            #expect(try hello(from: other, "192.0.2.1", 8080) == "10.77.0.1")
            #expect(try hello(from: other, "10.77.0.1", 8080) == "10.77.0.1")
            #expect(try hello(from: web, "192.0.2.1", 8080) == "10.77.0.1")
        }
    }

    @Test func onOneAddressAndByIPv6() async throws {
        let ports = [
            PortMapping(hostAddress: "192.0.2.1", hostPort: 8080, guestPort: 80),
            PortMapping(hostAddress: "::", hostPort: 8081, guestPort: 81),
        ]
        try await withServer(ports) { fixture, _, _ in
            #expect(try hello(from: fixture.outside, "192.0.2.1", 8080) == "192.0.2.2")
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080, patience: 1) == nil)
            for (namespace, text) in [(fixture.host, "2001:db8::1/64"), (fixture.outside, "2001:db8::2/64")] {
                let session = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
                let index = try #require(try session.link(named: "wan0")?.index)
                try session.perform([.addAddress(try #require(IPPrefix(text)), to: index)])
            }
            #expect(try hello(from: fixture.outside, "2001:db8::1", 8081) == "2001:db8::2")
            #expect(try hello(from: fixture.host, "2001:db8::1", 8081) != nil)
        }
    }

    @Test func aDatagramPort() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let web = try await fixture.guest(
                fixture.endpoint("web", 5, ports: [PortMapping(hostPort: 5300, guestPort: 53, transport: .udp)]))
            let server = try TestSocket(SOCK_DGRAM, in: web)
            #expect(server.bind("0.0.0.0", 53) == 0)
            let client = try TestSocket(SOCK_DGRAM, in: fixture.host)
            #expect(client.connect("127.0.0.1", 5300) == 0 && client.send("hello"))
            #expect(server.receive() == "hello")
        }
    }

    @Test func guestsCannotReachTheHostsLoopback() async throws {
        try await withServer([PortMapping(hostPort: 8080, guestPort: 80)]) { fixture, _, _ in
            let secret = try EchoServer(in: fixture.host, port: 7000)
            let evil = try await fixture.guest(fixture.endpoint("evil", 6))
            try await aim(evil, at: "10.77.0.1", fixture)
            #expect(try hello(from: evil, "127.0.0.1", 7000, patience: 1) == nil)
            #expect(try hello(from: evil, "127.0.0.1", 8080, patience: 1) == nil)
            #expect(try hello(from: fixture.host, "127.0.0.1", 7000) == "127.0.0.1")
            // The attack is a real one: without the guard it succeeds.
            await fixture.driver.stopWatching()
            try fixture.nft().run("flush chain inet isle_\(fixture.network.bridge) guard")
            #expect(try hello(from: evil, "127.0.0.1", 7000) == "10.77.0.6")
            withExtendedLifetime(secret) {}
        }
    }

    @Test func aTakenPortIsNamed() async throws {
        try await withServer([PortMapping(hostPort: 8080, guestPort: 80)]) { fixture, endpoint, web in
            let second = fixture.endpoint("db", 6, ports: [PortMapping(hostPort: 8080, guestPort: 80)])
            let other = await #expect(throws: EngineError.self) { try await fixture.guest(second) }
            #expect(other?.code == .conflict)
            #expect(other?.message == "port 127.0.0.1:8080/tcp for instance db is published by instance web")
            // The kernel keeps programs of the host away.
            let program = try TestSocket(SOCK_STREAM, in: fixture.host)
            let refused = program.bind("127.0.0.1", 8080)
            #expect(refused != 0 || listen(program.descriptor.raw, 1) != 0)
            program.descriptor.close()
            // Free again after the endpoint has gone, for anybody.
            try await fixture.driver.disconnect(endpoint)
            let server = try TestSocket(SOCK_STREAM, in: fixture.host)
            var bound: Int32 = 1
            for _ in 0..<100 where bound != 0 {
                // Programs that other tests start hold copies of closed sockets for a moment.
                bound = server.bind("127.0.0.1", 8080)
                if bound != 0 { try await Task.sleep(for: .milliseconds(10)) }
            }
            #expect(bound == 0 && listen(server.descriptor.raw, 1) == 0)
            let taken = await #expect(throws: EngineError.self) { try await fixture.guest(second) }
            #expect(taken?.code == .conflict)
            #expect(taken?.message.contains("127.0.0.1:8080/tcp") == true)
            #expect(taken?.message.contains("a program of this host") == true)
            #expect(await fixture.driver.attachments.isEmpty)
            server.descriptor.close()
            _ = try await fixture.guest(second)
            withExtendedLifetime(web) {}
        }
    }

    @Test func anAddressThatTheHostHasNotIsRefused() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            for (address, code) in [
                ("198.51.100.7", EngineError.Code.invalidArgument), ("example.com", .invalidArgument),
                ("::1", .unsupported),
            ] {
                let endpoint = fixture.endpoint(
                    "web", 5, ports: [PortMapping(hostAddress: address, hostPort: 8080, guestPort: 80)])
                let error = await #expect(throws: EngineError.self) { try await fixture.guest(endpoint) }
                #expect(error?.code == code && error?.message.contains(address) == true)
            }
        }
    }

    @Test(.enabled(if: access("/usr/sbin/iptables-nft", X_OK) == 0, "needs iptables"))
    func chainsOfOthersThatDropLetTheNetworkPass() async throws {
        try await Fixture.with { fixture in
            // As Docker and ufw leave a host, made by iptables itself.
            let rules = """
                iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN
                iptables -A FORWARD -j DOCKER-USER; iptables -P INPUT DROP; iptables -A INPUT -i wan0 -j ACCEPT
                iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; ip6tables -P FORWARD DROP
                ip6tables -P INPUT DROP
                """
            _ = try await fixture.run(in: fixture.host, ["sh", "-ec", rules])
            let before = try await fixture.run(in: fixture.host, ["iptables", "-S"]).outputText
            try #require(before.contains("-P FORWARD DROP"))
            try await fixture.driver.up(fixture.network)
            let server = try EchoServer(in: fixture.outside, port: 9000)
            let a = try await fixture.guest(
                fixture.endpoint("a", 5, ports: [PortMapping(hostAddress: "0.0.0.0", hostPort: 8080, guestPort: 80)]))
            let inner = try EchoServer(in: a, port: 80)
            #expect(try hello(from: a, "192.0.2.2", 9000) == "192.0.2.1")
            #expect(try hello(from: fixture.outside, "192.0.2.1", 8080) == "192.0.2.2")
            #expect(try await fixture.resolve("a", from: a, wanting: "10.77.0.5") == "10.77.0.5")
            // Their own tools still understand their tables.
            let during = try await fixture.run(in: fixture.host, ["iptables", "-S"])
            #expect(
                during.status.isSuccess && during.outputText.contains("-A DOCKER-USER -i \(fixture.network.bridge)"))
            #expect(during.outputText.contains("isle:\(fixture.network.bridge)"), "\(during.outputText)")
            #expect(try await fixture.run(in: fixture.host, ["ip6tables", "-S"]).status.isSuccess)
            try await fixture.driver.up(fixture.network)
            let again = try await fixture.run(in: fixture.host, ["iptables", "-S"]).outputText
            #expect(again == during.outputText)
            // Docker started later, and emptied the chain.
            _ = try await fixture.run(in: fixture.host, ["sh", "-ec", "iptables -F DOCKER-USER"])
            try await fixture.driver.up(fixture.network)
            #expect(try hello(from: a, "192.0.2.2", 9000) == "192.0.2.1")
            _ = try await fixture.run(in: fixture.host, ["sh", "-ec", "iptables -A DOCKER-USER -j RETURN"])
            try await fixture.driver.adopt([], endpoints: [])
            let after = try await fixture.run(in: fixture.host, ["iptables", "-S"]).outputText
            #expect(after == before)
            withExtendedLifetime((server, inner)) {}
        }
    }
}

extension BridgeNetwork {
    func stopWatching() { firewallWatch?.cancel() }
}
