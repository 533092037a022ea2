import DriverKit
import EngineTesting
import Model
import Testing

@Suite struct InstanceDriverConformanceTests {
    @Test(arguments: InstanceDriverConformance.cases)
    func theFakeKeepsIts(_ promise: InstanceDriverConformance.Case) async throws {
        let fixture = InstanceDriverConformance.Fixture(
            driver: FakeInstanceDriver(),
            makePlan: {
                LaunchPlan(
                    id: .random(), name: "web", kind: .application, hostname: "web",
                    root: .module(path: "/nonexistent", digest: "sha256:0"), process: ProcessSpec(arguments: ["sleep"]),
                    identity: nil, mounts: [], network: .none, limits: Limits(), security: SecurityOptions(),
                    stdio: StdioOptions(), log: LogOptions(path: "/nonexistent"), runDirectory: "/nonexistent",
                    stateDirectory: "/nonexistent")
            })
        try await promise.check(fixture)
    }
}
