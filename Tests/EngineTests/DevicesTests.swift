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
        + changed(nic, "network", nil) + changed(nic, "nictype", "macvlan", "")
        + changed(nic, "name", "", "a/b", ".", "..", "a b", "1234567890123456", "ü")
        + changed(
            nic, "hwaddr", "", "00:16:3e:00:00", "01:00:5e:00:00:01", "00:16:3e:00:00:0g", "+0:16:3e:00:00:+1",
            "0:16:3e:0:0:1", "00-16-3e-00-00-01")
        + changed(nic, "ipv4.address", "", "10.9.8", "10.9.8.256", "::1", "10.9.8.2/24", "10.9.8.+2", "10.9.8.-2")
        + changed(nic, "ipv6.address", "", "10.9.8.2", "zz::1", ":", "fd42::1/64")
        + changed(nic, "unknown", "1") + changed(disk, "path", "", "relative", "/a/../b", "/a\0b")
        + changed(disk, "source", nil, "", "relative", "/a\0b") + changed(disk, "readonly", "maybe")
        + changed(disk, "shift", "2") + changed(disk, "create", "2") + changed(disk, "copy", "2")
        + changed(disk.merging(["pool": "default", "source": "v"]) { $1 }, "create", "true")
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
