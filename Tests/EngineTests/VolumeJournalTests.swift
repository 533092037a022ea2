import DriverKit
import EngineTesting
import FoundationEssentials
import Model
import StateStore
import Testing

@testable import Engine

/// Copies and moves of volumes that were cut short, or that meet what is there already.
@Suite struct VolumeJournalTests {
    private static let source = VolumeRecord(name: "data", createdAt: 1)
    private static let moved = VolumeRecord(pool: "two", name: "data", createdAt: 1)
    private static let renamed = VolumeRecord(name: "other", createdAt: 1)

    /// A volume `data` with a file in it, and a second pool.
    private func run(
        _ body: @Sendable (EngineFixture, _ from: any StoragePool, _ to: any StoragePool) async throws -> Void
    )
        async throws
    {
        try await EngineFixture.run { fixture in
            let two = "\(fixture.folder)/two"
            try FileManager.default.createDirectory(atPath: "\(two)/volumes", withIntermediateDirectories: true)
            try await fixture.engine.pools.create(
                PoolRecord(name: "two", driver: "dir", config: ["source": two], createdAt: 0))
            try await fixture.engine.volumes.create(Self.source)
            let from = try await fixture.engine.pools.pool("default")
            try write("file", from.folder(of: Self.source.path))
            try await body(fixture, from, try await fixture.engine.pools.pool("two"))
        }
    }

    private func write(_ name: String, _ folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
    }

    /// The next daemon, after one that died with the change begun.
    private func restarted(
        _ fixture: EngineFixture, _ kind: VolumeChange.Kind, to: VolumeRecord,
        _ body: (Engine) async throws -> Void
    ) async throws {
        let change = try JSONEncoder().encode(VolumeChange(kind: kind, from: Self.source, to: to))
        _ = try await fixture.store.begin(
            "", step: JournalEntry.volumeStep, detail: String(decoding: change, as: UTF8.self))
        let engine = fixture.successor()
        try await engine.start()
        try await body(engine)
        #expect(try await fixture.store.unfinished().isEmpty)
        await engine.shutdown()
    }

    @Test func aMoveToAnotherPoolTakesContentAndSnapshotsAlong() async throws {
        try await run { fixture, from, to in
            let volumes = fixture.engine.volumes
            try await volumes.createSnapshot(Self.source, SnapshotRequest(name: "one"))
            try await volumes.move(Self.source, to: Self.moved, usedBy: [])
            #expect(fixture.exists(to.folder(of: Self.moved.path) + "/file"))
            #expect(!fixture.exists(from.folder(of: Self.source.path)))
            #expect(await volumes.snapshots(of: Self.moved).map(\.name) == ["one"])
            #expect(try await fixture.store.volumeSnapshots().records.map(\.pool) == ["two"])
            #expect(try await fixture.store.unfinished().isEmpty)
        }
    }

    @Test(arguments: [VolumeChange.Kind.move, .copy])
    func whatHasNoRecordYetIsTakenBack(_ kind: VolumeChange.Kind) async throws {
        try await run { fixture, from, to in
            try write("part", to.folder(of: Self.moved.path))
            try await restarted(fixture, kind, to: Self.moved) { engine in
                #expect(!fixture.exists(to.folder(of: Self.moved.path)))
                #expect(fixture.exists(from.folder(of: Self.source.path) + "/file"))
                #expect(await engine.volumes.all(pool: "two").isEmpty)
                #expect(await engine.volumes.all(pool: "default").map(\.name) == ["data"])
            }
        }
    }

    @Test func aMoveWhoseCopyIsWholeIsFinished() async throws {
        try await run { fixture, from, to in
            try write("file", to.folder(of: Self.moved.path))
            try await fixture.store.insert(Self.moved, snapshots: [])
            try await restarted(fixture, .move, to: Self.moved) { engine in
                #expect(fixture.exists(to.folder(of: Self.moved.path) + "/file"))
                #expect(!fixture.exists(from.folder(of: Self.source.path)))
                #expect(await engine.volumes.all(pool: "default").isEmpty)
                #expect(await engine.volumes.all(pool: "two").map(\.name) == ["data"])
            }
        }
    }

    @Test func aCopyThatIsWholeStays() async throws {
        try await run { fixture, from, to in
            try write("file", to.folder(of: Self.moved.path))
            try await fixture.store.insert(Self.moved, snapshots: [])
            try await restarted(fixture, .copy, to: Self.moved) { engine in
                #expect(fixture.exists(to.folder(of: Self.moved.path) + "/file"))
                #expect(fixture.exists(from.folder(of: Self.source.path) + "/file"))
            }
        }
    }

    @Test func filesGetBackTheNameThatTheRecordHas() async throws {
        try await run { fixture, from, _ in
            try await from.renameVolume(Self.source.path, to: Self.renamed.path)
            try await restarted(fixture, .rename, to: Self.renamed) { engine in
                #expect(fixture.exists(from.folder(of: Self.source.path) + "/file"))
                #expect(await engine.volumes.all(pool: "default").map(\.name) == ["data"])
            }
        }
    }

    @Test func snapshotsGetBackTheNameThatTheRecordHas() async throws {
        try await run { fixture, from, _ in
            try await fixture.engine.volumes.createSnapshot(Self.source, SnapshotRequest(name: "one"))
            var (one, two) = (Self.source.path, Self.source.path)
            (one.snapshot, two.snapshot) = ("one", "two")
            let (before, after) = (one, two)
            try await from.renameVolume(before, to: after)
            try await restarted(fixture, .renameSnapshot("one", "two"), to: Self.source) { engine in
                #expect(fixture.exists(from.folder(of: before) + "/file"))
                #expect(!fixture.exists(from.folder(of: after)))
                // It can be used again.
                try await engine.volumes.restore(Self.source, from: "one", usedBy: [])
            }
        }
    }

    @Test func renamedSnapshotsAreFoundAgain() async throws {
        try await run { fixture, _, _ in
            let volumes = fixture.engine.volumes
            try await volumes.createSnapshot(Self.source, SnapshotRequest(name: "one"))
            try await volumes.renameSnapshot("one", of: Self.source, to: "two")
            try await volumes.restore(Self.source, from: "two", usedBy: [])
            #expect(try await fixture.store.volumeSnapshots().records.map(\.name) == ["two"])
        }
    }

    @Test func filesOfNoKnownVolumeAreNeitherTakenNorRemoved() async throws {
        try await run { fixture, _, to in
            let folder = to.folder(of: Self.moved.path)
            try write("precious", folder)
            let failure = await failure { try await fixture.engine.volumes.copy(Self.source, to: Self.moved) }
            #expect(failure?.code == .alreadyExists)
            #expect(failure?.message.contains(folder) == true)
            #expect(fixture.exists("\(folder)/precious"))
            #expect(try await fixture.store.unfinished().isEmpty)
            await #expect(throws: EngineError.self) {
                try await fixture.engine.volumes.move(Self.source, to: Self.moved, usedBy: [])
            }
            #expect(fixture.exists("\(folder)/precious"))
            #expect(await fixture.engine.volumes.list().map(\.name) == ["data"])
        }
    }
}
