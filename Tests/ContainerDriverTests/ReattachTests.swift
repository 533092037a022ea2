import DriverKit
import Glibc
import LinuxHost
import Model
import ShimClient
import Testing

@testable import ContainerDriver

/// A daemon that dies is a driver that is forgotten; its successor knows only the folders.
@Suite(.serialized, .enabled(if: Fixture.canRun, Fixture.needs)) struct ReattachTests {
    private func reattach(_ fixture: Fixture, _ plan: LaunchPlan) async throws -> Reattached {
        let successor = try ContainerDriver(fixture.driver.configuration)
        return try await successor.reattach(
            plan.id, kind: plan.kind, runDirectory: plan.runDirectory, stateDirectory: plan.stateDirectory)
    }

    @Test func runningInstancesGoOn() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("trap 'exit 4' TERM; while true; do sleep 0.02; done")
            let first = try await fixture.driver.create(plan)
            try await first.start()
            let pid = await first.pid
            guard case .running(let handle) = try await reattach(fixture, plan) else {
                Issue.record("not found running")
                return
            }
            #expect(await handle.pid == pid)
            #expect(try await handle.run(["echo", "again"]).output == "again\n")
            #expect((try await handle.usage?.usage().memory ?? 0) > 0)
            try await handle.requestStop(signal: nil)
            #expect(try await handle.wait().code == 4)
            try await handle.delete()
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test func endsAreNotLost() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("exit 6")
            let first = try await fixture.driver.create(plan)
            try await first.start()
            _ = try await first.wait()
            guard case .exited(let exit) = try await reattach(fixture, plan) else {
                Issue.record("the end was lost")
                return
            }
            #expect(exit.code == 6)
            #expect(fixture.residue(plan).isEmpty)
            guard case .gone = try await reattach(fixture, plan) else {
                Issue.record("not gone")
                return
            }
        }
    }

    @Test func whatWasNeverStartedIsTakenAway() async throws {
        try await withFixture { fixture in
            let plan = try fixture.plan("exit 6")
            _ = try await fixture.driver.create(plan)
            guard case .gone = try await reattach(fixture, plan) else {
                Issue.record("not gone")
                return
            }
            #expect(fixture.residue(plan).isEmpty)
        }
    }

    @Test func killedShimEndsTheInstance() async throws {
        try await withFixture { fixture in
            for daemonLives in [true, false] {
                let plan = try fixture.plan("sleep 1000 & sleep 1000 & wait")
                let handle = try await fixture.driver.create(plan)
                try await handle.start()
                let pid = try #require(await handle.pid)
                let shim = try #require(Shim.recordedProcess("shim.pid", directory: plan.runDirectory))
                async let ended = handle.wait()
                try await Task.sleep(for: .milliseconds(50))
                kill(shim.pid, SIGKILL)
                if daemonLives {
                    let exit = try await ended
                    #expect(exit.code == 137)
                    #expect(exit.reason?.contains("shim") == true)
                    try await handle.delete()
                } else {
                    try await Task.sleep(for: .milliseconds(20))
                    guard case .exited(let exit) = try await reattach(fixture, plan) else {
                        Issue.record("the end was lost")
                        return
                    }
                    #expect(exit.code == 137)
                    _ = try? await ended
                }
                // Its new parent may not have reaped it yet; it does nothing any more.
                let status = (try? readSmallFile("/proc/\(pid)/stat")).map { String(decoding: $0, as: UTF8.self) }
                #expect(status?.contains(") Z ") ?? true)
                #expect(fixture.residue(plan).isEmpty)
            }
        }
    }

    @Test func failedCreateLeavesNothing() async throws {
        try await withFixture { fixture in
            var plan = try fixture.plan("true")
            plan.process.user = "nobody-here"
            let user = await #expect(throws: EngineError.self) { _ = try await fixture.driver.create(plan) }
            #expect(user?.code == .notFound)
            #expect(fixture.residue(plan).isEmpty)

            plan.process.user = nil
            plan.mounts = [MountSpec(source: "/nonexistent-source", target: "/x")]
            let mount = await #expect(throws: EngineError.self) { _ = try await fixture.driver.create(plan) }
            #expect(mount?.message.contains("/nonexistent-source") == true)
            #expect(fixture.residue(plan).isEmpty)

            plan.mounts = []
            plan.root = .overlay(
                OverlayRoot(
                    layersDirectory: "\(fixture.directory)/layers", lower: ["missing"],
                    instanceDirectory: plan.stateDirectory))
            await #expect(throws: EngineError.self) { _ = try await fixture.driver.create(plan) }
            #expect(fixture.residue(plan).isEmpty)
        }
    }
}
