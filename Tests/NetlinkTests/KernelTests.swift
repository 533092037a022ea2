import Glibc
import Model
import Testing

@testable import Netlink

/// Whether this process may make network namespaces.
let canMakeNamespaces = (try? NetworkNamespace.make()) != nil

/// Each test plays in a network namespace of its own.
@Suite(.enabled(if: canMakeNamespaces, "needs root: network namespaces"))
struct KernelTests {
    let host: OwnedDescriptor
    let session: NetlinkSession

    init() throws {
        host = try NetworkNamespace.make()
        session = NetlinkSession(try NetworkNamespace.run(in: host) { try NetlinkSocket() })
    }

    @Test func bridgeWithAddressesAliasAndMTU() throws {
        try session.perform([
            .makeBridge(LinkSettings(name: "nltest0", mac: MACAddress("00:16:3e:00:00:01"), mtu: 1400, up: true)),
            .change(.name("nltest0"), LinkSettings(), alias: "isle:test"),
        ])
        let link = try #require(try session.link(named: "nltest0"))
        #expect(link.kind == "bridge" && link.alias == "isle:test" && link.isUp && link.mtu == 1400)
        #expect(link.mac?.description == "00:16:3e:00:00:01" && link.statistics != nil)
        let v4 = try #require(IPPrefix("10.99.0.1/24"))
        let v6 = try #require(IPPrefix("fd99::1/64"))
        // Twice: adding what is there is no error.
        for _ in 0..<2 { try session.perform([.addAddress(v4, to: link.index), .addAddress(v6, to: link.index)]) }
        let own = try session.addresses().filter { $0.link == link.index }.map(\.prefix)
        #expect(own.contains(v4) && own.contains(v6))
        #expect(try session.routes().contains { $0.destination.network == v4.network && $0.link == link.index })
        try session.perform([.deleteAddress(v4, of: link.index)])
        #expect(try !session.addresses().contains { $0.prefix == v4 })
        let gone = #expect(throws: NetlinkError.self) { try session.perform([.deleteAddress(v4, of: link.index)]) }
        #expect(gone?.isGone == true)
        let taken = #expect(throws: NetlinkError.self) {
            try session.perform([.makeBridge(LinkSettings(name: "nltest0"))])
        }
        #expect(taken?.isAlreadyThere == true)
        try session.perform([.deleteLink(.index(link.index))])
        #expect(try session.link(named: "nltest0") == nil && session.link(index: link.index) == nil)
    }

    @Test func vethIntoAnotherNamespaceIsConfiguredThere() throws {
        let other = try NetworkNamespace.make()
        try session.perform([.makeBridge(LinkSettings(name: "nltest1", up: true))])
        let bridge = try #require(try session.link(named: "nltest1"))
        defer { try? session.perform([.deleteLink(.name("nltest1"))]) }
        try session.perform([
            .makeVeth(
                LinkSettings(name: "nlveth1", master: bridge.index),
                peer: LinkSettings(name: "eth0", mac: MACAddress("00:16:3e:00:00:02")), namespace: other),
            .change(.name("nlveth1"), LinkSettings(ipv6LinkLocal: false), alias: "isle:veth"),
            .change(.name("nlveth1"), LinkSettings(up: true)),
        ])
        let inside = NetlinkSession(try NetworkNamespace.run(in: other) { try NetlinkSocket() })
        let peer = try #require(try inside.link(named: "eth0"))
        #expect(!peer.isUp && peer.mac?.description == "00:16:3e:00:00:02" && peer.kind == "veth")
        let address = try #require(IPPrefix("10.98.0.2/24"))
        let gateway = try #require(IPAddress("10.98.0.1"))
        try inside.perform([
            .change(.name("lo"), LinkSettings(up: true)), .change(.index(peer.index), LinkSettings(up: true)),
            .addAddress(address, to: peer.index),
            .defaultRoute(through: gateway, link: peer.index),
        ])
        #expect(try inside.routes().contains { $0.destination.length == 0 && $0.gateway == gateway })
        let port = try #require(try session.link(named: "nlveth1"))
        #expect(port.master == bridge.index && port.isUp && port.alias == "isle:veth")
        #expect(try !session.addresses().contains { $0.link == port.index })
        #expect(try session.link(named: "eth0") == nil)
        try session.perform([.deleteLink(.name("nlveth1"))])
        #expect(try inside.link(named: "eth0") == nil)
    }

    @Test func closingTheNamespaceTakesTheVethAway() async throws {
        do {
            let other = try NetworkNamespace.make()
            try session.perform([
                .makeVeth(LinkSettings(name: "nlveth2"), peer: LinkSettings(name: "eth0"), namespace: other)
            ])
            #expect(try session.link(named: "nlveth2") != nil)
            other.close()
        }
        for _ in 0..<3000 where try session.link(named: "nlveth2") != nil {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(try session.link(named: "nlveth2") == nil)
    }

    @Test(.enabled(if: access("/dev/net/tun", R_OK) == 0, "needs /dev/net/tun")) func tapForAUser() throws {
        try NetworkNamespace.run(in: host) { try TapDevice.make("nltap0", owner: 65534) }
        let link = try #require(try session.link(named: "nltap0"))
        #expect(link.kind == "tun")
        let taken = #expect(throws: NetlinkError.self) {
            try NetworkNamespace.run(in: host) { try TapDevice.make("nltap0", owner: 0) }
        }
        #expect(taken?.errno == EBUSY)
        try session.perform([.deleteLink(.name("nltap0"))])
        #expect(throws: NetlinkError.self) { try TapDevice.make("a-name-that-is-too-long", owner: 0) }
    }

    @Test func aClosedNamespaceIsAClearError() throws {
        let closed = OwnedDescriptor(-1)
        #expect(throws: EngineError.self) { try NetworkNamespace.run(in: closed) {} }
        #expect(throws: NetlinkError.self) { try NetworkNamespace.open("/proc/self/ns/nothing") }
        let file = try NetworkNamespace.open("/proc/self/ns/pid")
        #expect(throws: NetlinkError.self) { try NetworkNamespace.run(in: file) {} }
    }

    @Test func neighboursAreListed() throws {
        #expect(throws: Never.self) { try session.neighbours() }
    }
}
