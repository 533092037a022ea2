import DriverKit
import Model
import Nftables
import Testing

@testable import BridgeNetwork

private func spec(
    name: String = "default", bridge: String = "isle0", ipv4: String? = "10.77.0.1/24", ipv6: String? = "fd77::1/64",
    mtu: Int? = nil, domain: String = "isle"
) -> NetworkSpec { NetworkSpec(name: name, bridge: bridge, ipv4: ipv4, ipv6: ipv6, mtu: mtu, domain: domain) }

private func endpoint(
    _ hostname: String = "web", aliases: [String] = [], device: String = "eth0", mac: String = "00:16:3e:01:02:03",
    ipv4: String? = "10.77.0.5", ipv6: String? = "fd77::5", ports: [PortMapping] = []
) -> NetworkEndpoint {
    NetworkEndpoint(
        instance: .random(), hostname: hostname, aliases: aliases, network: "default", device: device, mac: mac,
        ipv4: ipv4, ipv6: ipv6, configuredByGuest: false, ports: ports)
}

@Suite struct CheckedValueTests {
    @Test(arguments: [
        "", "a23456789012345x", "0br", "br 0", "br\n0", "br;0", "../x", "br\"", "brü", ".", "br/0", "br.0",
    ])
    func bridgeNamesThatMeanSomethingElsewhereAreRefused(_ name: String) {
        let error = #expect(throws: EngineError.self) { try ManagedNetwork(spec(bridge: name)) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: [
        "10.77.0.1", "10.77.0.0/24", "10.77.0.1/31", "127.0.0.1/8", "fd77::1/64", "x", "10.77.0.1/24; drop",
    ])
    func gatewaysMustBeAddressesOfTheirFamily(_ text: String) {
        let error = #expect(throws: EngineError.self) { try ManagedNetwork(spec(ipv4: text)) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func domainsAndSizesAreChecked() {
        for domain in ["", "a..b", "-a", "a\nserver=/x/1.2.3.4", "a/b", "a b", "a,b"] {
            #expect(throws: EngineError.self) { try ManagedNetwork(spec(domain: domain)) }
        }
        for mtu in [0, 576, 70000, -1] { #expect(throws: EngineError.self) { try ManagedNetwork(spec(mtu: mtu)) } }
    }

    @Test func endpointsAreChecked() throws {
        let network = try ManagedNetwork(spec())
        #expect(throws: Never.self) { try CheckedEndpoint(endpoint(aliases: ["a.b", "my_db"]), in: network) }
        let bad = [
            endpoint("web\n10.0.0.1 bank"), endpoint("web bank"), endpoint(""), endpoint(aliases: ["a#b"]),
            endpoint(device: "eth0/../x"), endpoint(mac: "01:00:5e:00:00:01"), endpoint(mac: "junk"),
            endpoint(ipv4: "10.78.0.5"), endpoint(ipv4: "10.77.0.1"), endpoint(ipv4: "fd77::5"),
            endpoint(ipv6: "fd78::5"), endpoint(ipv6: "fd77::1"), endpoint(String(repeating: "a", count: 64)),
            endpoint(ports: [PortMapping(hostPort: 0, guestPort: 80)]),
            endpoint(ports: [PortMapping(hostPort: 80, guestPort: 0)]),
            endpoint(ports: [PortMapping(hostAddress: "web", hostPort: 80, guestPort: 80)]),
            endpoint(ipv6: nil, ports: [PortMapping(hostAddress: "::", hostPort: 80, guestPort: 80)]),
        ]
        for (index, one) in bad.enumerated() {
            let error = #expect(throws: EngineError.self, "number \(index)") { try CheckedEndpoint(one, in: network) }
            #expect(error?.code == .invalidArgument, "number \(index)")
        }
    }

    @Test func portsCollideWhereThePacketsAreTheSame() throws {
        let network = try ManagedNetwork(spec())
        func port(_ address: String, _ number: UInt16, _ transport: PortMapping.Transport = .tcp) throws
            -> PublishedPort
        {
            let mapping = PortMapping(hostAddress: address, hostPort: number, guestPort: 80, transport: transport)
            return try #require(try CheckedEndpoint(endpoint(ports: [mapping]), in: network).ports.first)
        }
        let base = try port("127.0.0.1", 80)
        for other in [try port("127.0.0.1", 80), try port("0.0.0.0", 80), try port("", 80)] {
            #expect(base.collides(with: other) && other.collides(with: base))
        }
        for other in [
            try port("127.0.0.2", 80), try port("127.0.0.1", 81), try port("127.0.0.1", 80, .udp), try port("::", 80),
        ] {
            #expect(!base.collides(with: other) && !other.collides(with: base))
        }
    }
}

@Suite struct FirewallTests {
    @Test func eachKindOfPortGoesIntoItsMap() throws {
        let network = try ManagedNetwork(spec())
        let ports = try CheckedEndpoint(
            endpoint(ports: [
                PortMapping(hostPort: 8080, guestPort: 80),
                PortMapping(hostAddress: "0.0.0.0", hostPort: 53, guestPort: 53, transport: .udp),
                PortMapping(hostAddress: "192.0.2.1", hostPort: 443, guestPort: 8443),
                PortMapping(hostAddress: "::", hostPort: 443, guestPort: 8443),
            ]), in: network
        ).ports
        let table = FirewallTable(network: network)
        #expect(
            table.add(ports) == """
                add element inet isle_isle0 loop4 { 127.0.0.1 . tcp . 8080 : 10.77.0.5 . 80 }
                add element inet isle_isle0 any4 { udp . 53 : 10.77.0.5 . 53 }
                add element inet isle_isle0 bound4 { 192.0.2.1 . tcp . 443 : 10.77.0.5 . 8443 }
                add element inet isle_isle0 any6 { tcp . 443 : fd77::5 . 8443 }

                """)
        #expect(table.delete([ports[0]]) == "delete element inet isle_isle0 loop4 { 127.0.0.1 . tcp . 8080 }\n")
        #expect(table.add([]).isEmpty)
    }

    @Test func withoutTranslationNothingIsHidden() throws {
        var routed = spec()
        routed.ipv4NAT = false
        let text = FirewallTable(network: try ManagedNetwork(routed)).replace(ports: [])
        #expect(!text.contains("meta nfproto ipv4 drop") && text.contains("meta nfproto ipv6 drop"))
        #expect(!text.contains("ip saddr 10.77.0.0/24 ip daddr != 10.77.0.0/24 masquerade"))
        #expect(text.contains("ip6 saddr fd77::/64 ip6 daddr != fd77::/64 masquerade"))
    }

    @Test func rulesOfAnACLAreSortedByActionAndLeaveOutWhatIsDisabled() throws {
        let acl = NetworkACL(
            name: "web",
            ingress: [
                NetworkACL.Rule(
                    action: .allow, source: ["10.0.0.9", "10.0.0.0/24", "fd42::/64", "10.0.1.0-10.0.1.9"],
                    transport: .tcp,
                    destinationPorts: [80...80, 443...450, 445...460]),
                NetworkACL.Rule(action: .drop, state: .disabled),
                NetworkACL.Rule(action: .drop, state: .logged, transport: .icmp4, icmpType: 8),
            ],
            egress: [NetworkACL.Rule(action: .reject, destination: ["192.0.2.1"], transport: .udp)])
        let security = NetworkSecurity(
            acls: ["web"], ingress: .init(action: .drop, isLogged: true), egress: .init(action: .allow))
        #expect(
            ACLRules(bridge: "isle0", security: security, acls: [acl]).rules == [
                "ct state established,related accept", "ct state invalid drop",
                "iifname \"isle0\" ip daddr { 192.0.2.1 } meta l4proto udp reject",
                "iifname \"isle0\" accept",
                "oifname \"isle0\" meta l4proto icmp icmp type 8 log prefix \"isle-web-ingress: \" drop",
                "oifname \"isle0\" ip saddr { 10.0.0.0/24, 10.0.1.0-10.0.1.9 } tcp dport { 80, 443-460 } accept",
                "oifname \"isle0\" ip6 saddr { fd42::/64 } tcp dport { 80, 443-460 } accept",
                "oifname \"isle0\" log prefix \"isle-isle0-ingress: \" drop",
            ])
        var walled = spec()
        #expect(!FirewallTable(network: try ManagedNetwork(walled)).replace(ports: []).contains("chain acl"))
        (walled.security, walled.acls) = (security, [acl])
        let text = FirewallTable(network: try ManagedNetwork(walled)).replace(ports: [])
        for chain in ["acl", "acl_input", "acl_output", "acl_forward"] { #expect(text.contains("chain \(chain) {")) }
    }

    @Test func subjectsAreAddressesSubnetsAndRanges() {
        for text in ["10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", "fd42::1", "fd42::/64", "::1-::2"] {
            #expect(NetworkSubject(text)?.description == text)
        }
        #expect(NetworkSubject("10.0.0.7/24")?.description == "10.0.0.0/24")
        #expect(NetworkSubject("10.0.0.0/24")?.last == IPAddress("10.0.0.255"))
        #expect(NetworkSubject("fd42::/63")?.last == IPAddress("fd42::1:ffff:ffff:ffff:ffff"))
        for text in ["", "web", "@internal", "10.0.0.9-10.0.0.1", "10.0.0.1-fd42::1", "10.0.0.1 }", "10.0.0.0/33", "-"]
        {
            #expect(NetworkSubject(text) == nil, "\(text)")
        }
    }

    private func ruleset(policy: String, last: String, jump: Bool = false, comments: Int = 0) throws -> Ruleset {
        var rules = [String](
            repeating: """
                {"rule": {"family": "ip", "table": "filter", "chain": "\(jump ? "DOCKER-USER" : "FORWARD")", "handle": 9,
                "comment": "isle:isle0", "expr": [{"counter": null}, {"accept": null}]}}
                """, count: comments)
        if jump {
            rules.append(
                """
                {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 3,
                "expr": [{"counter": null}, {"jump": {"target": "DOCKER-USER"}}]}}
                """)
        }
        rules.append(
            """
            {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 4, "expr": \(last)}}
            """)
        let json = """
            {"nftables": [{"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "handle": 1,
            "type": "filter", "hook": "forward", "prio": 0, "policy": "\(policy)"}},
            {"chain": {"family": "inet", "table": "isle_isle0", "name": "forward", "handle": 1, "type": "filter",
            "hook": "forward", "prio": 0, "policy": "drop"}},
            {"chain": {"family": "bridge", "table": "b", "name": "f", "handle": 1, "type": "filter",
            "hook": "forward", "prio": 0, "policy": "drop"}}, \(rules.joined(separator: ", "))]}
            """
        return try Ruleset(json: Array(json.utf8))
    }

    @Test func findsChainsThatDropByPolicyOrByTheirLastRule() throws {
        let accept = #"[{"accept": null}]"#
        let rejectAll = #"[{"counter": null}, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]"#
        let rejectSome = #"[{"match": {"op": "=="}}, {"drop": null}]"#
        func found(_ policy: String, _ last: String, jump: Bool = false) throws -> [String] {
            ForeignFirewall.blockers(
                in: try ruleset(policy: policy, last: last, jump: jump), hook: "forward",
                ignoring: BridgeNetwork.isOwnTable
            ).map(\.entry)
        }
        #expect(try found("drop", accept) == ["FORWARD"])
        #expect(try found("drop", accept, jump: true) == ["DOCKER-USER"])
        #expect(try found("accept", rejectAll) == ["FORWARD"])
        #expect(try found("accept", rejectSome) == [])
        #expect(try found("accept", accept) == [])
    }

    @Test func addsItsRulesOnceAndMendsAPart() throws {
        let firewall = ForeignFirewall(network: try ManagedNetwork(spec()))
        func commands(_ comments: Int) throws -> [Substring] {
            firewall.accept(
                in: try ruleset(policy: "drop", last: #"[{"accept": null}]"#, jump: true, comments: comments),
                ignoring: BridgeNetwork.isOwnTable
            ).commands.split(separator: "\n")
        }
        #expect(
            try commands(0) == [
                #"insert rule ip filter DOCKER-USER iifname "isle0" counter accept comment "isle:isle0""#,
                #"insert rule ip filter DOCKER-USER oifname "isle0" counter accept comment "isle:isle0""#,
            ])
        #expect(try commands(2).isEmpty)
        #expect(try commands(1).first == "delete rule ip filter DOCKER-USER handle 9")
        #expect(try commands(1).count == 3)
        let removal = firewall.remove(
            from: try ruleset(policy: "drop", last: #"[{"accept": null}]"#, comments: 2),
            ignoring: BridgeNetwork.isOwnTable)
        #expect(removal.split(separator: "\n").count == 2)
    }

    @Test(arguments: ["evil; flush ruleset", "a b", "", "x\ny", "9lives"])
    func namesThatAreNoIdentifiersAreNotPutIntoCommands(_ name: String) {
        #expect(!ForeignFirewall.isIdentifier(name))
        #expect(ForeignFirewall.isIdentifier("DOCKER-USER") && ForeignFirewall.isIdentifier("filter_FORWARD"))
    }
}

@Suite struct JournalTests {
    /// A host's settings in memory.
    private final class Host {
        var values: [String: String]
        init(_ values: [String: String]) { self.values = values }
    }

    @Test func advertisementsAreKeptAliveBeforeForwardingIsEnabled() {
        let host = Host([
            "ipv4/ip_forward": "0", "ipv6/conf/all/forwarding": "0", "ipv6/conf/eth0/accept_ra": "1",
            "ipv6/conf/eth1/accept_ra": "0", "ipv6/conf/isle0/accept_ra": "1", "ipv6/conf/lo/accept_ra": "1",
        ])
        let changes = HostJournal.forwarding(
            ipv4: true, ipv6: true, bridge: "isle0", links: ["lo", "eth0", "eth1", "isle0"]
        ) { host.values[$0] }
        #expect(
            changes.map { "\($0.path) \($0.before)>\($0.after)" } == [
                "ipv4/ip_forward 0>1", "ipv6/conf/eth0/accept_ra 1>2", "ipv6/conf/all/forwarding 0>1",
            ])
        for change in changes { host.values[change.path] = change.after }
        #expect(
            HostJournal.forwarding(ipv4: true, ipv6: true, bridge: "isle0", links: ["eth0"]) { host.values[$0] }.isEmpty
        )
        var journal = HostJournal(network: "default", bridge: "isle0", settings: changes)
        #expect(
            journal.undo(keepForwarding: false) { host.values[$0] }.map(\.path) == [
                "ipv6/conf/all/forwarding", "ipv6/conf/eth0/accept_ra", "ipv4/ip_forward",
            ])
        #expect(journal.undo(keepForwarding: true) { host.values[$0] }.isEmpty)
        // Somebody else has changed one since.
        host.values["ipv6/conf/eth0/accept_ra"] = "0"
        journal.settings.removeFirst()
        #expect(journal.undo(keepForwarding: false) { host.values[$0] }.map(\.path) == ["ipv6/conf/all/forwarding"])
    }

    @Test func aHostThatForwardsAlreadyIsLeftAlone() {
        let changes = HostJournal.forwarding(ipv4: true, ipv6: true, bridge: "b", links: ["eth0"]) { _ in "1" }
        #expect(changes.isEmpty)
        #expect(HostJournal.forwarding(ipv4: true, ipv6: true, bridge: "b", links: ["eth0"]) { _ in nil }.isEmpty)
    }
}

@Suite struct DnsmasqTextTests {
    private func configuration(_ network: NetworkSpec, _ resolvers: Resolvers = .host) throws -> DnsmasqConfiguration {
        DnsmasqConfiguration(
            network: try ManagedNetwork(network), folder: NetworkFolder(runDirectory: "/run/isle", bridge: "isle0"),
            resolvers: resolvers, user: "nobody")
    }

    @Test func listensOnTheBridgeOnlyAndHandsOutReservedAddressesOnly() throws {
        let lines = try configuration(spec(mtu: 1400)).text.split(separator: "\n")
        for wanted in [
            "interface=isle0", "except-interface=lo", "bind-dynamic", "user=nobody", "local=/isle/",
            "dhcp-range=10.77.0.0,static,255.255.255.0,1h", "dhcp-range=fd77::,static,slaac,64,1h", "enable-ra",
            "dhcp-option=option:mtu,1400", "hostsdir=/run/isle/networks/isle0/hosts",
        ] {
            #expect(lines.contains(Substring(wanted)), "\(wanted)")
        }
        #expect(!lines.contains("no-resolv"))
        let plain = try configuration(spec(ipv6: nil), .none).text
        #expect(!plain.contains("enable-ra") && plain.contains("no-resolv"))
        let servers = try configuration(spec(), .servers(["192.0.2.53"])).text
        #expect(servers.contains("no-resolv\nserver=192.0.2.53\n"))
        #expect(try configuration(spec(ipv6: "fd77::1/80")).text.contains("dhcp-range=fd77::,static,80,1h"))
    }

    @Test func tellsOfOtherDomainsAndRouters() throws {
        var network = spec()
        #expect(try configuration(network).text.contains("domain-search,isle\n"))
        network.dhcp = NetworkDHCP()
        network.dhcp?.search = ["lab.example", "example"]
        network.dhcp?.gateway = "10.77.0.254"
        let text = try configuration(network).text
        #expect(text.contains("dhcp-option=option:domain-search,lab.example,example\n"))
        #expect(text.contains("dhcp-option=option6:domain-search,lab.example,example\n"))
        #expect(text.contains("dhcp-option=tag:!noroute,option:router,10.77.0.254\n"))
        network.isInternal = true
        #expect(try !configuration(network).text.contains("10.77.0.254"))
    }

    @Test func writesNamesAndReservations() throws {
        let configuration = try configuration(spec())
        let checked = try CheckedEndpoint(endpoint(aliases: ["www", "web"]), in: configuration.network)
        #expect(
            configuration.hosts(checked)
                == "10.77.0.5 web.isle web www.isle www\nfd77::5 web.isle web www.isle www\n")
        #expect(configuration.reservation(checked) == "00:16:3e:01:02:03,[fd77::5],10.77.0.5\n")
        #expect(DnsmasqConfiguration.mask(20) == "255.255.240.0")
    }

    @Test func readsLeases() {
        let text = """
            1795451145 00:16:3e:00:00:05 10.77.0.5 * 01:00:16:3e:00:00:05
            100 00:16:3e:00:00:06 10.77.0.6 old *
            0 00:16:3e:00:00:07 10.77.0.7 ever *
            junk
            duid 00:01:00:01:32:97:17:77:a6:47:a3:be:48:ea
            1795451145 4 fd77::5 web 00:01
            """
        let leases = DnsmasqConfiguration.leases(text, now: 1000) { $0.hasSuffix("5") ? "web" : nil }
        #expect(leases.map(\.hostname) == ["web", "ever"] && leases.map(\.address) == ["10.77.0.5", "10.77.0.7"])
    }

    @Test func readsVersions() {
        #expect(BridgeNetwork.version(in: "Dnsmasq version 2.90  Copyright")?.1 == 90)
        #expect(BridgeNetwork.version(in: "Dnsmasq version 2.91rc3  Copyright")?.1 == 91)
        #expect(BridgeNetwork.version(in: "bash: dnsmasq: not found") == nil)
    }
}

@Suite struct SubnetChooserTests {
    private struct Sequence: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state
        }
    }

    @Test func neverOverlapsWhatIsInUse() throws {
        var generator = Sequence(state: 7)
        let used = try ["10.0.0.0/9", "10.128.0.0/10", "10.255.255.53/32"].map { try #require(IPPrefix($0)) }
        for _ in 0..<200 {
            let chosen = try SubnetChooser.ipv4(avoiding: used, using: &generator)
            #expect(!used.contains { $0.overlaps(chosen) } && chosen.length == 24 && chosen.address.bytes[3] == 1)
        }
        let full = [try #require(IPPrefix("10.0.0.0/8"))]
        let error = #expect(throws: EngineError.self) { try SubnetChooser.ipv4(avoiding: full, using: &generator) }
        #expect(error?.code == .resourceExhausted)
    }

    @Test func findsTheLastFreeOne() throws {
        var generator = Sequence(state: 7)
        // Everything but 10.3.4.0/24.
        var used: [IPPrefix] = []
        for third: UInt8 in 0...255 where third != 4 {
            used.append(try #require(IPPrefix("10.3.\(third).0/24")))
        }
        for text in [
            "10.0.0.0/15", "10.2.0.0/16", "10.4.0.0/14", "10.8.0.0/13", "10.16.0.0/12", "10.32.0.0/11",
            "10.64.0.0/10", "10.128.0.0/9",
        ] {
            used.append(try #require(IPPrefix(text)))
        }
        #expect(try SubnetChooser.ipv4(avoiding: used, using: &generator).description == "10.3.4.1/24")
    }

    @Test func uniqueLocalAddressesAndTheirInterfaceIdentifiers() throws {
        var generator = Sequence(state: 1)
        let first = try SubnetChooser.ipv6(avoiding: [], using: &generator)
        let second = try SubnetChooser.ipv6(avoiding: [first], using: &generator)
        #expect(first.address.bytes[0] == 0xfd && first.length == 64 && !first.overlaps(second))
        let network = try #require(IPPrefix("fd77::1/64"))
        #expect(SubnetChooser.eui64(network, mac: "00:16:3e:00:00:05")?.description == "fd77::216:3eff:fe00:5")
        #expect(SubnetChooser.eui64(network, mac: "junk") == nil)
    }
}
