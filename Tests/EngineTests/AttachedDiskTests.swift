import DriverKit
import Model
import Testing

@testable import Engine

@Suite struct AttachedDiskTests {
    private let block = ["type": "disk", "pool": "default", "source": "data"]

    @Test func aDiskWithoutAPathIsAMachinesDisk() throws {
        let devices = try Devices([
            "root": ["type": "disk", "path": "/", "pool": "default"], "data": block,
            "file": ["type": "disk", "source": "/srv/x.img", "readonly": "true"],
        ])
        #expect(devices.attached.map(\.device) == ["data", "file"])
        #expect(devices.attached[1].readOnly && devices.attached[1].pool == nil)
        #expect(devices.disks.isEmpty)
        try devices.check(kind: .machine)
        #expect(throws: EngineError.self) { try devices.check(kind: .system) }
        #expect(throws: EngineError.self) { try devices.check(kind: .application) }
    }

    @Test func wrongOnesAreRefused() {
        for keys in [
            ["type": "disk"], ["type": "disk", "source": "relative"],
            ["type": "disk", "source": "/x", "shift": "true"],
            ["type": "disk", "source": "/x", "boot.priority": "high"],
            ["type": "disk", "pool": "default", "source": "../x"],
        ] { #expect(throws: EngineError.self) { try Devices(["d": keys]) } }
    }

    @Test func theSeedIsNoDiskOfTheUsers() throws {
        let devices = try Devices(["seed": ["type": "disk", "source": "cloud-init:config"]])
        #expect(devices.attached.isEmpty && devices.seeds == ["seed"])
        #expect(throws: EngineError.self) { try devices.check(kind: .application) }
    }

    @Test func thePriorityDecidesTheOrderAtTheBoot() throws {
        func order(root: String?, disk: String?, kind: MachineDisk.Kind = .disk) throws -> Int? {
            var rootKeys = ["type": "disk", "path": "/", "pool": "default"]
            rootKeys["boot.priority"] = root
            var keys = block
            keys["boot.priority"] = disk
            let devices = try Devices(["root": rootKeys, "data": keys])
            return devices.bootOrder(of: devices.attached[0], kind: kind)
        }
        // The root has 1 and the order 0.
        #expect(try order(root: nil, disk: nil) == nil)
        #expect(try order(root: nil, disk: nil, kind: .optical) == 1000)
        #expect(try #require(try order(root: nil, disk: "2")) < 0)
        #expect(try #require(try order(root: nil, disk: "1")) > 0)
        #expect(try #require(try order(root: nil, disk: "0")) > 0)
        #expect(try #require(try order(root: "5", disk: "4")) > 0)
        #expect(try #require(try order(root: "5", disk: "6")) < 0)
    }
}
