import EngineTesting
import Model
import Testing

@testable import Engine

@Suite struct RestartTests {
    @Test func delaysDoubleUpToAMinute() {
        let failed = ExitRecord(code: 1, finishedAt: 0)
        let clean = ExitRecord(code: 0, finishedAt: 0)
        let always = RestartPolicy.always
        #expect(
            (0..<12).map { always.delay(after: clean, attempt: $0) }
                == [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000].map { .milliseconds($0) })
        #expect(always.delay(after: clean, attempt: .max) == .seconds(60))
        #expect(RestartPolicy.no.delay(after: failed, attempt: 0) == nil)
        #expect(RestartPolicy.onFailure(limit: nil).delay(after: clean, attempt: 0) == nil)
        #expect(RestartPolicy.onFailure(limit: 2).delay(after: failed, attempt: 1) == .milliseconds(200))
        #expect(RestartPolicy.onFailure(limit: 2).delay(after: failed, attempt: 2) == nil)
    }

    @Test func policiesAreReadAsDockerWritesThem() {
        #expect(RestartPolicy("no") == .no)
        #expect(RestartPolicy("on-failure") == .onFailure(limit: nil))
        #expect(RestartPolicy("on-failure:3") == .onFailure(limit: 3))
        #expect(RestartPolicy("on-failure:0") == .onFailure(limit: nil))
        #expect(RestartPolicy("always") == .always)
        #expect(RestartPolicy("unless-stopped") == .unlessStopped)
        for text in ["on-failure:-1", "on-failure:x", "on-failure:", "sometimes", "on-failure:9223372036854775808"] {
            #expect(RestartPolicy(text) == nil, "\(text)")
        }
    }

    @Test func onFailureEndsAfterItsLimit() async throws {
        try await EngineFixture.run { fixture in
            fixture.driver.run(.ends(code: 1))
            let id = try await fixture.create("web", config: ["restart.policy": "on-failure:2"])
            try await fixture.instances.start("web")
            try await fixture.eventually("it is left stopped") {
                let record = try await fixture.instances.get("web").record
                return !record.wantsRunning && record.lastExit?.code == 1
            }
            #expect(fixture.driver.handles(of: id).count == 3)
            #expect(try await fixture.instances.get("web").restarts == 2)
            fixture.expectNoRun(id)
        }
    }

    @Test func aStopEndsTheRestarts() async throws {
        try await EngineFixture.run { fixture in
            fixture.driver.run(.ends(code: 1))
            let id = try await fixture.create("web", config: ["restart.policy": "always"])
            try await fixture.instances.start("web")
            _ = try await fixture.instances.wait("web")
            try await fixture.instances.stop("web")
            let count = fixture.driver.handles(of: id).count
            try await Task.sleep(for: .milliseconds(300))
            #expect(fixture.driver.handles(of: id).count == count)
            #expect(try await fixture.instances.get("web").record.wantsRunning == false)
        }
    }

    @Test func aRestartThatFailsIsTriedAgain() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web", config: ["restart.policy": "always"])
            try await fixture.instances.start("web")
            fixture.driver.faults.arm("create")
            try fixture.handle(id).end(code: 0)
            try await fixture.eventually("it runs again") { fixture.driver.handles(of: id).count == 2 }
            #expect(fixture.driver.faults.count("create") == 3)
        }
    }

    @Test func aRebootFromInsideStartsItAgainAtOnce() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("sys", image: "userland")
            try await fixture.instances.start("sys")
            try fixture.handle(id).end(code: 0, reason: ExitRecord.reboot)
            try await fixture.eventually("it runs again") {
                guard fixture.driver.handles(of: id).count == 2 else { return false }
                return try await fixture.instances.get("sys").status == .running
            }
        }
    }

    @Test func aRestartThatComesTooLateDoesNothing() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web", config: ["restart.policy": "always"])
            try await fixture.instances.start("web")
            let actor = try await fixture.instances.find("web", "default")
            #expect(await !actor.awaitsRestart)
            await fixture.instances.restartByPolicy(id)
            #expect(try await fixture.instances.get("web").restarts == 0)
            #expect(fixture.driver.handles(of: id).count == 1)
            try await fixture.instances.stop("web")
        }
    }
}
