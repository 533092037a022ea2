import DriverKit
import EngineTesting
import Logging
import Model
import StateStore
import Testing

@testable import Engine

/// What is due by the wall clock, which may be set at any time.
@Suite struct SchedulerTests {
    private static let noon = 1_767_268_800.0  // 2026-01-01T12:00:00Z
    private static let day = 86_400.0

    /// One that is told the time, in place of the engine's own, for which minutes begin while a test runs.
    private func scheduler(_ fixture: EngineFixture) async -> Scheduler {
        await fixture.engine.scheduler.stop()
        return Scheduler(
            instances: fixture.engine.instances, volumes: fixture.engine.volumes, backups: fixture.engine.backups,
            logger: Logger(label: "test"))
    }

    private func names(_ fixture: EngineFixture, _ name: String = "web") async throws -> [String] {
        try await fixture.instances.get(name).snapshots.map(\.name)
    }

    @Test func aClockThatJumpsLosesNoSnapshotAndFailsNone() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create(
                "web", config: ["snapshots.schedule": "* * * * *", "snapshots.schedule.stopped": "true"])
            let scheduler = await scheduler(fixture)
            var count = 0
            // A day ahead, two back, the same minute again, and far before the instance was made.
            for now in [Self.noon, Self.noon + Self.day, Self.noon - Self.day, Self.noon - Self.day, 60] {
                await scheduler.tick(now)
                count += 1
                let names = try await names(fixture)
                #expect(names.count == count && Set(names).count == count, "\(now): \(names)")
            }
            try await fixture.instances.start("web")
            #expect(try await fixture.instances.get("web").status == .running)
        }
    }

    @Test func onlyWhatHasExpiredByTheClockGoes() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web")
            for (name, expiry) in [("soon", Self.noon), ("later", Self.noon + Self.day)] {
                try await fixture.instances.createSnapshot("web", SnapshotRequest(name: name, expiry: .at(expiry)))
            }
            try await fixture.instances.createSnapshot("web", SnapshotRequest(name: "kept", expiry: .never))
            let scheduler = await scheduler(fixture)
            await scheduler.tick(Self.noon - 10 * Self.day)
            #expect(try await names(fixture) == ["soon", "later", "kept"])
            await scheduler.tick(Self.noon)
            #expect(try await names(fixture) == ["later", "kept"])
            await scheduler.tick(Self.noon - Self.day)
            #expect(try await names(fixture) == ["later", "kept"])
            await scheduler.tick(Self.noon + 1000 * Self.day)
            #expect(try await names(fixture) == ["kept"])
        }
    }

    @Test func aFailureKeepsNothingElseBack() async throws {
        try await EngineFixture.run { fixture in
            let schedule = ["snapshots.schedule": "0 12 * * *", "snapshots.schedule.stopped": "true"]
            let broken = try await fixture.create("a-broken", config: schedule)
            try await fixture.create("b-fine", config: schedule)
            try await fixture.create("c-other", config: ["snapshots.schedule.stopped": "true"])
            try await fixture.engine.pools.pool("default").discard(.instance(broken))
            let scheduler = await scheduler(fixture)
            await scheduler.tick(Self.noon)
            #expect(try await names(fixture, "a-broken").isEmpty)
            #expect(try await names(fixture, "b-fine").count == 1)
            #expect(try await names(fixture, "c-other").isEmpty)
            await scheduler.tick(Self.noon + 3600)
            #expect(try await names(fixture, "b-fine").count == 1)
        }
    }
}
