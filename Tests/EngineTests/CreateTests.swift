import DriverKit
import EngineTesting
import Model
import StateStore
import Testing

@testable import Engine

@Suite struct CreateTests {
    @Test func ofManyCreatesOfOneNameOneWins() async throws {
        try await EngineFixture.run { fixture async throws in
            let outcomes = await withTaskGroup(of: EngineError.Code?.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        do { try await fixture.create("web") } catch {
                            return (error as? EngineError)?.code ?? .internal
                        }
                        return nil
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == nil } == 1)
            #expect(outcomes.count { $0 == .alreadyExists } == 19)
            #expect(await fixture.instances.list().count == 1)
            #expect(try await fixture.store.instances().records.count == 1)
            #expect(try await fixture.store.unfinished().isEmpty)
        }
    }

    @Test func parallelInstancesGetAddressesOfTheirOwn() async throws {
        try await EngineFixture.run { fixture in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await fixture.create("i\(number)")
                        try await fixture.instances.start("i\(number)")
                    }
                }
                try await group.waitForAll()
            }
            #expect(Set(fixture.network.connected.compactMap(\.ipv4)).count == 20)
            let bases = fixture.driver.living.compactMap(\.plan.identity?.base)
            #expect(Set(bases).count == 20)
        }
    }

    @Test func aCreateThatFailsLeavesNothingAndFreesTheName() async throws {
        try await EngineFixture.run { fixture in
            fixture.source.faults.arm("pull")
            #expect(await code { try await fixture.create("web") } == .unavailable)
            #expect(await code { try await fixture.create("web", image: "unknown") } == .notFound)
            #expect(await code { try await fixture.create("web", kind: .module) } == .invalidArgument)
            #expect(await code { try await fixture.create("web", config: ["nonsense": "1"]) } == .invalidArgument)
            #expect(await fixture.instances.list().isEmpty)
            #expect(try await fixture.store.instances().records.isEmpty)
            try await fixture.create("web")
        }
    }

    @Test func aUserlandBecomesASystemAndAsApplicationAShell() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("sys", image: "userland")
            #expect(try await fixture.instances.get("sys").record.kind == .system)
            try await fixture.create("shell", kind: .application, image: "userland")
            let shell = try await fixture.instances.get("shell").record
            #expect(shell.config["oci.entrypoint"] == #"["/bin/sh"]"#)
            #expect(shell.config["oci.tty"] == "true")
        }
    }

    @Test func aRunningInstanceIsRenamedOnItsNetworksWhereThatIsAskedFor() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("old")
            try await fixture.instances.start("old")
            #expect(await code { try await fixture.instances.rename("old", to: "new") } == .conflict)
            try await fixture.instances.rename("old", to: "new", whileRunning: true)
            #expect(fixture.network.connected.map(\.hostname) == ["new"])
            #expect(try await fixture.instances.get("new").endpoints.map(\.hostname) == ["new"])
            fixture.network.faults.arm("refresh")
            #expect(await code { try await fixture.instances.rename("new", to: "third", whileRunning: true) } != nil)
            #expect(fixture.network.connected.map(\.hostname) == ["new"])
            #expect(try await fixture.instances.get("new").record.name == "new")
            try await fixture.instances.stop("new", force: true)
            #expect(fixture.network.connected.isEmpty)
        }
    }

    @Test func renamingKeepsFilesAndFreesTheOldName() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("old")
            try await fixture.create("other")
            #expect(await code { try await fixture.instances.rename("old", to: "other") } == .alreadyExists)
            #expect(await code { try await fixture.instances.rename("old", to: "-bad-") } == .invalidArgument)
            try await fixture.instances.rename("old", to: "new")
            #expect(try await fixture.instances.get("new").record.id == id)
            #expect(await code { _ = try await fixture.instances.get("old") } == .notFound)
            try await fixture.create("old")
        }
    }

    @Test func ofTwoRenamesOfOneInstanceOneWinsAndNoNameIsLeftBehind() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("old")
            let outcomes = await withTaskGroup(of: Bool.self) { group in
                for name in ["one", "two"] {
                    group.addTask {
                        do { try await fixture.instances.rename("old", to: name) } catch { return false }
                        return true
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 } == 1)
            var found = 0
            for name in ["old", "one", "two"] where (try? await fixture.instances.get(name)) != nil { found += 1 }
            #expect(found == 1)
        }
    }

    @Test func protectedInstancesStay() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["security.protection.delete": "true"])
            #expect(await code { try await fixture.instances.delete("web", force: true) } == .permissionDenied)
            _ = try await fixture.instances.update("web", UpdateRequest(config: [:]))
            try await fixture.instances.delete("web")
        }
    }
}

@Suite struct UpdateTests {
    /// The keys that are not Isle's own.
    private func chosen(_ config: [String: String]) -> [String: String] {
        config.filter { !$0.key.hasPrefix("volatile.") }
    }

    @Test func changedLimitsHoldAtOnce() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web", config: ["limits.memory": "64MiB"])
            try await fixture.instances.start("web")
            let view = try await fixture.instances.update(
                "web", UpdateRequest(config: ["limits.memory": "128MiB"]))
            #expect(chosen(view.record.config) == ["limits.memory": "128MiB"])
            #expect(try fixture.handle(id).currentLimits.memory == 128 << 20)
        }
    }

    @Test func limitsThatCannotBeAppliedAreNotWrittenDown() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web", config: ["limits.memory": "64MiB"])
            try await fixture.instances.start("web")
            fixture.driver.faults.arm("apply")
            let request = UpdateRequest(description: "new", config: ["limits.memory": "128MiB"])
            #expect(await code { _ = try await fixture.instances.update("web", request) } == .unavailable)
            let record = try await fixture.instances.get("web").record
            #expect(chosen(record.config) == ["limits.memory": "64MiB"])
            #expect(record.description == "")
            #expect(
                try await fixture.store.instances().records.map { chosen($0.config) } == [["limits.memory": "64MiB"]])
            #expect(try fixture.handle(id).currentLimits.memory == 64 << 20)
        }
    }

    @Test func limitsThatCannotBeWrittenDownAreTakenBack() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web", config: ["limits.memory": "64MiB"])
            try await fixture.instances.start("web")
            try await fixture.store.deleteInstance(id)
            let request = UpdateRequest(config: ["limits.memory": "128MiB"])
            #expect(await code { _ = try await fixture.instances.update("web", request) } == .notFound)
            #expect(try fixture.handle(id).currentLimits.memory == 64 << 20)
        }
    }

    @Test func whatIsWrongChangesNothing() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["user.a": "1"])
            for request in [
                UpdateRequest(config: ["limits.cpu": "-1"]), UpdateRequest(devices: ["x": ["type": "floppy"]]),
                UpdateRequest(config: ["volatile.x": "1", "nonsense": "2"]), UpdateRequest(profiles: ["missing"]),
            ] {
                _ = await failure { _ = try await fixture.instances.update("web", request) }
                #expect(try await fixture.instances.get("web").record.config == ["user.a": "1"])
            }
        }
    }
}
