import DriverKit
import Testing

@testable import ContainerDriver

@Suite(.enabled(if: Fixture.canRun, Fixture.needs)) struct HostCheckTests {
    @Test func everythingThatIsNeededIsTold() async throws {
        try await withFixture { fixture in
            let checks = await fixture.driver.check()
            #expect(
                Set(checks.map(\.name)).isSuperset(of: [
                    "crun", "kernel", "user namespaces", "control groups", "seccomp", "overlayfs", "shim",
                ]))
            for check in checks {
                #expect(!check.finding.isEmpty)
                // What does not work comes with what to do about it.
                #expect((check.level == .ok) == (check.advice == nil), "\(check)")
            }
        }
    }

    @Test func missingShimIsAnError() async throws {
        let driver = try ContainerDriver(
            ContainerDriverConfiguration(shim: "/nonexistent/isle-shim", cgroupParent: "isle-t", cacheDirectory: "/x"))
        let check = try #require(await driver.check().first { $0.name == "shim" })
        #expect(check.level == .error)
        #expect(check.finding.contains("/nonexistent/isle-shim"))
    }
}
