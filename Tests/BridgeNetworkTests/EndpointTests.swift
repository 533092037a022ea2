import DriverKit
import Glibc
import LinuxHost
import Logging
import Model
import Netlink
import Testing

@testable import BridgeNetwork

@Suite(.enabled(if: canRunNetworks, "\(whyNot)"))
struct EndpointTests {
    @Test func guestsReachEachOtherByName() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let web = fixture.endpoint("web", 5, aliases: ["www", "site_1"])
            let a = try await fixture.guest(web)
            let b = try await fixture.guest(fixture.endpoint("db", 6))
            #expect(try await fixture.ping(from: a, "10.77.0.6"))
            #expect(try await fixture.ping(from: b, "fd77::5"))
            #expect(try await fixture.ping(from: a, "10.77.0.1"))
            for name in ["web", "web.isle", "www", "site_1.isle", "WEB.isle"] {
                #expect(try await fixture.resolve(name, from: b, wanting: "10.77.0.5") == "10.77.0.5", "\(name)")
            }
            let lookup = try await fixture.run(in: b, ["busybox", "nslookup", "web.isle", "10.77.0.1"])
            #expect(lookup.outputText.contains("10.77.0.5") && lookup.outputText.contains("fd77::5"))
            #expect(try await fixture.resolve("nobody", from: b, wanting: nil) == nil)
            try await fixture.driver.disconnect(web)
            #expect(try await fixture.resolve("web", from: b, wanting: nil) == nil)
            withExtendedLifetime(a) {}
        }
    }

    @Test func insideThereIsWhatWasAskedForAndNothingElse() async throws {
        try await Fixture.with(mtu: 1400) { fixture in
            try await fixture.driver.up(fixture.network)
            let namespace = try await fixture.guest(fixture.endpoint("a", 5))
            let inside = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
            let link = try #require(try inside.link(named: "eth0"))
            #expect(link.mtu == 1400 && link.isUp && link.mac?.description == "00:16:3e:00:00:05")
            #expect(try inside.link(named: "lo")?.isUp == true)
            let gateways = try inside.routes().filter { $0.destination.length == 0 }.compactMap {
                $0.gateway?.description
            }
            #expect(Set(gateways) == ["10.77.0.1", "fd77::1"])
            // Router advertisements come, and must not give it further addresses.
            try await Task.sleep(for: .milliseconds(300))
            let addresses = try inside.addresses().filter { $0.link == link.index && !$0.prefix.address.isLinkLocal }
            #expect(Set(addresses.map { "\($0.prefix)" }) == ["10.77.0.5/24", "fd77::5/64"])
            #expect(
                try NetworkNamespace.run(in: namespace) { KernelSetting.read("ipv4/ip_unprivileged_port_start") } == "0"
            )
        }
    }

    @Test func withoutIPv6ThereIsNone() async throws {
        try await Fixture.with(ipv6: false) { fixture in
            try await fixture.driver.up(fixture.network)
            let namespace = try await fixture.guest(fixture.endpoint("a", 5))
            let inside = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
            let index = try #require(try inside.link(named: "eth0")?.index)
            #expect(try inside.addresses().filter { $0.link == index }.map { "\($0.prefix)" } == ["10.77.0.5/24"])
        }
    }

    @Test func aKernelWithoutIPv6DoesWithout() async throws {
        try await Fixture.with { fixture in
            var configuration = BridgeNetwork.Configuration(
                runDirectory: fixture.runDirectory, resolvers: .none, namespace: fixture.host)
            configuration.ipv6 = false
            let driver = try BridgeNetwork(configuration, log: .init(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try await driver.up(fixture.network)
            let namespace = try NetworkNamespace.make()
            try await driver.connect(fixture.endpoint("a", 5), namespace: namespace)
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
            let inside = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
            #expect(
                try inside.addresses().allSatisfy { $0.prefix.address.family == .v4 || $0.prefix.address.isLoopback })
            await driver.abandon()
        }
    }

    @Test func aGuestGetsItsReservedAddressByDHCP() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let endpoint = fixture.endpoint("sys", 9, byGuest: true)
            let namespace = try await fixture.guest(endpoint)
            _ = try await fixture.run(in: namespace, ["ip", "link", "set", "eth0", "up"])
            let command = [
                "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "3", "-T", "1", "-f", "-s", "/bin/true",
            ]
            let lease = try await fixture.run(in: namespace, command + ["-x", "hostname:evil"])
            #expect(lease.errorText.contains("lease of 10.77.0.9 obtained"), "\(lease.errorText)")
            let leases = try await fixture.driver.leases(fixture.network)
            #expect(leases == [NetworkLease(hostname: "sys", mac: endpoint.mac, address: "10.77.0.9")])
            let other = try await fixture.guest(fixture.endpoint("b", 6))
            #expect(try await fixture.resolve("sys.isle", from: other, wanting: "10.77.0.9") == "10.77.0.9")
            #expect(try await fixture.resolve("evil", from: other, wanting: nil) == nil)
            try await fixture.driver.disconnect(endpoint)
            // Neither the name nor the address outlives the endpoint, though the lease still runs.
            #expect(try await fixture.resolve("sys.isle", from: other, wanting: nil) == nil)
            try await Task.sleep(for: .milliseconds(100))
            let stranger = try await fixture.guest(fixture.endpoint("c", 12))
            _ = try await fixture.run(
                in: stranger, ["sh", "-c", "ip addr flush dev eth0; ip link set eth0 address 00:16:3e:00:00:09"])
            let refused = try await fixture.run(in: stranger, command)
            #expect(!refused.errorText.contains("obtained"), "\(refused.errorText)")
            withExtendedLifetime(namespace) {}
        }
    }

    @Test func connectingAgainReplaces() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            var endpoint = fixture.endpoint("a", 5, ports: [PortMapping(hostPort: 8080, guestPort: 80)])
            let first = try await fixture.guest(endpoint)
            // In the same namespace, with another address.
            endpoint.ipv4 = "10.77.0.7"
            endpoint.mac = "00:16:3e:00:00:07"
            try await fixture.driver.connect(endpoint, namespace: first)
            #expect(try await fixture.ping(from: first, "10.77.0.1"))
            let other = try await fixture.guest(fixture.endpoint("b", 6))
            #expect(try await fixture.resolve("a", from: other, wanting: "10.77.0.7") == "10.77.0.7")
            // In a new one, as after a restart of the instance, while the old one is still there.
            let second = try await fixture.guest(endpoint)
            #expect(try await fixture.ping(from: fixture.host, "10.77.0.7"))
            let server = try EchoServer(in: second, port: 80)
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            withExtendedLifetime(server) {}
            await fixture.driver.sweeper.drain()
            let ports = try fixture.session().links().filter { HostLink.bridge(ofAlias: $0.alias) != nil }
            #expect(ports.count == 2)
        }
    }

    @Test func anAddressThatIsUsedAgainIsReachedAtOnce() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            for round: UInt8 in 1...3 {
                var endpoint = fixture.endpoint("a", 5)
                endpoint.mac = "00:16:3e:00:01:0\(round)"
                let namespace = try await fixture.guest(endpoint)
                #expect(try await fixture.ping(from: fixture.host, "10.77.0.5"))
                try await fixture.driver.disconnect(endpoint)
                namespace.close()
            }
        }
    }

    @Test func aTapIsOnTheBridgeAndGoes() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let endpoint = fixture.endpoint("vm", 5, byGuest: true)
            let name = try await fixture.driver.tap(endpoint, owner: 65534)
            let link = try #require(try fixture.session().link(named: name))
            #expect(link.kind == "tun" && link.isUp)
            #expect(link.master == (try fixture.session().link(named: fixture.network.bridge)?.index))
            #expect(try await fixture.driver.counters(endpoint) != nil)
            try await fixture.driver.disconnect(endpoint)
            await fixture.driver.sweeper.drain()
            #expect(try fixture.session().link(named: name) == nil)
            #expect(try await fixture.driver.counters(endpoint) == nil)
        }
    }

    @Test func countersAreFromTheGuestsSide() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let endpoint = fixture.endpoint("a", 5)
            let namespace = try await fixture.guest(endpoint)
            let socket = try TestSocket(SOCK_DGRAM, in: namespace)
            #expect(socket.connect("10.77.0.1", 9) == 0)
            // Every other one reports that nobody listens.
            let sent = (0..<100).filter { _ in socket.send(String(repeating: "x", count: 1000)) }.count
            let counters = try #require(try await fixture.driver.counters(endpoint))
            #expect(counters.bytesSent > 1000 * sent && counters.bytesReceived < 600 * 100 + 10_000)
        }
    }

    @Test func aHundredConnectionsLeaveNothing() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            var times: [Duration] = []
            let clock = ContinuousClock()
            for round in 0..<100 {
                let endpoint = fixture.endpoint(
                    "a\(round)", UInt8(2 + round % 200), byGuest: round % 5 == 0,
                    ports: round % 3 == 0 ? [PortMapping(hostPort: 8080, guestPort: 80)] : [])
                let namespace = try NetworkNamespace.make()
                times.append(
                    try await clock.measure { try await fixture.driver.connect(endpoint, namespace: namespace) })
                try await fixture.driver.disconnect(endpoint)
                namespace.close()
            }
            times.sort()
            print("connect: median \(times[50]), 90 % \(times[90]), slowest \(times[99])")
            try await fixture.driver.down(fixture.network)
            #expect(try await fixture.leftovers() == [])
        }
    }

    @Test func fiftyAtOnceAllSucceed() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let namespaces = try await withThrowingTaskGroup(of: OwnedDescriptor.self) { group in
                for number: UInt8 in 2..<52 {
                    group.addTask { try await fixture.guest(fixture.endpoint("a\(number)", number)) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(namespaces.count == 50)
            #expect(try await fixture.resolve("a51", from: namespaces[0], wanting: "10.77.0.51") == "10.77.0.51")
        }
    }
}
