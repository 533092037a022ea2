import DriverKit
import FoundationEssentials
import EngineTesting
import Model
import StateStore
import Testing

@testable import Engine

@Suite struct SnapshotTests {
    @Test func aSnapshotHoldsConfigurationDevicesAndProfiles() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("box", config: ["user.a": "1", "limits.memory": "64MiB"])
            let first = try await fixture.instances.createSnapshot("box", SnapshotRequest())
            #expect(first.name == "snap0")
            _ = try await fixture.instances.update(
                "box", UpdateRequest(config: ["user.b": "2"], profiles: []))
            let second = try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "later"))
            #expect(
                await code { _ = try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "later")) }
                    == .alreadyExists)
            #expect(try await fixture.instances.get("box").snapshots.map(\.name) == ["snap0", "later"])
            try await fixture.instances.restore("box", from: "snap0")
            let record = try await fixture.instances.get("box").record
            #expect(record.id == id)
            #expect(record.config == ["user.a": "1", "limits.memory": "64MiB"] && record.profiles == ["default"])
            #expect(second.instance.config == ["user.b": "2"])
            try await fixture.instances.renameSnapshot("box", "later", to: "other")
            #expect(await code { try await fixture.instances.restore("box", from: "later") } == .notFound)
            try await fixture.instances.deleteSnapshot("box", "other")
            #expect(try await fixture.store.snapshots().records.map(\.name) == ["snap0"])
            try await fixture.instances.delete("box")
            #expect(try await fixture.store.snapshots().records.isEmpty)
            #expect(!fixture.exists("\(fixture.layout.state)/snapshots/\(first.id.raw)"))
        }
    }

    @Test func aRunningInstanceStandsStillAndComesBack() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("box", config: ["user.a": "1"])
            try await fixture.instances.start("box")
            try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "s"))
            #expect(try await fixture.instances.get("box").status == .running)
            try await fixture.instances.pause("box")
            try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "t"))
            #expect(try await fixture.instances.get("box").status == .frozen)
            try await fixture.instances.resume("box")
            try await fixture.instances.restore("box", from: "s")
            #expect(try await fixture.instances.get("box").status == .running)
            #expect(fixture.driver.handles(of: id).count == 2)
            #expect(
                await code {
                    _ = try await fixture.instances.createSnapshot("box", SnapshotRequest(isStateful: true))
                } == .unsupported)
        }
    }

    @Test func copiesHaveAnIdentityOfTheirOwn() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("box", config: ["user.a": "1", "user.b": "2"])
            try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "s"))
            let copy = try await fixture.instances.copy(
                CopyRequest(source: "box", name: "second", config: ["user.b": "3"]))
            #expect(copy.record.id != id)
            #expect(copy.record.config == ["user.a": "1", "user.b": "3"])
            #expect(copy.snapshots.map(\.name) == ["s"])
            let bare = try await fixture.instances.copy(
                CopyRequest(source: "box", snapshot: "s", name: "third", instanceOnly: true))
            #expect(bare.snapshots.isEmpty)
            #expect(
                await code { _ = try await fixture.instances.copy(CopyRequest(source: "box", name: "third")) }
                    == .alreadyExists)
            #expect(
                await code { _ = try await fixture.instances.copy(CopyRequest(source: "gone", name: "x")) }
                    == .notFound)
            #expect(
                await code {
                    _ = try await fixture.instances.copy(CopyRequest(source: "box", name: "x", config: ["no.key": "1"]))
                } == .invalidArgument)
            try await fixture.instances.delete("box")
            try await fixture.instances.restore("second", from: "s")
            try await fixture.instances.start("second")
        }
    }

    @Test func aRefreshBringsACopyUpToDate() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("box")
            try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "one"))
            _ = try await fixture.instances.copy(CopyRequest(source: "box", name: "copy"))
            try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "two"))
            try await fixture.instances.deleteSnapshot("box", "one")
            let view = try await fixture.instances.copy(CopyRequest(source: "box", name: "copy", refresh: true))
            #expect(view.snapshots.map(\.name) == ["two"])
            try await fixture.instances.start("copy")
            #expect(
                await code {
                    _ = try await fixture.instances.copy(CopyRequest(source: "box", name: "copy", refresh: true))
                } == .conflict)
        }
    }

    @Test func whatACrashCutShortIsSettled() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("box", config: ["user.a": "1"])
            let kept = try await fixture.instances.createSnapshot("box", SnapshotRequest(name: "kept"))
            _ = try await fixture.instances.update("box", UpdateRequest(config: [:]))
            // A snapshot without its record, and a restore that had only begun.
            let half = InstanceID.random()
            let pool = try await fixture.engine.pools.pool("default")
            try await pool.clone(.instance(id), to: .snapshot(half), isBusy: false)
            _ = try await fixture.store.begin(id, step: "snapshot", detail: half.raw)
            _ = try await fixture.store.begin(id, step: "restore", detail: kept.id.raw)
            let successor = fixture.successor()
            try await successor.start()
            #expect(try await successor.instances.get("box").record.config == ["user.a": "1"])
            #expect(try await successor.instances.snapshots("box").map(\.name) == ["kept"])
            #expect(!fixture.exists("\(fixture.layout.state)/snapshots/\(half.raw)"))
            #expect(try await fixture.store.unfinished().isEmpty)
        }
    }

    @Test(
        arguments: [
            ("snap%d", ["snap0", "snap7", "other"], "snap8"), ("snap%d", [], "snap0"), ("a", ["a", "a-0"], "a-1"),
            ("{{ creation_date|date:'2006-01-02_15-04-05' }}", [], "2023-11-14_22-13-20"),
            ("{{creation_date|date:\"Jan_2\"}}-%d", ["Nov_14-3"], "Nov_14-4"),
            ("{{ creation_date }}", [], "2023-11-14T22:13:20Z"),
        ] as [(String, [String], String)])
    func patternsMakeNames(_ pattern: String, _ taken: [String], _ name: String) throws {
        #expect(try SnapshotPattern(pattern).name(taken: taken, at: 1_700_000_000) == name)
    }

    /// A template of LXD's could name files of the host.
    @Test(arguments: [
        "{% include '/etc/passwd' %}", "{{ '/etc/passwd'|ssi }}", "{{ creation_date|safe }}", "{{ creation_date", "a/b",
        "",
        "../x", "%d%d", "{# x #}", "{{ creation_date|date:'2006/01' }}", String(repeating: "x", count: 300),
    ])
    func otherPatternsAreRefused(_ pattern: String) {
        #expect(throws: EngineError.self) { try SnapshotPattern(pattern) }
    }

    @Test func expiriesAdd() throws {
        let start = 1_700_000_000.0
        #expect(try ExpiryText("1M 2H").date(after: start) == start + 60 + 7200)
        #expect(try ExpiryText("3d").date(after: start) == start + 3 * 86400)
        #expect(try ExpiryText("1w 1d").date(after: start) == start + 8 * 86400)
        #expect(try ExpiryText("1m").date(after: start) == start + 30 * 86400)
        #expect(try ExpiryText("").date(after: start) == nil)
        for text in ["x", "1", "1d 1d", "-1d", "1D", "999999999d"] {
            #expect(throws: EngineError.self) { try ExpiryText(text) }
        }
    }
}
