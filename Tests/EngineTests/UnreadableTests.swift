import DriverKit
import EngineTesting
import FoundationEssentials
import Model
import StateStore
import Testing

@testable import Engine

/// What a record says that cannot be read is not known: nothing is removed or allowed for that reason.
@Suite struct UnreadableTests {
    private static let broken = "{\"id\": 7}"

    @Test func theImageOfAnUnreadableInstanceStays() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            let digest = try #require(try await fixture.instances.get("web").record.image)
            try damage(
                fixture.layout.database, "UPDATE instance SET document = '\(Self.broken)' WHERE id = '\(id.raw)'")
            let engine = fixture.successor()
            try await engine.start()
            let (deleted, _) = try await engine.images.prune(all: true)
            #expect(!deleted.contains(digest))
            #expect(try await fixture.store.images().records.map(\.digest).contains(digest))
            await engine.shutdown()
        }
    }

    @Test func theFilesOfAnUnreadableSnapshotStay() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            let snapshot = try await fixture.instances.createSnapshot("web", SnapshotRequest(name: "one"))
            // As a daemon that died between the record and the end of the journal.
            _ = try await fixture.store.begin(id, step: "snapshot", detail: snapshot.id.raw)
            try damage(fixture.layout.database, "UPDATE snapshot SET document = '\(Self.broken)'")
            let engine = fixture.successor()
            try await engine.start()
            let pool = try await engine.pools.pool("default")
            #expect(try await pool.usage(.snapshot(snapshot.id)) > 0)
            #expect(try await fixture.store.snapshots().unreadable == [snapshot.id.raw])
            await engine.shutdown()
        }
    }

    @Test func theJournalOfAnUnreadableInstanceIsKept() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            _ = try await fixture.store.begin(id, step: "rebuild")
            try damage(fixture.layout.database, "UPDATE instance SET document = '\(Self.broken)'")
            let engine = fixture.successor()
            try await engine.start()
            #expect(try await fixture.store.unfinished().map(\.step) == ["rebuild"])
            await engine.shutdown()
        }
    }

    @Test func boundsThatCannotBeReadAllowNothing() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.engine.projectChanges.create(
                ProjectRecord(
                    name: "small",
                    config: ["limits.instances": "0", "features.images": "false", "features.profiles": "false"]))
            try damage(
                fixture.layout.database,
                "UPDATE document SET document = '\(Self.broken)' WHERE collection = 'project' AND name = 'small'")
            let engine = fixture.successor()
            try await engine.start()
            await #expect(throws: EngineError.self) {
                try await engine.instances.create(CreateRequest(project: "small", name: "web", image: "app"))
            }
            #expect(await engine.instances.list(project: "small").isEmpty)
            await engine.shutdown()
        }
    }

    @Test func aRefreshThatWasCutShortGivesTheNewFiles() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            let pool = try await fixture.engine.pools.pool("default")
            let between = InstanceID.random()
            try await pool.clone(.instance(id), to: .snapshot(between), isBusy: false)
            // The old files are gone and the new ones not there yet.
            try await pool.discard(.instance(id))
            _ = try await fixture.store.begin(id, step: "refresh", detail: between.raw)
            let engine = fixture.successor()
            try await engine.start()
            #expect(try await pool.usage(.instance(id)) > 0)
            await #expect(throws: EngineError.self) { try await pool.usage(.snapshot(between)) }
            try await engine.instances.start("web")
            await engine.shutdown()
        }
    }
}
