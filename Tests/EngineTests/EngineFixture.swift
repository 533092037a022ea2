import DriverKit
import EngineTesting
import FoundationEssentials
import Glibc
import Logging
import Model
import StateStore
import Testing

@testable import Engine

/// An engine on fakes with a state database and folders of its own.
final class EngineFixture: Sendable {
    let folder: String
    let layout: HostLayout
    let store: StateStore
    let driver = FakeInstanceDriver()
    let network = FakeNetworkDriver()
    let source: FakeImageSource
    let snapshotter = MemorySnapshotter()
    let engine: Engine

    var instances: InstanceService { engine.instances }

    private init() throws {
        var template = Array("/tmp/isle-engine-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw EngineError(.internal, "mkdtemp: errno \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        layout = HostLayout(state: folder + "/state", run: folder + "/run")
        try Folders.make(layout)
        store = try StateStore(path: layout.database)
        source = FakeImageSource(folder: folder)
        source.add("docker.io/library/app:latest", number: 1)
        source.add(
            "docker.io/library/db:latest", number: 3,
            config: ImageConfig(cmd: ["/bin/db"], volumes: ["/data", "/var/log/", "relative", "/a/../b"]))
        source.add("docker.io/library/userland:latest", number: 2, config: ImageConfig(cmd: ["/sbin/init"]))
        engine = Self.makeEngine(layout, store, driver, network, source, snapshotter)
    }

    private static func makeEngine(
        _ layout: HostLayout, _ store: StateStore, _ driver: FakeInstanceDriver, _ network: FakeNetworkDriver,
        _ source: FakeImageSource, _ snapshotter: MemorySnapshotter
    ) -> Engine {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return Engine(
            parts: EngineParts(
                layout: layout, store: store, drivers: [driver], snapshotter: snapshotter,
                storage: [FakeStorageDriver()], disks: FakeDiskMaker(),
                network: network, source: source, folders: FakeFolders(), filler: FakeFiller(), logger: logger,
                hostMemory: 1 << 30,
                idSlots: 100),
            network: NetworkSpec(name: "islebr", bridge: "islebr", ipv4: "10.9.8.1/24", ipv6: "fd42:1:2:3::1/64"))
    }

    /// Runs `body` with a started engine; everything is gone afterwards.
    static func run(_ body: @Sendable (EngineFixture) async throws -> Void) async throws {
        let fixture = try EngineFixture()
        defer { try? FileManager.default.removeItem(atPath: fixture.folder) }
        try await fixture.engine.start()
        do { try await body(fixture) } catch {
            await fixture.engine.shutdown()
            try fixture.store.close()
            throw error
        }
        await fixture.engine.shutdown()
        try fixture.store.close()
    }

    /// A second daemon over what the first left, as after `kill -9`.
    /// - Parameter state: its folder, nil is that of the first.
    func successor(state: String? = nil) -> Engine {
        let layout = state.map { HostLayout(state: $0, run: self.layout.run) } ?? layout
        return Self.makeEngine(layout, store, driver, network, source, snapshotter)
    }

    @discardableResult
    func create(
        _ name: String, kind: InstanceKind? = nil, image: String = "app", config: [String: String] = [:],
        ephemeral: Bool = false
    ) async throws -> InstanceID {
        try await instances.create(
            CreateRequest(name: name, kind: kind, image: image, config: config, ephemeral: ephemeral)
        ).record.id
    }

    /// The live handle of the instance.
    func handle(_ id: InstanceID) throws -> FakeHandle { try #require(driver.handles(of: id).last) }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Nothing of a run is on the "host".
    func expectNoRun(_ id: InstanceID, _ location: SourceLocation = #_sourceLocation) {
        #expect(driver.living.isEmpty, sourceLocation: location)
        #expect(network.connected.isEmpty, sourceLocation: location)
    }

    /// Waits until `test` holds, at most a minute.
    func eventually(
        _ what: Comment, _ location: SourceLocation = #_sourceLocation, _ test: () async throws -> Bool
    ) async throws {
        for _ in 0..<12_000 {
            if try await test() { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record(what, sourceLocation: location)
    }
}

/// The code of the `EngineError` that `body` throws; an issue if it throws none.
func code(_ location: SourceLocation = #_sourceLocation, _ body: () async throws -> Void) async -> EngineError.Code? {
    await failure(location, body)?.code
}

/// The `EngineError` that `body` throws; an issue if it throws none.
func failure(_ location: SourceLocation = #_sourceLocation, _ body: () async throws -> Void) async -> EngineError? {
    do { try await body() } catch let error as EngineError { return error } catch {
        Issue.record("\(error) is not the engine's error", sourceLocation: location)
        return nil
    }
    Issue.record("no error", sourceLocation: location)
    return nil
}
