import DriverKit
import Glibc
import LinuxHost
import Logging
import Model
import Netlink
import Nftables
import Testing

@testable import BridgeNetwork

/// A daemon that was killed and one that comes after it: two drivers, the first simply forgotten.
@Suite(.enabled(if: canRunNetworks, "\(whyNot)"))
struct AdoptTests {
    @Test func whatLivesGoesOnAndTheRestGoes() async throws {
        try await Fixture.with { fixture in
            let first = try Fixture.makeDriver(fixture.runDirectory, fixture.host)
            try await first.up(fixture.network)
            var unwanted = fixture.network
            unwanted.name += "x"
            unwanted.bridge += "x"
            unwanted.ipv4 = "10.79.0.1/24"
            unwanted.ipv6 = nil
            try await first.up(unwanted)
            let web = fixture.endpoint("web", 5, ports: [PortMapping(hostPort: 8080, guestPort: 80)])
            let gone = fixture.endpoint(
                "gone", 6, byGuest: true, ports: [PortMapping(hostPort: 8081, guestPort: 80)])
            let vm = fixture.endpoint("vm", 7, byGuest: true)
            let namespaces = [try NetworkNamespace.make(), try NetworkNamespace.make()]
            try await first.connect(web, namespace: namespaces[0])
            try await first.connect(gone, namespace: namespaces[1])
            let tap = try await first.tap(vm, owner: 65534)
            let lostTap = try await first.tap(fixture.endpoint("lost", 8, byGuest: true), owner: 65534)
            let server = try EchoServer(in: namespaces[0], port: 80)
            let connection = try TestSocket(SOCK_STREAM, in: fixture.host)
            #expect(connection.connect("127.0.0.1", 8080) == 0 && connection.receive() == "10.77.0.1")
            let dnsmasq = await first.networks[fixture.network.name]?.dnsmasq.pid
            await first.abandon()

            try await fixture.driver.adopt([fixture.network], endpoints: [web, vm])
            #expect(await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid == dnsmasq)
            #expect(connection.send("still here") && connection.receive() == "still here")
            #expect(try hello(from: fixture.host, "127.0.0.1", 8080) == "10.77.0.1")
            #expect(try await fixture.driver.counters(web) != nil)
            #expect(try await fixture.driver.counters(gone) == nil)
            await fixture.driver.sweeper.drain()
            let ports = try fixture.session().links().filter { HostLink.bridge(ofAlias: $0.alias) != nil }
            #expect(ports.count == 2 && ports.contains { $0.name == tap } && !ports.contains { $0.name == lostTap })
            #expect(try fixture.session().link(named: unwanted.bridge) == nil)
            #expect(NetworkFolder.names(in: fixture.runDirectory + "/networks") == [fixture.network.bridge])
            #expect(try await fixture.resolve("web", from: namespaces[0], wanting: "10.77.0.5") == "10.77.0.5")
            #expect(try await fixture.resolve("gone", from: namespaces[0], wanting: nil) == nil)
            // The second daemon holds the ports now, and only those that it needs.
            let taken = fixture.endpoint("b", 9, ports: [PortMapping(hostPort: 8080, guestPort: 80)])
            await #expect(throws: EngineError.self) { try await fixture.guest(taken) }
            _ = try await fixture.guest(fixture.endpoint("c", 10, ports: [PortMapping(hostPort: 8081, guestPort: 80)]))
            try await fixture.driver.disconnect(vm)
            await fixture.driver.sweeper.drain()
            #expect(try fixture.session().link(named: tap) == nil)
            withExtendedLifetime(server) {}
        }
    }

    @Test func aNameServerThatDiedMeanwhileIsStartedAgain() async throws {
        try await Fixture.with { fixture in
            let first = try Fixture.makeDriver(fixture.runDirectory, fixture.host)
            try await first.up(fixture.network)
            let process = try #require(await first.networks[fixture.network.name]?.dnsmasq)
            await first.abandon()
            try process.signal(SIGKILL)
            try await process.ended()
            _ = try process.reap()
            try await fixture.driver.adopt([fixture.network], endpoints: [])
            let namespace = try await fixture.guest(fixture.endpoint("a", 5))
            #expect(try await fixture.resolve("a", from: namespace, wanting: "10.77.0.5") == "10.77.0.5")
        }
    }

    @Test func changedAddressesReplaceTheNameServersConfiguration() async throws {
        try await Fixture.with { fixture in
            try await fixture.driver.up(fixture.network)
            let first = await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid
            var changed = fixture.network
            changed.ipv6 = nil
            try await fixture.driver.up(changed)
            #expect(await fixture.driver.networks[fixture.network.name]?.dnsmasq.pid != first)
            let link = try #require(try fixture.session().link(named: fixture.network.bridge))
            let addresses = try fixture.session().addresses().filter { $0.link == link.index }.map { "\($0.prefix)" }
            #expect(addresses == ["10.77.0.1/24"])
        }
    }

    @Test func aRunDirectoryThatWasWipedIsMadeAnew() async throws {
        try await Fixture.with { fixture in
            let first = try Fixture.makeDriver(fixture.runDirectory, fixture.host)
            try await first.up(fixture.network)
            let process = try #require(await first.networks[fixture.network.name]?.dnsmasq)
            await first.abandon()
            try process.signal(SIGKILL)
            try await process.ended()
            _ = try process.reap()
            try NetworkFolder(runDirectory: fixture.runDirectory, bridge: fixture.network.bridge).remove()
            try await fixture.driver.adopt([fixture.network], endpoints: [])
            let namespace = try await fixture.guest(fixture.endpoint("a", 5))
            #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
        }
    }

    /// A daemon that dies between two steps of `up` or `down` leaves any part of a network without any other.
    @Test(arguments: 0..<16) func anyPartThatIsLeftIsMendedOrRemoved(_ missing: Int) async throws {
        try await Fixture.with { fixture in
            for mends in [true, false] {
                let first = try Fixture.makeDriver(fixture.runDirectory, fixture.host)
                try await first.up(fixture.network)
                let process = try #require(await first.networks[fixture.network.name]?.dnsmasq)
                await first.abandon()
                if missing & 1 != 0 {
                    try process.signal(SIGKILL)
                    try await process.ended()
                    _ = try process.reap()
                }
                if missing & 2 != 0 { try fixture.nft().run("delete table inet isle_\(fixture.network.bridge)") }
                if missing & 4 != 0 { try fixture.session().perform([.deleteLink(.name(fixture.network.bridge))]) }
                if missing & 8 != 0 {
                    let folder = NetworkFolder(runDirectory: fixture.runDirectory, bridge: fixture.network.bridge)
                    for file in [folder.configuration, folder.path + "/journal.json", folder.leases] {
                        try folder.removeFile(file)
                    }
                }
                if mends {
                    try await fixture.driver.adopt([fixture.network], endpoints: [])
                    let namespace = try await fixture.guest(fixture.endpoint("a", 5))
                    #expect(try await fixture.ping(from: namespace, "10.77.0.1"))
                    #expect(try await fixture.resolve("a", from: namespace, wanting: "10.77.0.5") == "10.77.0.5")
                }
                try await fixture.driver.adopt([], endpoints: [])
                #expect(try await fixture.leftovers() == [])
            }
        }
    }

    @Test func theHostIsCheckedWithoutBeingChanged() async throws {
        try await Fixture.with { fixture in
            let checks = await fixture.driver.check()
            #expect(checks.map(\.name) == ["bridge", "nftables", "other firewalls", "forwarding", "dnsmasq"])
            #expect(checks.allSatisfy { $0.level != .error }, "\(checks)")
            #expect(try await fixture.leftovers() == [])
            _ = try NetworkNamespace.run(in: fixture.host) {
                try fixture.nft().run(
                    "table inet filter { chain forward { type filter hook forward priority 0 ; policy drop ; } ; }")
            }
            let firewall = await fixture.driver.check().first { $0.name == "other firewalls" }
            #expect(firewall?.finding.contains("inet filter forward") == true)
        }
    }

    @Test func aMissingDnsmasqIsSaidAndLeavesNothing() async throws {
        try await Fixture.with { fixture in
            let driver = try BridgeNetwork(
                .init(runDirectory: fixture.runDirectory, dnsmasq: "/nowhere/dnsmasq", namespace: fixture.host),
                log: .init(label: "test"))
            let error = await #expect(throws: EngineError.self) { try await driver.up(fixture.network) }
            #expect(error?.code == .unsupported && error?.hint == "apt install dnsmasq-base")
            #expect(try await fixture.leftovers() == [])
            #expect(await driver.check().last?.level == .error)
        }
    }
}

extension BridgeNetwork {
    /// What a killed daemon's driver does from then on: nothing; its sockets are closed.
    func abandon() {
        for name in networks.keys { forget(name) }
        attachments = [:]
    }
}
