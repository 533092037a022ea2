import DriverKit
import Foundation
import Model
import ShimCore
import Testing

@testable import ModuleDriver

@Suite struct ModuleSpecTests {
    let fixture: ModuleFixture

    init() throws { fixture = try ModuleFixture() }

    private func process(_ plan: LaunchPlan, isComponent: Bool = false) throws -> ShimProcess {
        let spec = try ModuleSpec(
            plan: plan, options: try ModuleOptions(plan), artifact: .init(path: "/a.cwasm", isComponent: isComponent),
            programs: fixture.programs
        ).shimSpec(cgroups: ["/cg"])
        #expect(spec.cgroups == ["/cg"])
        #expect(spec.newNetwork)
        #expect(
            spec.identity
                == ShimSpec.Identity(
                    user: 1_000_000, group: 1_000_000, users: "0 1000000 65536\n", groups: "0 1000000 65536\n"))
        guard case .process(let process) = spec.launch else { throw EngineError(.internal, "not a process") }
        return process
    }

    /// The values that follow `option`.
    private func values(_ option: String, _ arguments: [String]) -> [String] {
        arguments.indices.filter { arguments[$0] == option && $0 + 1 < arguments.count }.map { arguments[$0 + 1] }
    }

    @Test func aPlainModuleGetsNothing() throws {
        let process = try process(fixture.plan())
        #expect(
            process.arguments == [
                "/isle-wasm", "run", "--library", "/libwasmtime.so", "--artifact", "/module", "--form", "core", "--",
                "mod",
            ])
        #expect(process.environment == ["A=1", "SWIFT_ROOT=/"])
        #expect(process.sandbox?.hostname == "host")
        #expect(process.sandbox?.binds.allSatisfy(\.readOnly) == true)
        #expect(process.uid == 0 && process.gid == 0)
    }

    @Test func bounds() throws {
        let plan = fixture.plan(
            config: ["module.fuel": "1000", "module.timeout": "1.5", "module.cpu_time": "2"],
            limits: Limits(memory: 1 << 20))
        let arguments = try process(plan, isComponent: true).arguments
        #expect(values("--form", arguments) == ["component"])
        #expect(values("--fuel", arguments) == ["1000"])
        #expect(values("--timeout", arguments) == ["1500"])
        #expect(values("--cpu-time", arguments) == ["2000"])
        #expect(values("--memory", arguments) == ["1048576"])
    }

    @Test func argumentsCannotBecomeOptions() throws {
        let arguments = try process(fixture.plan(arguments: ["--dir", "/::/"])).arguments
        let end = try #require(arguments.firstIndex(of: "--"))
        #expect(Array(arguments[end...]) == ["--", "mod", "--dir", "/::/"])
    }

    @Test func foldersAreShownAsGranted() throws {
        let plan = fixture.plan(mounts: [
            MountSpec(source: "/srv/a", target: "/data", readOnly: true),
            MountSpec(source: "/srv/b", target: "/out"),
        ])
        let process = try process(plan)
        #expect(values("--dir", process.arguments) == ["/dirs/0::/data:ro", "/dirs/1::/out"])
        let binds = process.sandbox?.binds.filter { $0.target.hasPrefix("/dirs/") }
        #expect(binds?.map(\.source) == ["/srv/a", "/srv/b"])
        #expect(binds?.map(\.readOnly) == [true, false])
        #expect(binds?.contains(where: \.executable) == false)
    }

    @Test func theNetworkIsGrantedWithAnEndpointOnly() throws {
        #expect(try !process(fixture.plan(network: .endpoints([]))).arguments.contains("--network"))
        let endpoint = NetworkEndpoint(
            instance: .random(), hostname: "mod", network: "n", device: "eth0", mac: "00:16:3e:00:00:01",
            ipv4: "10.0.0.2", ipv6: nil, configuredByGuest: false, dns: ["10.0.0.1"], searchDomains: ["isle"])
        let process = try process(fixture.plan(network: .endpoints([endpoint])))
        #expect(process.arguments.contains("--network"))
        #expect(process.sandbox?.binds.last?.target == "/etc/resolv.conf")
        #expect(
            try String(contentsOfFile: fixture.path + "/resolv.conf", encoding: .utf8)
                == "nameserver 10.0.0.1\nsearch isle\n")
        let host = #expect(throws: EngineError.self) { try self.process(fixture.plan(network: .host)) }
        #expect(host?.code == .unsupported)
    }

    @Test(arguments: [
        ("module.fuel", ["", "-1", "x", "18446744073709551616"]),
        ("module.timeout", ["", "0", "-1", "nan", "inf", "x"]),
        ("module.cpu_time", ["0", "1e300"]),
    ])
    func badOptionsAreNamed(key: String, values: [String]) {
        for value in values {
            let error = #expect(throws: EngineError.self, "\(value)") {
                try ModuleOptions(fixture.plan(config: [key: value]))
            }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(key) == true)
        }
    }
}
