import DriverKit
import Model
import Testing

@testable import Engine

struct ForwardTests {
    private func devices(_ keys: [String: String]) throws -> Devices {
        try Devices(["p": keys.merging(["type": "proxy"]) { $1 }])
    }

    @Test func plainPortsAreTranslated() throws {
        let devices = try devices(["listen": "tcp:127.0.0.1:8080", "connect": "tcp:127.0.0.1:80"])
        #expect(devices.proxies.count == 1 && devices.forwards.isEmpty)
    }

    @Test(arguments: [
        ["listen": "tcp:127.0.0.1:8080", "connect": "tcp:127.0.0.1:80", "nat": "false"],
        ["listen": "unix:/run/x", "connect": "tcp:127.0.0.1:80"],
        ["listen": "tcp:127.0.0.1:8080", "connect": "unix:@name"],
        ["listen": "tcp:127.0.0.1:8080", "connect": "tcp:127.0.0.1:80", "bind": "instance"],
        ["listen": "tcp:127.0.0.1:8080", "connect": "tcp:10.1.2.3:80"],
        ["listen": "tcp:127.0.0.1:8080", "connect": "tcp:127.0.0.1:80", "proxy_protocol": "true"],
        ["listen": "tcp:[::1]:8080", "connect": "tcp:[::1]:80", "nat": "false"],
    ])
    func theOthersNeedAProcess(keys: [String: String]) throws {
        let devices = try devices(keys)
        #expect(devices.proxies.isEmpty && devices.forwards.count == 1)
        let spec = devices.forwards[0].spec
        #expect(spec.listen.description == keys["listen"] && spec.connect.description == keys["connect"])
        #expect(spec.listenSide == (keys["bind"] == nil ? .host : .instance))
    }

    @Test func rangesMakeSeveral() throws {
        let forwards = try devices([
            "listen": "udp:127.0.0.1:80-82,90", "connect": "udp:127.0.0.1:53", "nat": "false", "uid": "5",
            "security.gid": "7", "mode": "0600",
        ]).forwards.map(\.spec)
        #expect(forwards.map(\.name) == ["p.0", "p.1", "p.2", "p.3"])
        #expect(forwards.map(\.listen) == [80, 81, 82, 90].map { .udp("127.0.0.1", $0) })
        #expect(forwards[0].mode == 0o600 && forwards[0].owner == 5 && forwards[0].primaryGroup == 7)
    }

    @Test(arguments: [
        ["listen": "tcp:nowhere:80", "connect": "tcp:127.0.0.1:80"],
        ["listen": "unix:relative", "connect": "tcp:127.0.0.1:80"], ["listen": "unix:/a/../b", "connect": "unix:/c"],
        ["listen": "unix:/a", "connect": "udp:127.0.0.1:80"],
        ["listen": "tcp:127.0.0.1:1-300", "connect": "tcp:127.0.0.1:1-300", "nat": "false"],
        ["listen": "tcp:127.0.0.1:80-81", "connect": "tcp:127.0.0.1:1-3", "nat": "false"],
        ["listen": "unix:/a", "connect": "unix:/b", "nat": "true"],
        ["listen": "unix:/a", "connect": "unix:/b", "bind": "elsewhere"],
        ["listen": "unix:/a", "connect": "unix:/b", "mode": "999"],
        ["listen": "udp:127.0.0.1:5", "connect": "udp:127.0.0.1:5", "nat": "false", "proxy_protocol": "true"],
        ["listen": "unix:/" + String(repeating: "a", count: 120), "connect": "unix:/b"],
        ["listen": "unix:/a", "connect": "unix:/b", "colour": "red"],
    ])
    func whatIsRefused(keys: [String: String]) {
        #expect(throws: EngineError.self) { try devices(keys) }
    }
}

struct HostDeviceTests {
    @Test func disksAreToldMore() throws {
        let devices = try Devices([
            "d": [
                "type": "disk", "source": "/x", "path": "/y", "required": "false", "recursive": "false",
                "propagation": "rslave", "limits.read": "30MiB", "limits.write": "20iops",
            ],
            "root": ["type": "disk", "path": "/", "limits.max": "10MB"],
        ])
        let disk = try #require(devices.disks.first)
        #expect(!disk.required && !disk.recursive && disk.propagation == "rslave")
        #expect(disk.rate == Limits.DiskRate(path: "", readBytes: 30 << 20, writeOperations: 20))
        #expect(devices.rootRate == Limits.DiskRate(path: "", readBytes: 10_000_000, writeBytes: 10_000_000))
        var other = disk
        other.rate = nil
        #expect(disk.isShownAs(other))
        for (key, value) in [("propagation", "shared"), ("limits.read", "fast"), ("required", "maybe")] {
            #expect(throws: EngineError.self) {
                try Devices(["d": ["type": "disk", "source": "/x", "path": "/y", key: value]])
            }
        }
    }

    @Test func hardwareThatIsMissing() throws {
        let devices = try Devices([
            "card": ["type": "gpu", "vendorid": "ffff"], "stick": ["type": "usb", "vendorid": "1d6b"],
        ])
        #expect(throws: EngineError.self) { try devices.hardware["card"]?.nodes(sysfs: "/nowhere", files: "/nowhere") }
        #expect(try devices.hardware["stick"]?.nodes(sysfs: "/nowhere", files: "/nowhere") == [])
        for (type, keys) in [
            ("usb", ["vendorid": "xyz"]), ("gpu", ["gputype": "mdev"]), ("tpm", ["path": "/dev/tpm0"]), ("pci", [:]),
        ] {
            #expect(throws: EngineError.self) { try Devices(["d": keys.merging(["type": type]) { $1 }]) }
        }
    }

    @Test(arguments: [
        ("raw.lxc", "x"), ("security.syscalls.intercept.mknod", "true"), ("nvidia.runtime", "true"),
        ("limits.cpu.priority", "11"), ("security.idmap.base", "5"), ("security.syscalls.deny", "two words"),
        ("linux.kernel_modules", "-r"), ("security.devlxd", "true"), ("limits.memory.enforce", "sometimes"),
    ])
    func keysThatAreRefused(key: String, value: String) {
        #expect {
            try OptionCatalog.check([key: value], kind: .system)
        } throws: {
            ($0 as? EngineError)?.message.contains(key) == true
        }
    }

    @Test func prioritiesBecomeWeights() throws {
        let record = InstanceRecord(
            id: .random(), name: "a", kind: .system, architecture: "x86_64",
            config: [
                "limits.cpu.priority": "4", "limits.disk.priority": "0", "limits.memory.swap.priority": "10",
                "limits.memory": "64MiB", "limits.memory.enforce": "soft", "security.syscalls.deny_default": "false",
            ], createdAt: 0)
        let merged = MergedConfig(record, profiles: [])
        let limits = try merged.limits(hostMemory: 1 << 30)
        #expect(limits.cpuShares == 1018 && limits.diskWeight == 10 && limits.swappiness == 60)
        #expect(limits.memory == nil && limits.memoryReservation == 64 << 20)
        #expect(merged.security.seccomp == "unconfined")
    }

    @Test func deniedCallsAreRead() {
        #expect(
            DeniedCall.parse("mkdir\nreboot errno 38") == [
                DeniedCall(name: "mkdir", number: 1), DeniedCall(name: "reboot", number: 38),
            ])
        #expect(DeniedCall.parse("") == [])
        #expect(DeniedCall.parse("mkdir errno") == nil && DeniedCall.parse("mkdir errno 5000") == nil)
    }
}
