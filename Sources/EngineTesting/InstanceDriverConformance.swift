public import DriverKit
import Model

/// What every `InstanceDriver` promises, as cases that throw `ConformanceFailure` where it is not kept.
public struct InstanceDriverConformance: Sendable {
    /// Makes what a case works on.
    public struct Fixture: Sendable {
        public var driver: any InstanceDriver
        /// A plan of an instance of its own whose program runs until it is asked to end; folders are made.
        public var makePlan: @Sendable () throws -> LaunchPlan
        public init(driver: any InstanceDriver, makePlan: @escaping @Sendable () throws -> LaunchPlan) {
            self.driver = driver
            self.makePlan = makePlan
        }

        func reattach(_ plan: LaunchPlan) async throws -> Reattached {
            try await driver.reattach(
                plan.id, kind: plan.kind, runDirectory: plan.runDirectory, stateDirectory: plan.stateDirectory)
        }
    }

    /// One promise.
    public struct Case: Sendable, CustomStringConvertible {
        public var description: String
        public var check: @Sendable (Fixture) async throws -> Void
    }

    public static let cases: [Case] = [
        Case(description: "nothing runs before start, and SIGKILL ends what runs") { fixture in
            let handle = try await fixture.driver.create(try fixture.makePlan())
            try expect(await handle.pid == nil, "there is a pid before start")
            try await handle.start()
            try expect(await handle.pid != nil, "there is no pid after start")
            try await handle.signal(9)
            let exit = try await handle.wait()
            try expect(exit.code == 137 && exit.signal == 9, "SIGKILL gives \(exit.code), not 137")
            try await handle.delete()
        },
        Case(description: "many may wait, and again later") { fixture in
            let handle = try await fixture.driver.create(try fixture.makePlan())
            try await handle.start()
            async let first = handle.wait()
            async let second = handle.wait()
            try await handle.signal(9)
            let (one, two) = (try await first, try await second)
            let third = try await handle.wait()
            try expect(one == two && two == third, "waiters were told different ends")
            try await handle.delete()
        },
        Case(description: "delete is legal before start, while it runs, and twice") { fixture in
            for starts in [false, true] {
                let plan = try fixture.makePlan()
                let handle = try await fixture.driver.create(plan)
                if starts { try await handle.start() }
                try await handle.delete()
                try await handle.delete()
                guard case .gone = try await fixture.reattach(plan) else {
                    throw ConformanceFailure(description: "a deleted instance is found again")
                }
            }
        },
        Case(description: "a request to stop ends it") { fixture in
            let handle = try await fixture.driver.create(try fixture.makePlan())
            try await handle.start()
            try await handle.requestStop(signal: nil)
            _ = try await handle.wait()
            try await handle.delete()
        },
        Case(description: "what runs is found again, what ended is told once, what never was is gone") { fixture in
            let plan = try fixture.makePlan()
            guard case .gone = try await fixture.reattach(plan) else {
                throw ConformanceFailure(description: "an instance that never was is found")
            }
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            guard case .running(let again) = try await fixture.reattach(plan) else {
                throw ConformanceFailure(description: "a running instance is not found again")
            }
            try await again.signal(9)
            _ = try await again.wait()
            guard case .exited(let exit) = try await fixture.reattach(plan) else {
                throw ConformanceFailure(description: "the end is not told")
            }
            try expect(exit.code == 137, "the end is told as \(exit.code)")
            guard case .gone = try await fixture.reattach(plan) else {
                throw ConformanceFailure(description: "the end is told twice")
            }
            try await handle.delete()
        },
        Case(description: "new limits hold where they can change") { fixture in
            var plan = try fixture.makePlan()
            plan.limits.memory = 64 << 20
            let handle = try await fixture.driver.create(plan)
            try await handle.start()
            var limits = plan.limits
            limits.memory = 128 << 20
            try await handle.limits?.apply(limits)
            try await handle.delete()
        },
    ]
}
