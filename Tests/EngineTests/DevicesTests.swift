import DriverKit
import Model
import Testing

@testable import Engine

@Suite struct DevicesTests {
    struct Refusal: Sendable, CustomStringConvertible {
        var keys: [String: String]
        /// The key that the message names.
        var named: String
        var description: String { "\(named) in \(keys)" }
    }

    static let nic = ["type": "nic", "network": "islebr"]
    static let macvlan = ["type": "nic", "nictype": "macvlan", "parent": "eth0"]
    static let p2p = ["type": "nic", "nictype": "p2p"]
    static let routed = ["type": "nic", "nictype": "routed", "ipv4.address": "192.0.2.7"]
    static let disk = ["type": "disk", "path": "/data", "source": "/srv"]
    static let proxy = ["type": "proxy", "listen": "tcp:127.0.0.1:80", "connect": "tcp:127.0.0.1:80"]

    static func changed(_ keys: [String: String], _ key: String, _ values: String?...) -> [Refusal] {
        values.map { value in
            var keys = keys
            keys[key] = value
            return Refusal(keys: keys, named: key)
        }
    }

    static let refusals: [Refusal] =
        [
            Refusal(keys: [:], named: "type"), Refusal(keys: ["type": "floppy"], named: "floppy"),
            Refusal(keys: ["type": ""], named: "type"),
        ]
        + changed(nic, "network", nil) + changed(nic, "nictype", "ovn", "")
        + changed(nic, "name", "", "a/b", ".", "..", "a b", "1234567890123456", "ü")
        + changed(
            nic, "hwaddr", "", "00:16:3e:00:00", "01:00:5e:00:00:01", "00:16:3e:00:00:0g", "+0:16:3e:00:00:+1",
            "0:16:3e:0:0:1", "00-16-3e-00-00-01")
        + changed(nic, "ipv4.address", "", "10.9.8", "10.9.8.256", "::1", "10.9.8.2/24", "10.9.8.+2", "10.9.8.-2")
        + changed(nic, "ipv6.address", "", "10.9.8.2", "zz::1", ":", "fd42::1/64")
        + changed(macvlan, "parent", nil, "", "a/b", "1234567890123456") + changed(macvlan, "ipv4.address", "10.0.0.1")
        + changed(macvlan, "mtu", "", "67", "big") + changed(macvlan, "host_name", "veth9")
        + changed(p2p, "host_name", "", "a b", "eth*")
        + changed(p2p, "ipv4.routes", "10.0.0.0", "fd00::/64", "10.0.0.0/33")
        + changed(p2p, "ipv6.routes", "10.0.0.0/8") + changed(p2p, "parent", "eth0")
        + changed(routed, "ipv4.address", nil, "", "192.0.2.0/24", "192.0.2.1,192.0.2.1", "::1")
        + changed(routed, "ipv4.gateway", "192.0.2.1") + changed(routed, "ipv4.host_address", "fe80::1")
        + changed(routed, "ipv6.address", "192.0.2.1") + changed(routed, "ipv4.neighbor_probe", "perhaps")
        + changed(nic, "limits.ingress", "", "-1", "10MB", "fast") + changed(nic, "limits.max", "99999999Tbit")
        + changed(nic, "security.mac_filtering", "perhaps") + changed(nic, "host_name", "", "a b", "veth*")
        + changed(nic, "mtu", "67") + changed(macvlan, "limits.ingress", "1Mbit")
        + changed(macvlan, "security.mac_filtering", "true") + changed(routed, "security.port_isolation", "true")
        + changed(nic, "unknown", "1") + changed(disk, "path", "", "relative", "/a/../b", "/a\0b")
        + changed(disk, "source", nil, "", "relative", "/a\0b") + changed(disk, "readonly", "maybe")
        + changed(disk, "shift", "2") + changed(disk, "create", "2") + changed(disk, "copy", "2")
        + changed(disk.merging(["pool": "default", "source": "v"]) { $1 }, "create", "2")
        + changed(disk, "unknown", "1")
        + changed(["type": "disk", "path": "/"], "size", "", "0", "-1", "9223372036854775808", "big")
        + changed(
            proxy, "listen", nil, "", "80", "tcp:80", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:-1",
            "sctp:127.0.0.1:80", "tcp:localhost:80", "tcp:a:b:80", "tcp::80")
        + changed(proxy, "connect", nil, "udp:127.0.0.1:80", "tcp:127.0.0.1:0", "sctp:127.0.0.1:80")
        + changed(proxy, "unknown", "1")

    @Test(arguments: refusals)
    func everyRefusalNamesDeviceAndKey(_ refusal: Refusal) throws {
        let error = #expect(throws: EngineError.self) { try Devices(["dev0": refusal.keys]) }
        #expect(
            error?.code == (refusal.named == "floppy" || refusal.keys["type"] == "" ? .unsupported : .invalidArgument))
        #expect(error?.message.contains("'dev0'") == true)
        #expect(error?.message.contains(refusal.named) == true)
    }

    @Test func machinesHaveOneTPM() throws {
        let devices = try Devices(["tpm0": ["type": "tpm"]])
        #expect(devices.tpms == ["tpm0"])
        try devices.check(kind: .machine)
        let refused = #expect(throws: EngineError.self) { try devices.check(kind: .system) }
        #expect(refused?.code == .unsupported && refused?.message.contains("'tpm0'") == true)
        for (keys, word) in [(["path": "/dev/tpm0"], "'path'"), (["unknown": "1"], "'unknown'")] {
            let error = #expect(throws: EngineError.self) {
                try Devices(["a": ["type": "tpm"].merging(keys) { $1 }])
            }
            #expect(error?.message.contains(word) == true)
        }
        let second = #expect(throws: EngineError.self) { try Devices(["a": ["type": "tpm"], "b": ["type": "tpm"]]) }
        #expect(second?.code == .invalidArgument && second?.message.contains("'b'") == true)
    }

    @Test func rulesOfInterfacesAreTyped() throws {
        func rules(_ base: [String: String], _ keys: [String: String]) throws -> InterfaceRules? {
            try Devices(["a": base.merging(keys) { $1 }]).nics[0].rules
        }
        #expect(try rules(Self.nic, ["limits.max": "0", "security.mac_filtering": "false"]) == nil)
        let rates = try rules(Self.nic, ["limits.max": "10Mbit", "limits.egress": "1Mbit"])
        #expect(rates?.ingress == 10_000_000 && rates?.egress == 1_000_000)
        #expect(try rules(Self.routed, ["limits.ingress": "1kbit"])?.ingress == 1000)
        // An address is told by its hardware address.
        #expect(try rules(Self.nic, ["security.ipv4_filtering": "true"])?.filtersMAC == true)
        #expect(try rules(Self.nic, ["security.port_isolation": "true"])?.isIsolated == true)
    }

    @Test func interfacesOnNoNetworkAreTyped() throws {
        let devices = try Devices([
            "a": Self.macvlan.merging(["mtu": "1400", "name": "eth1"]) { $1 },
            "b": Self.p2p.merging([
                "host_name": "wire0", "ipv4.routes": "10.9.0.1/24, 10.8.0.0/16", "ipv6.routes": "fd00::/64",
            ]) {
                $1
            },
            "c": Self.routed.merging(
                [
                    "ipv4.address": "192.0.2.7,192.0.2.8", "parent": "eth0", "ipv4.gateway": "none",
                    "ipv4.neighbor_probe": "false", "ipv6.address": "2001:DB8::7", "ipv6.host_address": "fe80::2",
                ]) { $1 },
        ])
        let links = devices.nics.compactMap(\.direct)
        #expect(devices.nics.map(\.network) == ["", "", ""] && devices.nics[0].interface == "eth1")
        #expect(links.map(\.kind) == [.macvlan, .p2p, .routed])
        #expect(links[0].parent == "eth0" && links[0].mtu == 1400)
        #expect(links[1].hostName == "wire0" && links[1].routes == ["10.9.0.0/24", "10.8.0.0/16", "fd00::/64"])
        #expect(links[2].ipv4.addresses == ["192.0.2.7", "192.0.2.8"] && links[2].ipv6.addresses == ["2001:db8::7"])
        #expect(!links[2].ipv4.hasGateway && links[2].ipv6.hasGateway)
        #expect(!links[2].ipv4.probesNeighbours && links[2].ipv4.hostAddress == "169.254.0.1")
        #expect(links[2].ipv6.probesNeighbours && links[2].ipv6.hostAddress == "fe80::2")
        let refused = #expect(throws: EngineError.self) {
            try Devices(["a": Self.macvlan.merging(["vlan": "5"]) { $1 }])
        }
        #expect(refused?.code == .unsupported && refused?.message.contains("'vlan'") == true)
    }

    @Test func whatIsRightIsTyped() throws {
        let devices = try Devices([
            "eth0": Self.nic.merging(["hwaddr": "00:16:3E:00:00:01", "ipv6.address": "fd42::9"]) { $1 },
            "data": Self.disk.merging(["readonly": "true"]) { $1 },
            "vol": ["type": "disk", "path": "/v", "source": "named", "pool": "default"],
            "root": ["type": "disk", "path": "/", "pool": "default", "size": "10GiB"],
            "web": ["type": "proxy", "listen": "udp:[::1]:53", "connect": "udp:127.0.0.1:5353"],
            "off": ["type": "none"],
        ])
        #expect(devices.nics.map(\.interface) == ["eth0"])
        #expect(devices.disks.map(\.target) == ["/data", "/v"])
        #expect(devices.disks.map(\.readOnly) == [true, false])
        #expect(devices.disks.map(\.shift) == [.no, .no] && devices.disks.map(\.copy) == [true, true])
        for (text, shift) in [("true", Devices.Shift.yes), ("auto", .auto), ("false", .no)] {
            #expect(try Devices(["d": Self.disk.merging(["shift": text]) { $1 }]).disks.map(\.shift) == [shift])
        }
        #expect(devices.rootSize == 10 << 30)
        #expect(
            devices.proxies.map(\.mapping) == [
                Devices.PortSpec(transport: "udp", hostAddress: "::1", hostPort: 53, guestPort: 5353)
            ])
    }

    @Test func devicesThatExcludeEachOther() {
        #expect(throws: EngineError.self) { try Devices(["a": Self.disk, "b": Self.disk]) }
        #expect(throws: EngineError.self) { try Devices(["a": Self.nic, "b": ["type": "nic", "nictype": "host"]]) }
        #expect(throws: EngineError.self) { try Devices(["-a": Self.disk]) }
        #expect(
            throws: EngineError.self
        ) { try Devices(["v": ["type": "disk", "path": "/v", "source": "../x", "pool": "default"]]) }
    }
}

@Suite struct DevicesTogetherTests {
    @Test func whatCannotStandBesideAnother() {
        let nic = ["type": "nic", "network": "n", "name": "eth0"]
        let proxy = ["type": "proxy", "listen": "tcp:127.0.0.1:80", "connect": "tcp:127.0.0.1:8080"]
        for (devices, word) in [
            (["a": nic, "b": nic], "eth0"), (["a": proxy, "b": proxy], "127.0.0.1:80"),
            (["a": ["type": "none", "source": "/"]], "source"),
        ] {
            let error = #expect(throws: EngineError.self) { try Devices(devices) }
            #expect(error?.code == .invalidArgument && error?.message.contains(word) == true)
        }
        #expect(throws: Never.self) {
            try Devices(["a": proxy, "b": proxy.merging(["listen": "tcp:127.0.0.1:0"]) { $1 }, "c": ["type": "none"]])
        }
    }
}
