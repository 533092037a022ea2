import DriverKit
import EngineTesting
import Glibc
import Model
import StateStore
import Testing

@testable import Engine

@Suite struct LifecycleTests {
    @Test(arguments: [InstanceKind.application, .system, .machine])
    func anInstanceIsMadeStartedStoppedAndRemoved(kind: InstanceKind) async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web", kind: kind)
            #expect(try await fixture.instances.get("web").status == .stopped)
            #expect(fixture.exists(fixture.layout.state(of: id)))
            try await fixture.instances.start("web")
            let view = try await fixture.instances.get("web", withUsage: true)
            #expect(view.status == .running)
            #expect(view.pid == 4242)
            #expect(view.usage?.memory == 4096)
            #expect(view.endpoints.map(\.ipv4) == ["10.9.8.2"])
            #expect(fixture.network.connected.count == 1)
            try await fixture.instances.stop("web")
            #expect(try await fixture.instances.get("web").status == .stopped)
            #expect(try await fixture.instances.get("web").record.lastExit?.code == 143)
            fixture.expectNoRun(id)
            try await fixture.instances.delete("web")
            #expect(!fixture.exists(fixture.layout.state(of: id)))
            #expect(!fixture.exists(fixture.layout.run(of: id)))
            #expect(await code { _ = try await fixture.instances.get("web") } == .notFound)
            #expect(try await fixture.store.instances().records.isEmpty)
            #expect(try await fixture.store.reservations().isEmpty)
            #expect(try await fixture.store.unfinished().isEmpty)
        }
    }

    @Test func requestsThatTheStateForbidsAreConflicts() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            let process = ProcessSpec(arguments: ["true"])
            #expect(
                await code { _ = try await fixture.instances.exec("web", process: process, stdio: StdioOptions()) }
                    == .conflict)
            #expect(await code { try await fixture.instances.pause("web") } == .conflict)
            #expect(await code { try await fixture.instances.kill("web") } == .conflict)
            try await fixture.instances.start("web")
            let error = await failure { try await fixture.instances.start("web") }
            #expect(error?.code == .conflict)
            #expect(error?.message.contains("'web'") == true)
            #expect(await code { try await fixture.instances.delete("web") } == .conflict)
            #expect(await code { try await fixture.instances.rename("web", to: "other") } == .conflict)
            #expect(try fixture.handle(id).exit == nil)
        }
    }

    @Test func stopIsLegalFromEveryState() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            try await fixture.instances.stop("web")
            _ = try await fixture.instances.attach("web", withInput: false)
            try await fixture.instances.stop("web")
            fixture.expectNoRun(id)
            try await fixture.instances.start("web")
            try await fixture.instances.pause("web")
            #expect(try await fixture.instances.get("web").status == .frozen)
            try await fixture.instances.stop("web")
            #expect(try await fixture.instances.get("web").status == .stopped)
        }
    }

    @Test func deleteIsLegalFromEveryState() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("stopped")
            try await fixture.instances.delete("stopped")
            try await fixture.create("prepared")
            _ = try await fixture.instances.attach("prepared", withInput: false)
            try await fixture.instances.delete("prepared")
            try await fixture.create("running")
            try await fixture.instances.start("running")
            try await fixture.instances.delete("running", force: true)
            let id = try await fixture.create("stopping", config: ["stop.timeout": "60"])
            fixture.driver.run(.ignoringTerm)
            try await fixture.instances.start("stopping")
            async let stopping: Void = fixture.instances.stop("stopping")
            try await fixture.eventually("it is asked to stop") {
                try await fixture.instances.get("stopping").status == .stopping
            }
            try await fixture.instances.delete("stopping", force: true)
            try await stopping
            #expect(await fixture.instances.list().isEmpty)
            fixture.expectNoRun(id)
        }
    }

    @Test func aPatientStopKillsInTheEnd() async throws {
        try await EngineFixture.run { fixture in
            fixture.driver.run(.ignoringTerm)
            let id = try await fixture.create("web", config: ["stop.signal": "SIGINT"])
            try await fixture.instances.start("web")
            try await fixture.instances.stop("web", timeout: .milliseconds(50))
            #expect(try fixture.handle(id).exit?.signal == 9)
            #expect(fixture.driver.faults.count("stop SIGINT") == 1)
        }
    }

    @Test(arguments: ["create", "namespace", "start"])
    func aStartThatFailsLeavesNothing(step: String) async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            fixture.driver.faults.arm(step)
            let error = await failure { try await fixture.instances.start("web") }
            #expect(error?.description.contains("the fault of step \(step)") == true)
            fixture.expectNoRun(id)
            #expect(try await fixture.instances.get("web").status == .stopped)
            #expect(try await fixture.store.unfinished().isEmpty)
            #expect(try await fixture.instances.get("web").record.wantsRunning == false)
            try await fixture.instances.start("web")
        }
    }

    @Test(arguments: ["up", "connect"])
    func aStartWithoutNetworkLeavesNothing(step: String) async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            fixture.network.faults.arm(step)
            let error = await failure { try await fixture.instances.start("web") }
            #expect(error?.description.contains("the fault of step \(step)") == true)
            fixture.expectNoRun(id)
            #expect(!fixture.exists(fixture.layout.run(of: id)))
            try await fixture.instances.start("web")
        }
    }

    @Test func aFailedUndoIsToldBesideTheFailure() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web")
            fixture.network.faults.arm("connect")
            fixture.driver.faults.arm("delete")
            let error = await failure { try await fixture.instances.start("web") }
            #expect(error?.code == .unavailable)
            #expect(error?.description.contains("the fault of step connect") == true)
            #expect(error?.description.contains("the fault of step delete") == true)
        }
    }

    @Test func aMachineThatCannotBeMadeLosesItsTap() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("vm", kind: .machine)
            fixture.driver.faults.arm("create")
            _ = await failure { try await fixture.instances.start("vm") }
            fixture.expectNoRun(id)
            #expect(fixture.network.faults.count("tap") == 1)
        }
    }

    @Test func aForcedRemovalDuringAStartLeavesNothing() async throws {
        try await EngineFixture.run { fixture in
            for round in 0..<10 {
                let id = try await fixture.create("web")
                async let started = fixture.instances.start("web")
                if round % 2 == 0 { await Task.yield() }
                try await fixture.instances.delete("web", force: true)
                do { _ = try await started } catch let error as EngineError { #expect(error.code == .notFound) }
                fixture.expectNoRun(id)
                #expect(await fixture.instances.list().isEmpty)
            }
        }
    }

    @Test func anEphemeralInstanceGoesWhenItEnds() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("once", ephemeral: true)
            let (_, exit) = try await fixture.instances.attach("once", withInput: false)
            try await fixture.instances.start("once")
            try fixture.handle(id).end(code: 3)
            #expect(try await exit()?.code == 3)
            #expect(await fixture.instances.list().isEmpty)
            #expect(!fixture.exists(fixture.layout.state(of: id)))
        }
    }

    @Test func anAttachBeforeTheStartGetsEverything() async throws {
        try await EngineFixture.run { fixture in
            fixture.driver.run(.ends(code: 7, output: "all of it"))
            let id = try await fixture.create("web")
            let (session, exit) = try await fixture.instances.attach("web", withInput: false)
            try await fixture.instances.start("web")
            #expect(try await exit()?.code == 7)
            var buffer = [UInt8](repeating: 0, count: 100)
            let count = read(session.streams.output.raw, &buffer, 100)
            #expect(String(decoding: buffer[..<max(0, count)], as: UTF8.self) == "all of it")
            #expect(read(session.streams.output.raw, &buffer, 100) == 0)
            #expect(try await fixture.instances.wait("web")?.code == 7)
            fixture.expectNoRun(id)
        }
    }

    @Test func theStartOfAShortRunIsToldBeforeItsEnd() async throws {
        try await EngineFixture.run { fixture in
            fixture.driver.run(.ends(code: 0))
            try await fixture.create("web")
            for _ in 0..<20 {
                let events = fixture.engine.events.subscribe()
                try await fixture.instances.start("web")
                _ = try await fixture.instances.wait("web")
                var actions: [String] = []
                for await event in events where event.topic == .lifecycle {
                    actions.append(event.action)
                    if actions.count == 2 { break }
                }
                #expect(actions == ["instance-started", "instance-stopped"])
            }
        }
    }

    @Test func execHasTheInstancesEnvironmentBelowItsOwn() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["environment.A": "1", "environment.B": "2"])
            try await fixture.instances.start("web")
            let session = try await fixture.instances.exec(
                "web", process: ProcessSpec(arguments: ["x", "y"], environment: ["B=3"]), stdio: StdioOptions())
            #expect(try await session.wait().code == 2)
            var buffer = [UInt8](repeating: 0, count: 1000)
            let count = read(session.streams.output.raw, &buffer, 1000)
            #expect(String(decoding: buffer[..<count], as: UTF8.self) == "PATH=/usr/bin:/bin\nA=1\nB=3")
            let missing = ProcessSpec(arguments: ["missing"])
            #expect(
                await code { _ = try await fixture.instances.exec("web", process: missing, stdio: StdioOptions()) }
                    == .notFound)
        }
    }

    @Test func waitEndsWithItsTimeout() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web")
            #expect(try await fixture.instances.wait("web") == nil)
            try await fixture.instances.start("web")
            #expect(try await fixture.instances.wait("web", timeout: .milliseconds(20)) == nil)
        }
    }

    @Test func aStartGivesWhatWasDoneInALesserWay() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["user.notice": "it is slow"])
            #expect(try await fixture.instances.start("web") == ["it is slow"])
            #expect(try await fixture.instances.restart("web", force: true) == ["it is slow"])
        }
    }

    @Test func aFolderOfTheHostIsMadeOnlyIfThatWasAskedFor() async throws {
        try await EngineFixture.run { fixture in
            let folder = fixture.folder + "/new/data"
            var device = ["type": "disk", "path": "/data", "source": folder, "shift": "auto"]
            let request = CreateRequest(name: "web", image: "app", devices: ["data": device])
            let id = try await fixture.instances.create(request).record.id
            #expect(await code { try await fixture.instances.start("web") } == .notFound)
            #expect(!fixture.exists(folder))
            device["create"] = "true"
            _ = try await fixture.instances.update("web", UpdateRequest(devices: ["data": device]))
            try await fixture.instances.start("web")
            #expect(fixture.exists(folder))
            let mount = try #require(try fixture.handle(id).plan.mounts.first)
            #expect(mount.idMapped && mount.isMappingOptional)
        }
    }

    @Test func theMemoryLimitIsShown() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["limits.memory": "50%"])
            #expect(try await fixture.instances.get("web").memoryLimit == (1 << 30) / 100 * 50)
            try await fixture.create("free")
            #expect(try await fixture.instances.get("free").memoryLimit == nil)
        }
    }
}
