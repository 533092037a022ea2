import DriverKit
import Glibc
import LinuxHost
import Model
import Netlink
import Testing

@testable import BridgeNetwork

/// Interfaces on no managed network: `outside` is another computer on the network of the host's `wan0`.
@Suite(.enabled(if: canRunNetworks, "\(whyNot)"))
struct DirectTests {
    private func endpoint(_ direct: DirectLink, byGuest: Bool = false, number: Int = 7) -> NetworkEndpoint {
        var endpoint = NetworkEndpoint(
            instance: .random(), hostname: "c\(number)", network: "", device: "eth1", mac: "00:16:3e:00:01:0\(number)",
            ipv4: direct.ipv4.addresses.first, ipv6: direct.ipv6.addresses.first, configuredByGuest: byGuest,
            prefixLength4: 32, prefixLength6: 128)
        endpoint.direct = direct
        endpoint.hasDefaultRoute = direct.kind == .routed
        return endpoint
    }

    private func routed(_ address: String = "192.0.2.77") -> DirectLink {
        var link = DirectLink(.routed, parent: "wan0")
        link.ipv4.addresses = [address]
        return link
    }

    private func set(_ fixture: Fixture, _ path: String, _ value: String) throws {
        try NetworkNamespace.run(in: fixture.host) { try KernelSetting.write(path, value) }
    }

    @Test func aMacvlanIsOnTheParentsNetwork() async throws {
        try await Fixture.with { fixture in
            let endpoint = endpoint(DirectLink(.macvlan, parent: "wan0"))
            let namespace = try await fixture.guest(endpoint)
            let inside = try #require(try await fixture.driver.interfaces(in: namespace).first { $0.name == "eth1" })
            #expect(inside.mac == endpoint.mac && inside.isUp)
            #expect(
                try await fixture.run(in: namespace, ["ip", "addr", "add", "192.0.2.50/24", "dev", "eth1"]).status
                    .isSuccess)
            #expect(try await fixture.ping(from: namespace, "192.0.2.2"))
            let after = try #require(try await fixture.driver.interfaces(in: namespace).first { $0.name == "eth1" })
            #expect(after.addresses.contains { $0.address == "192.0.2.50" && $0.prefixLength == 24 })
            #expect(after.counters.packetsReceived > 0 && after.counters.packetsSent > 0)
            // Again in the same namespace, as after a change; then away while the instance goes on.
            try await fixture.driver.connect(endpoint, namespace: namespace)
            try await fixture.driver.detach(endpoint, from: namespace)
            #expect(try await fixture.driver.interfaces(in: namespace).map(\.name) == ["lo"])
            let missing = self.endpoint(DirectLink(.macvlan, parent: "none0"))
            let error = await #expect(throws: EngineError.self) { _ = try await fixture.guest(missing) }
            #expect(error?.code == .notFound && error?.message.contains("'none0'") == true)
        }
    }

    @Test func aWireLeadsToTheHost() async throws {
        try await Fixture.with { fixture in
            var link = DirectLink(.p2p)
            link.hostName = "wire0"
            link.mtu = 1400
            link.routes = ["10.50.0.0/24"]
            let endpoint = endpoint(link)
            let namespace = try await fixture.guest(endpoint)
            let end = try #require(try fixture.session().link(named: "wire0"))
            #expect(end.mtu == 1400 && end.isUp)
            #expect(
                try fixture.session().routes().contains {
                    $0.link == end.index && "\($0.destination)" == "10.50.0.0/24"
                })
            #expect(try await fixture.driver.links(of: [endpoint])[endpoint]?.name == "wire0")
            // The name is taken, and not by this endpoint.
            let second = await #expect(throws: EngineError.self) {
                _ = try await fixture.guest(self.endpoint(link, number: 8))
            }
            #expect(second?.code == .conflict && second?.message.contains("'wire0'") == true)
            try await fixture.driver.disconnect(endpoint)
            #expect(try fixture.session().link(named: "wire0") == nil)
            withExtendedLifetime(namespace) {}
        }
    }

    @Test func aRoutedAddressIsReachedFromTheParentsNetwork() async throws {
        try await Fixture.with { fixture in
            let endpoint = endpoint(routed())
            let refused = await #expect(throws: EngineError.self) { _ = try await fixture.guest(endpoint) }
            #expect(refused?.code == .conflict && refused?.message.contains("net/ipv4/conf/wan0/forwarding=1") == true)
            #expect(try await fixture.leftovers() == [])
            try set(fixture, "ipv4/conf/wan0/forwarding", "1")
            let namespace = try await fixture.guest(endpoint)
            #expect(try await fixture.ping(from: fixture.outside, "192.0.2.77"))
            #expect(try await fixture.ping(from: namespace, "192.0.2.2"))
            // What it sends under another's address goes nowhere.
            _ = try await fixture.run(in: namespace, ["ip", "addr", "add", "192.0.2.99/32", "dev", "lo"])
            let forged = try await fixture.run(
                in: namespace, ["busybox", "ping", "-c", "1", "-W", "1", "-I", "192.0.2.99", "192.0.2.2"])
            #expect(!forged.status.isSuccess)
            let taken = await #expect(throws: EngineError.self) {
                _ = try await fixture.guest(self.endpoint(routed(), number: 8))
            }
            #expect(taken?.code == .conflict && taken?.message.contains("192.0.2.77") == true)
            let used = await #expect(throws: EngineError.self) {
                _ = try await fixture.guest(self.endpoint(routed("192.0.2.2"), number: 9))
            }
            #expect(used?.code == .conflict && used?.message.contains("is in use") == true)
            try await fixture.driver.disconnect(endpoint)
            #expect(try await !fixture.ping(from: fixture.outside, "192.0.2.77"))
        }
    }

    @Test func theNextDaemonKeepsWhatLivesAndTakesTheRestAway() async throws {
        try await Fixture.with { fixture in
            try set(fixture, "ipv4/conf/wan0/forwarding", "1")
            let first = try Fixture.makeDriver(fixture.runDirectory, fixture.host)
            let (kept, gone) = (endpoint(routed("192.0.2.71"), number: 1), endpoint(routed("192.0.2.72"), number: 2))
            let tap = endpoint(DirectLink(.p2p), byGuest: true, number: 3)
            let namespaces = [try NetworkNamespace.make(), try NetworkNamespace.make()]
            try await first.connect(kept, namespace: namespaces[0])
            try await first.connect(gone, namespace: namespaces[1])
            let name = try await first.tap(tap, owner: 65534)
            #expect(try fixture.session().link(named: name) != nil)
            await first.abandon()
            try await fixture.driver.adopt([], endpoints: [kept])
            #expect(try await fixture.ping(from: fixture.outside, "192.0.2.71"))
            #expect(try await !fixture.ping(from: fixture.outside, "192.0.2.72"))
            #expect(try fixture.session().link(named: name) == nil)
            #expect(try await fixture.driver.counters(kept) != nil)
            #expect(try await fixture.driver.counters(gone) == nil)
            withExtendedLifetime(namespaces) {}
        }
    }

    @Test func aMachinesMacvlanIsADeviceFile() async throws {
        try await Fixture.with { fixture in
            let endpoint = endpoint(DirectLink(.macvlan, parent: "wan0"), byGuest: true)
            let path: String
            do { path = try await fixture.driver.tap(endpoint, owner: 65534) } catch let error as EngineError {
                // Where another namespace has an interface of the same number.
                #expect(error.code == .unsupported)
                return
            }
            #expect(path.hasPrefix("/dev/tap") && access(path, F_OK) == 0)
            try await fixture.driver.disconnect(endpoint)
            #expect(try fixture.session().links().allSatisfy { $0.kind != "macvtap" })
        }
    }
}
