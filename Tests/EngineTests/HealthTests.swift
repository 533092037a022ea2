import DriverKit
import EngineTesting
import Model
import Testing

@testable import Engine

@Suite struct HealthTests {
    private func result(_ code: Int32) -> HealthResult {
        HealthResult(startedAt: 1, endedAt: 2, exitCode: code, output: "")
    }

    @Test func failuresInARowMakeItUnhealthyAndASuccessHealthy() {
        var state = HealthState()
        var changed = state.record(result(1), retries: 2, isInStartPeriod: true)
        #expect(!changed && state.failingStreak == 0)
        changed = state.record(result(1), retries: 2, isInStartPeriod: false)
        #expect(!changed)
        changed = state.record(result(-1), retries: 2, isInStartPeriod: false)
        #expect(changed && state.status == .unhealthy)
        changed = state.record(result(0), retries: 2, isInStartPeriod: false)
        #expect(changed && state.status == .healthy && state.failingStreak == 0)
        for _ in 0..<9 { _ = state.record(result(0), retries: 2, isInStartPeriod: false) }
        #expect(state.log.count == HealthState.kept)
    }

    @Test func theKeysGoOverTheImage() throws {
        let image = ImageConfig.HealthCheck(test: ["CMD", "check"], interval: 2_000_000_000, retries: 7)
        let plain = try #require(HealthPlan([:], kind: .application, image: image))
        #expect(plain.arguments == ["check"] && plain.interval == .seconds(2) && plain.timeout == .seconds(30))
        #expect(plain.retries == 7 && plain.action == .none)
        let own = try #require(
            HealthPlan(
                ["health.test": #"["CMD-SHELL","x y"]"#, "health.interval": "100ms", "health.on_failure": "restart"],
                kind: .application, image: image))
        #expect(own.arguments == ["/bin/sh", "-c", "x y"] && own.interval == .milliseconds(100))
        #expect(own.action == .restart)
        #expect(HealthPlan(["health.test": #"["NONE"]"#], kind: .application, image: image) == nil)
        // What was written for a program says nothing of a whole system.
        #expect(HealthPlan([:], kind: .system, image: image) == nil)
    }

    @Test(arguments: [("30", 30_000), ("0.5", 500), ("1m30s", 90_000), ("500ms", 500), ("2h", 7_200_000)])
    func durations(_ text: String, _ milliseconds: Int) {
        #expect(OptionForms.duration(text) == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "x", "-1", "5x", "s", "1d", "nan", "1e99"])
    func noDurations(_ text: String) { #expect(OptionForms.duration(text) == nil) }

    @Test func anInstanceBecomesUnhealthyAndIsRestarted() async throws {
        try await EngineFixture.run { fixture in
            // The fake's exec ends with the number of its arguments: three with a shell.
            let id = try await fixture.create(
                "web",
                config: [
                    "health.test": #"["CMD-SHELL","x"]"#, "health.interval": "10ms", "health.retries": "2",
                    "health.on_failure": "restart",
                ])
            try await fixture.instances.start("web")
            #expect(try await fixture.instances.get("web").health?.status == .starting)
            try await fixture.eventually("it is restarted") { fixture.driver.handles(of: id).count >= 2 }
            try await fixture.instances.stop("web", force: true)
            #expect(try await fixture.instances.get("web").health == nil)
        }
    }

    @Test func theLastResultsAreShownAndTestsEndWithTheRun() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("web", config: ["health.test": #"["CMD","a"]"#, "health.interval": "10ms"])
            try await fixture.instances.start("web")
            try await fixture.eventually("it is unhealthy") {
                try await fixture.instances.get("web").health?.status == .unhealthy
            }
            let health = try #require(try await fixture.instances.get("web").health)
            #expect(health.log.allSatisfy { $0.exitCode == 1 })
            try await fixture.instances.delete("web", force: true)
        }
    }
}

@Suite struct ContainerKeyTests {
    @Test func keysBecomeOptions() throws {
        let record = InstanceRecord(
            id: .random(), name: "a", kind: .application, architecture: "x86_64",
            config: [
                "limits.kernel.nofile": "1:2", "linux.sysctl.net.core.somaxconn": "5", "oci.shm_size": "1MiB",
                "oci.hosts": "db=10.0.0.1,gw=host-gateway", "oci.dns.servers": "1.1.1.1, ::1", "oci.init": "true",
                "oci.pid": "host", "limits.memory": "64MiB", "limits.memory.swap": "1MiB", "limits.cpu.shares": "512",
                "linux.sysctl.kernel.domainname": "nis", "limits.hugepages.2MB": "4MiB",
            ], profiles: [], createdAt: 0)
        let merged = MergedConfig(record, profiles: [])
        let options = try merged.containerOptions(gateway: "10.0.0.254")
        #expect(options.limits["nofile"]?.hard == 2)
        #expect(options.sysctls == ["net.core.somaxconn": "5"] && options.domainName == "nis")
        #expect(options.hosts.map(\.address) == ["10.0.0.1", "10.0.0.254"])
        #expect(options.nameServers == ["1.1.1.1", "::1"])
        #expect(options.hasInit && options.processes == .host && options.sharedMemory == 1 << 20)
        #expect(try merged.limits(hostMemory: 1 << 30).swap == 1 << 20)
        #expect(try merged.limits(hostMemory: 1 << 30).hugepages == ["2MB": 4 << 20])
        #expect(throws: EngineError.self) { try merged.containerOptions(gateway: nil) }
    }

    @Test(arguments: [
        ("linux.sysctl.kernel.panic", "1"), ("linux.sysctl.vm.swappiness", "1"), ("limits.kernel.bogus", "1"),
        ("limits.kernel.nofile", "5:1"), ("limits.kernel.nofile", "x"), ("oci.hosts", "a"), ("oci.hosts", "a=b"),
        ("oci.hosts", "a b=::1"), ("oci.dns.servers", "x"), ("oci.pid", "container:x"), ("oci.ipc", "instance:"),
        ("oci.oom_score_adj", "1001"), ("health.test", "[]"), ("health.test", #"["CMD"]"#), ("health.test", "x"),
        ("health.on_failure", "reboot"), ("logs.driver", "syslog"), ("limits.cpu.shares", "1"),
        ("linux.sysctl.net..x", "1"), ("limits.hugepages.4MB", "1"), ("limits.hugepages.2MB", "many"),
        ("oci.dns.options", "a b"),
    ])
    func badValuesAreRefused(_ key: String, _ value: String) {
        #expect(throws: EngineError.self) { try OptionCatalog.check([key: value], kind: .application) }
    }

    @Test func portsAreChosenAndKept() async throws {
        try await EngineFixture.run { fixture in
            let view = try await fixture.instances.create(
                CreateRequest(
                    name: "web", image: "app",
                    devices: ["p": ["type": "proxy", "listen": "tcp:127.0.0.1:0", "connect": "tcp:127.0.0.1:80"]]))
            #expect(view.endpoints.flatMap(\.ports).isEmpty)
            try await fixture.instances.start("web")
            let port = try await fixture.instances.get("web").endpoints.first?.ports.first?.hostPort
            #expect((port ?? 0) > 40_000)
        }
    }

    @Test func aSharedNetworkNeedsARunningInstance() async throws {
        try await EngineFixture.run { fixture in
            try await fixture.create("first")
            _ = try await fixture.instances.create(
                CreateRequest(
                    name: "second", image: "app",
                    devices: ["eth0": ["type": "nic", "nictype": "instance", "parent": "first"]]))
            #expect(await code { try await fixture.instances.start("second") } == .conflict)
            try await fixture.instances.start("first")
            try await fixture.instances.start("second")
        }
    }

    @Test func interfacesComeAndGoWhileItRuns() async throws {
        try await EngineFixture.run { fixture in
            let id = try await fixture.create("web")
            try await fixture.instances.start("web")
            try await fixture.engine.networks.create(
                NetworkSpec(name: "second", bridge: "second", ipv4: "auto", ipv6: nil))
            let nic = ["type": "nic", "network": "second", "aliases": "www"]
            _ = try await fixture.instances.update("web", UpdateRequest(devices: ["eth1": nic]))
            let added = fixture.network.connected.first { $0.network == "second" }
            #expect(added?.aliases.first == "www" && added?.instance == id && added?.hasDefaultRoute == false)
            _ = try await fixture.instances.update("web", UpdateRequest(devices: [:]))
            #expect(fixture.network.connected.map(\.network) == ["islebr"])
        }
    }
}
