import DriverKit
import EngineTesting
import Model
import Testing

@testable import Engine

@Suite struct ImageServiceTests {
    private func record(_ number: Int) -> String { FakeImageSource.digest(number) }

    @Test func anImageIsFoundByItsNamesAndDigest() async throws {
        try await EngineFixture.run { fixture in
            let images = fixture.engine.images
            let pulled = try await images.pull("app") { _ in }
            #expect(pulled.digest == record(1))
            for name in ["app", "docker.io/library/app:latest", record(1), String(record(1).dropFirst(7).prefix(12))] {
                #expect(try await images.get(name).record.digest == record(1), "\(name)")
            }
            #expect(await code { _ = try await images.get("2222222222") } == .notFound)
            try await images.tag("app", as: "mine")
            #expect(
                try await images.get("mine").references == ["docker.io/library/app:latest", "localhost/mine:latest"])
        }
    }

    @Test func anImageInUseStays() async throws {
        try await EngineFixture.run { fixture in
            let images = fixture.engine.images
            try await fixture.create("web")
            let error = await failure { _ = try await images.remove("app") }
            #expect(error?.code == .conflict)
            #expect(error?.message.contains("web") == true)
            #expect(try await images.prune(all: true).deleted.isEmpty)
            #expect(try await images.remove("app", force: true).deleted == nil)
            #expect(try await images.prune(all: false).deleted.isEmpty)
            try await fixture.instances.start("web")
            try await fixture.instances.delete("web", force: true)
            #expect(try await images.prune(all: false).deleted == [record(1)])
            #expect(fixture.source.stored.isEmpty)
            #expect(try await fixture.snapshotter.layers().isEmpty)
        }
    }

    @Test func whatIsLeasedIsNotRemoved() async throws {
        try await EngineFixture.run { fixture in
            let images = fixture.engine.images
            _ = try await images.pull("userland") { _ in }
            try await images.withImage("app", pull: .missing, progress: { _ in }) { image async throws in
                #expect(try await images.prune(all: true).deleted == [record(2)])
                #expect(await code { _ = try await images.remove("app") } == .busy)
                #expect(try await fixture.snapshotter.contains(layer: image.layers[0].diffID))
            }
            #expect(fixture.source.stored.contains(record(1)))
            #expect(fixture.source.pruned.isEmpty)
            #expect(try await images.prune(all: true).deleted == [record(1)])
            #expect(fixture.source.stored.isEmpty)
        }
    }

    @Test func createsAndPrunesTogetherNeverLeaveAnInstanceWithoutImage() async throws {
        try await EngineFixture.run { fixture in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 0..<20 {
                        do { try await fixture.create("i\(number)") } catch let error as EngineError {
                            #expect(error.code == .notFound)
                            continue
                        }
                        try await fixture.instances.start("i\(number)")
                        try await fixture.instances.delete("i\(number)", force: true)
                    }
                }
                group.addTask { for _ in 0..<40 { _ = try await fixture.engine.images.prune(all: true) } }
                try await group.waitForAll()
            }
        }
    }

    @Test func anUnreadableRecordStopsTheCollection() async throws {
        try await EngineFixture.run { fixture in
            let images = fixture.engine.images
            _ = try await images.pull("app") { _ in }
            _ = try await images.pull("userland") { _ in }
            try damage(fixture.layout.database, "UPDATE image SET document = '{}' WHERE digest = '\(record(1))'")
            #expect(try await images.prune(all: true).deleted == [record(2)])
            #expect(fixture.source.pruned.isEmpty)
            #expect(fixture.source.stored.contains(record(1)))
            #expect(try await fixture.snapshotter.layers().count == 2)
            #expect(await code { _ = try await images.get("app") } == .internal)
        }
    }

    @Test func kindsFollowTheContent() throws {
        func image(_ content: ImageContent, hasInit: Bool = false) -> ImageRecord {
            ImageRecord(
                digest: record(0), content: content, architecture: "", config: ImageConfig(), configDigest: "",
                manifestMediaType: "", layers: [], hasInit: hasInit, size: 0, createdAt: nil, addedAt: 0, lastUsedAt: 0)
        }
        #expect(try KindChoice.choose(asked: nil, image: image(.rootFilesystem)) == .application)
        #expect(try KindChoice.choose(asked: nil, image: image(.rootFilesystem, hasInit: true)) == .system)
        #expect(try KindChoice.choose(asked: nil, image: image(.disk)) == .machine)
        #expect(try KindChoice.choose(asked: nil, image: image(.module)) == .module)
        #expect(try KindChoice.choose(asked: .machine, image: image(.rootFilesystem)) == .machine)
        for (kind, content) in [
            (InstanceKind.module, ImageContent.rootFilesystem), (.application, .disk), (.system, .module),
            (.machine, .module),
        ] {
            let error = #expect(throws: EngineError.self) {
                try KindChoice.choose(asked: kind, image: image(content))
            }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(kind.rawValue) == true)
        }
        #expect(KindChoice.isInit("/sbin/init"))
        #expect(!KindChoice.isInit("/bin/sh"))
        #expect(!KindChoice.isInit(nil))
    }

    @Test func aModuleIsFoundByItsContent() async throws {
        try await EngineFixture.run { fixture in
            fixture.source.add("docker.io/library/mod:latest", number: 4, content: .module)
            let view = try await fixture.engine.images.get(
                try await fixture.engine.images.pull("mod", progress: { _ in }).digest)
            let content = "content:" + view.record.layers[0].digest
            let made = try await fixture.instances.create(CreateRequest(name: "m", image: content))
            #expect(made.record.kind == .module && made.record.image == view.record.digest)
            #expect(made.record.imageReference == String(view.record.digest.dropFirst(7)))
            let error = await failure {
                _ = try await fixture.instances.create(
                    CreateRequest(name: "n", image: "content:sha256:" + String(repeating: "0", count: 64)))
            }
            #expect(error?.code == .notFound && error?.message.contains("content:sha256:000") == true)
        }
    }
}
