import DriverKit
import EngineTesting
import FoundationEssentials
import Model
import StateStore
import Testing

@testable import Engine

/// Volumes that an image asks for.
@Suite struct ImageVolumeTests {
    private func folder(_ fixture: EngineFixture, _ volume: String) async throws -> String {
        let volumes = fixture.engine.volumes
        return try await volumes.folder(try await volumes.get(volume))
    }

    private func content(_ fixture: EngineFixture, _ volume: String) async throws -> String {
        let file = URL(filePath: try await folder(fixture, volume) + "/content")
        return String(decoding: try Data(contentsOf: file), as: UTF8.self)
    }

    @Test func eachIsMadeWithTheInstanceAndFilledAtItsFirstStart() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("db", image: "db")
            let volumes = await fixture.engine.volumes.list()
            #expect(volumes.count == 2 && volumes.allSatisfy { $0.madeFor == id && $0.name.utf8.count == 32 })
            let devices = try await fixture.instances.get("db").record.devices
            #expect(Set(devices.values.compactMap { $0["path"] }) == ["/data", "/var/log"])
            #expect(try await !fixture.exists(folder(fixture, volumes[0].name) + "/content"))
            try await fixture.instances.start("db")
            var contents: Set<String> = []
            for volume in volumes { contents.insert(try await content(fixture, volume.name)) }
            #expect(contents == ["/data of 1", "/var/log of 1"])
            #expect(try fixture.handle(id).plan.mounts.allSatisfy { $0.idMapped })
        }
    }

    @Test func theUsersOwnMountsTakeTheirPlace() async throws {
        try await EngineFixture.run { fixture in
            let device = ["type": "disk", "pool": "default", "source": "mine", "path": "/data/", "create": "true"]
            _ = try await fixture.instances.create(CreateRequest(name: "db", image: "db", devices: ["d": device]))
            #expect(await fixture.engine.volumes.list().map(\.description) == ["volume /var/log/ of instance db"])
            try await fixture.instances.start("db")
            #expect(try await content(fixture, "mine") == "/data/ of 1")
        }
    }

    @Test func aVolumeIsFilledOnce() async throws {
        try await EngineFixture.run { fixture in
            let device = ["type": "disk", "pool": "default", "source": "mine", "path": "/x", "create": "true"]
            let request = CreateRequest(name: "web", image: "app", devices: ["d": device])
            _ = try await fixture.instances.create(request)
            try await fixture.instances.start("web")
            try await fixture.instances.stop("web", force: true)
            let path = try await folder(fixture, "mine")
            try FileManager.default.removeItem(atPath: path + "/content")
            try await fixture.instances.start("web")
            #expect(!fixture.exists(path + "/content"))
        }
    }

    @Test func whatIsThereIsKeptAndNothingIsCopiedUnasked() async throws {
        try await EngineFixture.run { fixture in
            for name in ["full", "bare"] {
                try await fixture.engine.volumes.create(VolumeRecord(name: name, createdAt: 0))
            }
            let full = try await folder(fixture, "full")
            try Data("mine".utf8).write(to: URL(filePath: full + "/content"))
            let devices = [
                "a": ["type": "disk", "pool": "default", "source": "full", "path": "/a"],
                "b": ["type": "disk", "pool": "default", "source": "bare", "path": "/b", "copy": "false"],
            ]
            _ = try await fixture.instances.create(CreateRequest(name: "web", image: "app", devices: devices))
            try await fixture.instances.start("web")
            #expect(try await content(fixture, "full") == "mine")
            #expect(try await !fixture.exists(folder(fixture, "bare") + "/content"))
        }
    }

    @Test(arguments: [false, true])
    func theyGoWithTheInstanceOnlyIfThatWasAskedFor(asked: Bool) async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("db", image: "db")
            try await fixture.instances.delete("db", volumes: asked)
            #expect(await fixture.engine.volumes.list().count == (asked ? 0 : 2))
        }
    }

    @Test func theyGoWithAnEphemeralInstance() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("db", image: "db", ephemeral: true)
            try await fixture.instances.start("db")
            try await fixture.instances.stop("db", force: true)
            try await fixture.eventually("its volumes go") { await fixture.engine.volumes.list().isEmpty }
        }
    }

    @Test func oneThatAnotherInstanceHasByNowStays() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("db", image: "db")
            let shared = try #require(await fixture.engine.volumes.list().first)
            let device = ["type": "disk", "pool": "default", "source": shared.name, "path": "/x"]
            _ = try await fixture.instances.create(CreateRequest(name: "web", image: "app", devices: ["d": device]))
            try await fixture.instances.delete("db", volumes: true)
            #expect(await fixture.engine.volumes.list().map(\.name) == [shared.name])
        }
    }

    @Test(arguments: [("create", ""), ("delete", "volumes"), ("delete", "")])
    func aRemovalThatWasCutShortTakesThemAlong(step: String, detail: String) async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("db", image: "db")
            _ = try await fixture.store.begin(id, step: step, detail: detail)
            let engine = fixture.successor()
            try await engine.start()
            #expect(await engine.volumes.list().count == (step == "delete" && detail.isEmpty ? 2 : 0))
            await engine.shutdown()
        }
    }

    @Test func aMakingThatFailsLeavesNone() async throws {
        try await EngineFixture.run { fixture in
            try damage(
                fixture.layout.database,
                "CREATE TRIGGER no BEFORE INSERT ON volume BEGIN SELECT RAISE(FAIL, 'full'); END")
            #expect(await code { try await fixture.create("db", image: "db") } != nil)
            #expect(await fixture.engine.volumes.list().isEmpty)
            #expect(await fixture.instances.list().isEmpty)
        }
    }
}
