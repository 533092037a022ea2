import DriverKit
import EngineTesting
import Model
import StateStore
import Testing

@testable import Engine

@Suite struct RecoveryTests {
    /// Leaves an instance as an earlier daemon that was killed would, and starts the next one.
    private func recovered(
        kind: InstanceKind = .application, config: [String: String] = [:], wantsRunning: Bool = true,
        ephemeral: Bool = false, exit: ExitRecord? = nil,
        _ body: @Sendable (EngineFixture, Engine, InstanceID) async throws -> Void
    ) async throws {
        try await EngineFixture.run { fixture in
            let image = kind == .system ? "userland" : "app"
            let id = try await fixture.create(
                "web", kind: kind, image: image, config: config, ephemeral: ephemeral)
            var record = try await fixture.instances.get("web").record
            record.wantsRunning = wantsRunning
            record.lastUsedAt = 1000
            try await fixture.store.update(record)
            if let exit { fixture.driver.leave(.exited(exit), of: id) }
            let engine = fixture.successor()
            try await engine.start()
            try await body(fixture, engine, id)
            await engine.shutdown()
        }
    }

    @Test func whatRunsIsAdopted() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            try await fixture.instances.start("web")
            let before = try await fixture.instances.get("web")
            let engine = fixture.successor()
            try await engine.start()
            let after = try await engine.instances.get("web")
            #expect(after.status == .running)
            #expect(after.endpoints == before.endpoints)
            #expect(fixture.network.connected == Set(before.endpoints))
            #expect(fixture.driver.handles(of: id).count == 1)
            try await engine.instances.stop("web")
            fixture.expectNoRun(id)
            await engine.shutdown()
        }
    }

    struct Boot: Sendable, CustomStringConvertible {
        var kind = InstanceKind.application
        var config: [String: String] = [:]
        var wantsRunning = true
        var starts: Bool
        var description: String { "\(kind) \(config) wanted: \(wantsRunning)" }
    }

    @Test(arguments: [
        Boot(starts: false),
        Boot(kind: .system, starts: true),
        Boot(kind: .machine, starts: true),
        Boot(kind: .system, wantsRunning: false, starts: false),
        Boot(kind: .system, config: ["boot.autostart": "false"], starts: false),
        Boot(config: ["boot.autostart": "true"], wantsRunning: false, starts: true),
        Boot(config: ["restart.policy": "always"], wantsRunning: false, starts: true),
        Boot(config: ["restart.policy": "unless-stopped"], starts: true),
        Boot(config: ["restart.policy": "unless-stopped"], wantsRunning: false, starts: false),
        Boot(config: ["restart.policy": "on-failure"], starts: false),
    ])
    func afterARebootOfTheHost(_ boot: Boot) async throws {
        try await recovered(kind: boot.kind, config: boot.config, wantsRunning: boot.wantsRunning) { _, engine, _ in
            let view = try await engine.instances.get("web")
            #expect(view.status == (boot.starts ? .running : .stopped))
            #expect(view.record.wantsRunning == boot.starts)
        }
    }

    @Test func whatEndedUnseenIsWrittenDown() async throws {
        try await recovered(exit: ExitRecord(code: 9, finishedAt: 2000)) { fixture, engine, _ in
            let record = try await engine.instances.get("web").record
            #expect(record.lastExit?.code == 9)
            #expect(!record.wantsRunning)
            #expect(try await fixture.store.instances().records.first?.lastExit?.code == 9)
        }
    }

    @Test func whatEndedUnseenDuringAStopIsWrittenDownToo() async throws {
        try await recovered(
            config: ["restart.policy": "always"], wantsRunning: false, exit: ExitRecord(code: 9, finishedAt: 2000)
        ) { _, engine, _ in
            let view = try await engine.instances.get("web")
            #expect(view.record.lastExit?.code == 9)
            #expect(view.status == .stopped)
        }
    }

    @Test(arguments: [("on-failure", 1, true), ("on-failure", 0, false), ("always", 0, true), ("no", 1, false)])
    func whatEndedUnseenComesBackByItsPolicy(policy: String, code: Int32, runs: Bool) async throws {
        try await recovered(
            config: ["restart.policy": policy], exit: ExitRecord(code: code, finishedAt: 2000)
        ) { _, engine, _ async throws in
            #expect(try await engine.instances.get("web").status == (runs ? .running : .stopped))
        }
    }

    @Test(arguments: [true, false], [true, false])
    func anEphemeralInstanceThatEndedUnseenGoes(wantsRunning: Bool, exited: Bool) async throws {
        let exit = exited ? ExitRecord(code: 0, finishedAt: 2000) : nil
        try await recovered(wantsRunning: wantsRunning, ephemeral: true, exit: exit) { fixture, engine, id in
            try await fixture.eventually("it is removed") { await engine.instances.list().isEmpty }
            #expect(!fixture.exists(fixture.layout.state(of: id)))
        }
    }

    @Test func aRebootUnseenIsFinished() async throws {
        try await recovered(kind: .system, exit: ExitRecord(code: 0, finishedAt: 1, reason: ExitRecord.reboot)) {
            _, engine, _ async throws in
            #expect(try await engine.instances.get("web").status == .running)
        }
    }

    @Test(arguments: ["create", "delete"])
    func aChangeThatWasCutShortEndsInARemoval(step: String) async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            try await fixture.create("other")
            try await fixture.instances.start("web")
            _ = try await fixture.store.begin(id, step: step)
            let engine = fixture.successor()
            try await engine.start()
            #expect(await engine.instances.list().map(\.record.name) == ["other"])
            #expect(try fixture.handle(id).isDeleted)
            #expect(!fixture.exists(fixture.layout.state(of: id)))
            #expect(try await fixture.store.unfinished().isEmpty)
            #expect(try await fixture.store.instances().records.map(\.name) == ["other"])
            await engine.shutdown()
        }
    }

    @Test func aStartThatWasCutShortIsForgotten() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            _ = try await fixture.store.begin(id, step: "start")
            _ = try await fixture.store.begin(.random(), step: "create")
            let engine = fixture.successor()
            try await engine.start()
            #expect(try await engine.instances.get("web").status == .stopped)
            #expect(try await fixture.store.unfinished().isEmpty)
            await engine.shutdown()
        }
    }

    @Test func oneThatCannotBeTakenOverDoesNotKeepTheDaemonFromStarting() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web")
            fixture.driver.faults.arm("reattach")
            fixture.network.faults.arm("adopt")
            let engine = fixture.successor()
            try await engine.start()
            #expect(try await engine.instances.get("web").status == .stopped)
            await engine.shutdown()
        }
    }

    @Test func networksOfWhatRunsAreLeftAloneWhileTheAddressesCannotBeRead() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web")
            try await fixture.create("other")
            try await fixture.instances.start("web")
            let before = fixture.network.connected
            #expect(before.count == 1)
            try damage(fixture.layout.database, "ALTER TABLE reservation RENAME TO hidden")
            let engine = fixture.successor()
            try await engine.start()
            #expect(try await engine.instances.get("web").status == .running)
            #expect(fixture.network.faults.count("adopt") == 1)
            #expect(fixture.network.connected == before)
            #expect(await engine.networks.isUp("islebr") == false)
            #expect(await code { try await engine.networks.delete("islebr", usedBy: []) } == .unavailable)
            #expect(fixture.network.up == ["islebr"])

            try damage(fixture.layout.database, "ALTER TABLE hidden RENAME TO reservation")
            try await engine.instances.start("other")
            #expect(fixture.network.faults.count("adopt") == 2)
            #expect(fixture.network.connected.isSuperset(of: before))
            #expect(fixture.network.connected.count == 2)
            #expect(try await engine.instances.get("web").endpoints == Array(before))
            try await engine.instances.stop("web")
            #expect(fixture.network.connected.map(\.hostname) == ["other"])
            await engine.shutdown()
        }
    }

    @Test func anInstanceWithAnUnreadableRecordKeepsItsLinks() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            try await fixture.instances.start("web")
            let before = try #require(fixture.network.connected.first)
            try damage(fixture.layout.database, "UPDATE instance SET document = '{'")
            let engine = fixture.successor()
            try await engine.start()
            #expect(await engine.instances.list().isEmpty)
            let kept = try #require(fixture.network.connected.first)
            #expect(kept.instance == id && kept.mac == before.mac && kept.device == before.device)
            await engine.shutdown()
        }
    }

    @Test func oneThatCannotBeLookedAtKeepsItsLinks() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web")
            try await fixture.instances.start("web")
            let before = fixture.network.connected
            fixture.driver.faults.arm("reattach")
            let engine = fixture.successor()
            try await engine.start()
            #expect(fixture.network.connected == before)
            await engine.shutdown()
        }
    }

    @Test func aRemovalThatCannotEndItsProcessesKeepsTheFiles() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            try await fixture.instances.start("web")
            _ = try await fixture.store.begin(id, step: "delete")
            fixture.driver.faults.arm("reattach")
            let engine = fixture.successor()
            try await engine.start()
            #expect(try await engine.instances.get("web").status == .running)
            #expect(fixture.exists(fixture.layout.state(of: id)))
            #expect(try await fixture.store.unfinished().map(\.step) == ["delete"])
            await engine.shutdown()
        }
    }

    @Test func commandsRunWithoutTheImagesRecord() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["environment.A": "1"])
            try await fixture.instances.start("web")
            try damage(fixture.layout.database, "UPDATE image SET document = '{'")
            let engine = fixture.successor()
            try await engine.start()
            let session = try await engine.instances.exec(
                "web", process: ProcessSpec(arguments: ["true"]), stdio: StdioOptions())
            #expect(try await session.wait().code == 1)
            await engine.shutdown()
        }
    }
}
