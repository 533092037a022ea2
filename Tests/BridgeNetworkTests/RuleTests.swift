import DriverKit
import LinuxHost
import Model
import Netlink
import Nftables
import Testing

@testable import BridgeNetwork

/// What interfaces are held to at the host's end.
@Suite(.enabled(if: canRunNetworks, "\(whyNot)"))
struct RuleTests {
    private func endpoint(
        _ fixture: Fixture, _ number: UInt8, byGuest: Bool = false, _ change: (inout InterfaceRules) -> Void
    ) -> NetworkEndpoint {
        var endpoint = fixture.endpoint("c\(number)", number, byGuest: byGuest)
        var rules = InterfaceRules()
        change(&rules)
        endpoint.rules = rules
        return endpoint
    }

    private func queue(_ fixture: Fixture, _ endpoint: NetworkEndpoint) async throws -> String {
        let name = try #require(try await fixture.driver.links(of: [endpoint])[endpoint]?.name)
        return try await fixture.run(in: fixture.host, ["tc", "qdisc", "show", "dev", name]).outputText
    }

    private func tables(_ fixture: Fixture) throws -> [String] {
        try fixture.nft().list("list tables netdev").tables.map(\.name).filter { $0.hasPrefix("isle_nic_") }
    }

    @Test func ratesAreSetAndChanged() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            var endpoint = endpoint(fixture, 5) { ($0.ingress, $0.egress) = (80_000_000, 8_000_000) }
            let namespace = try await fixture.guest(endpoint)
            #expect(try await queue(fixture, endpoint).contains("tbf"))
            #expect(try await queue(fixture, endpoint).contains("rate 80Mbit"))
            let listed = try await fixture.run(in: fixture.host, ["nft", "list", "ruleset"]).outputText
            #expect(
                listed.contains("limit rate over 1000000 bytes/second") || listed.contains("limit rate over 1 mbytes"))
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
            // More than the kernel's numbers of 32 bits hold.
            endpoint.rules?.ingress = 100_000_000_000
            endpoint.rules?.egress = nil
            try await fixture.driver.refresh(endpoint)
            #expect(try await queue(fixture, endpoint).contains("rate 100Gbit"))
            #expect(try tables(fixture) == [])
            endpoint.rules = nil
            try await fixture.driver.refresh(endpoint)
            #expect(try await !queue(fixture, endpoint).contains("tbf"))
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
        }
    }

    @Test func nobodySendsUnderAnothersAddresses() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let held = endpoint(fixture, 5) { ($0.filtersMAC, $0.filtersIPv4, $0.filtersIPv6) = (true, true, true) }
            let namespace = try await fixture.guest(held)
            let peer = try await fixture.guest(fixture.endpoint("peer", 6))
            for address in ["10.77.0.1", "fd77::1", "10.77.0.6", "fd77::6"] {
                #expect(try await fixture.ping(from: namespace, address), "\(address)")
            }
            func ip(_ arguments: String...) async throws {
                let result = try await fixture.run(in: namespace, ["ip"] + arguments)
                #expect(result.status.isSuccess, "\(result)")
            }
            func forged(_ source: String, _ target: String) async throws -> Bool {
                try await fixture.run(
                    in: namespace, ["busybox", "ping", "-c", "1", "-W", "1", "-I", source, target]
                ).status.isSuccess
            }
            try await ip("addr", "add", "10.77.0.99/24", "dev", "eth0")
            try await ip("addr", "add", "fd77::99/64", "dev", "eth0", "nodad")
            #expect(try await !forged("10.77.0.99", "10.77.0.1"))
            #expect(try await !forged("fd77::99", "fd77::1"))
            #expect(try await fixture.ping(from: peer, "10.77.0.5"))
            #expect(try await !fixture.ping(from: peer, "10.77.0.99"))
            #expect(try await !fixture.ping(from: peer, "fd77::99"))
            // The same without the filters, so that it is they that hold.
            var free = held
            free.rules = nil
            try await fixture.driver.refresh(free)
            #expect(try await forged("10.77.0.99", "10.77.0.1"))
            #expect(try await forged("fd77::99", "fd77::1"))
            #expect(try await fixture.ping(from: peer, "10.77.0.99"))
            free.rules = InterfaceRules()
            free.rules?.filtersMAC = true
            try await fixture.driver.refresh(free)
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
            try await ip("link", "set", "eth0", "address", "00:16:3e:00:00:77")
            #expect(try await !fixture.ping(from: namespace, "10.77.0.1"))
        }
    }

    @Test func isolatedOnesReachTheGatewayAndNotEachOther() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let one = endpoint(fixture, 5) { $0.isIsolated = true }
            let namespace = try await fixture.guest(one)
            let other = try await fixture.guest(endpoint(fixture, 6) { $0.isIsolated = true })
            let open = try await fixture.guest(fixture.endpoint("open", 7))
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
            #expect(try await fixture.ping(from: open, "10.77.0.5"))
            #expect(try await !fixture.ping(from: namespace, "10.77.0.6"))
            var freed = one
            freed.rules = nil
            try await fixture.driver.refresh(freed)
            #expect(try await fixture.ping(from: other, "10.77.0.5"))
        }
    }

    @Test func namesOfTheHostsEndAreTheUsers() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            var named = fixture.endpoint("named", 5)
            (named.hostName, named.mtu) = ("mine-0", 1400)
            let namespace = try await fixture.guest(named)
            #expect(try fixture.session().link(named: "mine-0")?.mtu == 1400)
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
            // Again at once, as after a restart, while the old one may still be on its way out.
            try await fixture.driver.disconnect(named)
            let second = try await fixture.guest(named)
            #expect(try await fixture.ping(from: second, "10.77.0.1"))
            await fixture.driver.sweeper.drain()
            #expect(try await fixture.ping(from: second, "10.77.0.1"))
            var thief = fixture.endpoint("thief", 6)
            thief.hostName = "mine-0"
            let error = await #expect(throws: EngineError.self) { _ = try await fixture.guest(thief) }
            #expect(error?.code == .conflict && error?.message.contains("'mine-0'") == true)
            #expect(try await fixture.ping(from: second, "10.77.0.1"))
            withExtendedLifetime(namespace) {}
        }
    }

    /// A driver that is gone afterwards, and looks after nothing any more.
    private func live(in fixture: Fixture, _ body: (BridgeNetwork) async throws -> Void) async throws {
        let driver = try Fixture.makeDriver(fixture.runDirectory, fixture.host)
        try await driver.up(fixture.network)
        try await body(driver)
        await driver.firewallWatch?.cancel()
    }

    @Test func rulesOutliveFlushesAndDaemonsAndGoWithTheInterface() async throws {
        try await Fixture.with { fixture in
            let kept = endpoint(fixture, 5) { $0.egress = 8_000_000 }
            let gone = endpoint(fixture, 6, byGuest: true) { ($0.filtersMAC, $0.ingress) = (true, 1_000_000) }
            var wire = endpoint(fixture, 7, byGuest: true) { $0.egress = 8_000_000 }
            (wire.direct, wire.network) = (DirectLink(.p2p), "")
            let namespace = try NetworkNamespace.make()
            try await live(in: fixture) { first in
                try await first.connect(kept, namespace: namespace)
                _ = try await first.tap(gone, owner: 65534)
                _ = try await first.tap(wire, owner: 65534)
                let before = try tables(fixture).sorted()
                #expect(before.count == 3)
                try fixture.nft().run("flush ruleset")
                for _ in 0..<300 where try tables(fixture).count < 3 { try await Task.sleep(for: .milliseconds(10)) }
                #expect(try tables(fixture).sorted() == before)
            }
            try await fixture.driver.adopt([fixture.network], endpoints: [kept])
            #expect(try tables(fixture).count == 1)
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
            try await fixture.driver.disconnect(kept)
            #expect(try tables(fixture) == [])
        }
    }
}
