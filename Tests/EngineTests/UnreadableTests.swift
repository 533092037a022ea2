import DriverKit
import EngineTesting
import FoundationEssentials
import Glibc
import Model
import StateStore
import Testing

@testable import Engine

/// What a record says that cannot be read is not known: nothing is removed or allowed for that reason.
@Suite struct UnreadableTests {
    private static let broken = "{\"id\": 7}"

    /// One record of each kind that cannot be read: the others are served, that one is neither used nor replaced.
    @Test func theDaemonStartsWithoutWhatCannotBeRead() async throws {
        try await EngineFixture.run { fixture in
            let engine = fixture.engine
            try await engine.networks.create(
                NetworkSpec(name: "net", bridge: "net0", ipv4: "10.77.0.1/24", ipv6: nil))
            try await engine.profiles.create(ProfileRecord(name: "small", description: "", config: [:], devices: [:]))
            try await engine.volumes.create(VolumeRecord(pool: "default", name: "data", createdAt: 1))
            try await engine.volumes.create(VolumeRecord(pool: "default", name: "kept", createdAt: 1))
            let kept = try await engine.volumes.get("kept")
            try await engine.volumes.createSnapshot(kept, SnapshotRequest(name: "one"))
            try await engine.projectChanges.create(ProjectRecord(name: "team", config: [:]))
            try await fixture.create("web")
            var change = UpdateRequest()
            change.profiles = ["default", "small"]
            _ = try await fixture.instances.update("web", change)
            for (table, which) in [
                ("network", "name = 'net'"), ("profile", "name = 'small'"), ("volume", "name = 'data'"),
                ("volume_snapshot", "name = 'one'"), ("document", "collection = 'project' AND name = 'team'"),
            ] {
                try damage(
                    fixture.layout.database, "UPDATE \(table) SET document = '\(Self.broken)' WHERE \(which)")
            }
            let next = fixture.successor()
            try await next.start()
            func refused(_ what: String, _ body: () async throws -> Void) async {
                let error = await #expect(throws: EngineError.self, "\(what)") { try await body() }
                #expect(
                    error?.code == .unavailable || error?.code == .conflict, "\(what): \(String(describing: error))")
            }
            await refused("network") { _ = try await next.networks.get("net") }
            await refused("new network") {
                try await next.networks.create(NetworkSpec(name: "net", bridge: "net1", ipv4: nil, ipv6: nil))
            }
            await refused("profile") { _ = try await next.profiles.get("small") }
            await refused("new profile") {
                try await next.profiles.create(ProfileRecord(name: "small", description: "", config: [:], devices: [:]))
            }
            await refused("volume") { _ = try await next.volumes.get("data") }
            await refused("new volume") {
                try await next.volumes.create(VolumeRecord(pool: "default", name: "data", createdAt: 1))
            }
            await refused("start with that profile") { try await next.instances.start("web") }
            await refused("project") { _ = try await next.projects.get("team") }
            #expect(try await next.volumes.get("kept").name == "kept")
            #expect(try await fixture.store.volumes().unreadable == ["default/default/data"])
            #expect(try await fixture.store.volumeSnapshots().unreadable == ["default/default/kept/one"])
            #expect(try await fixture.store.networks(NetworkSpec.self).unreadable == ["net"])
            #expect(try await fixture.store.profiles().unreadable == ["default/small"])
            await next.shutdown()
        }
    }

    /// One network whose record, and one whose ACL cannot be read: the third is taken over, those two are left alone.
    @Test func networksThatCanBeReadAreTakenOver() async throws {
        try await EngineFixture.run { fixture in
            let networks = fixture.engine.networks
            try await networks.create(NetworkACL(name: "web"))
            var walled = NetworkSpec(name: "walled", bridge: "net1", ipv4: "10.78.0.1/24", ipv6: nil)
            walled.security = NetworkSecurity(acls: ["web"])
            try await networks.create(walled)
            try await networks.create(NetworkSpec(name: "lost", bridge: "net2", ipv4: "10.79.0.1/24", ipv6: nil))
            for (name, network) in [("a", nil), ("b", "walled"), ("c", "lost")] {
                try await fixture.create(name)
                if let network {
                    _ = try await fixture.instances.update(
                        name, UpdateRequest(devices: ["eth0": ["type": "nic", "network": network, "name": "eth0"]]))
                }
                try await fixture.instances.start(name)
            }
            let standard = try #require(try await fixture.instances.get("a").endpoints.first).network
            try damage(
                fixture.layout.database, "UPDATE document SET document = '\(Self.broken)' WHERE name = 'web'")
            try damage(
                fixture.layout.database, "UPDATE network SET document = '\(Self.broken)' WHERE name = 'lost'")
            let next = fixture.successor()
            try await next.start()
            #expect(await next.networks.isUp(standard))
            #expect(await !next.networks.isUp("walled"))
            #expect(fixture.network.connected.map(\.network) == [standard])
            for name in ["a", "b", "c"] { #expect(try await next.instances.get(name).status == .running, "\(name)") }
            await next.shutdown()
        }
    }

    /// What it holds would otherwise be removed with the pool that could not be stored.
    @Test func aPoolThatCannotBeReadIsNotMadeAnew() async throws {
        try await EngineFixture.run { fixture in
            let source = fixture.layout.state + "/second"
            mkdir(source, 0o700)
            let pool = PoolRecord(name: "second", driver: "dir", config: ["source": source], createdAt: 1)
            try await fixture.engine.pools.create(pool)
            try damage(
                fixture.layout.database, "UPDATE pool SET document = '\(Self.broken)' WHERE name = 'second'")
            let next = fixture.successor()
            try await next.start()
            let error = await #expect(throws: EngineError.self) { try await next.pools.create(pool) }
            #expect(error?.code == .unavailable)
            #expect(try await fixture.store.pools().unreadable == ["second"])
            await next.shutdown()
        }
    }

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
