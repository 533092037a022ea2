import DriverKit
import Foundation
import Model
import Testing

@testable import ContainerDriver

/// A plan and facts that no host is needed for.
private func plan(_ kind: InstanceKind = .application) throws -> LaunchPlan {
    LaunchPlan(
        id: try #require(InstanceID("0123456789abcdef")), name: "web", kind: kind, hostname: "web",
        root: .overlay(OverlayRoot(layersDirectory: "/l", lower: ["a"], instanceDirectory: "/i")),
        process: ProcessSpec(arguments: ["/bin/app", "-x"], environment: ["A=1"]),
        identity: IDRange(base: 1_000_000), mounts: [], network: .none, limits: Limits(),
        security: SecurityOptions(), stdio: StdioOptions(), log: LogOptions(path: "/log"),
        runDirectory: "/run/isle/x", stateDirectory: "/s")
}

private func facts() -> SpecFacts {
    SpecFacts(
        rootfs: "/run/isle/x/rootfs", userNamespace: "/run/isle/x/ns/user", networkNamespace: "/run/isle/x/ns/net",
        user: ResolvedUser(uid: 33, gid: 44, additionalGroups: [44, 55], home: "/srv"),
        capabilities: ["CAP_CHOWN"], seccomp: .filter([1, 2, 3]), files: [("/run/isle/x/etc/hosts", "/etc/hosts")],
        mountSources: [], hasUnifiedTree: true, isUnified: false, cgroupsPath: nil, devices: ["/dev/fuse"],
        maximumOpenFiles: 524_288)
}

@Suite struct SpecTests {
    /// The whole of a small configuration: whatever changes here changes what runs. With ISLE_UPDATE_GOLDEN set the
    /// file is written anew, to be looked at.
    @Test func applicationIsWrittenAsExpected() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let text = String(decoding: try encoder.encode(SpecGenerator.spec(plan(), facts())), as: UTF8.self)
        let golden = #filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/application.json"
        if ProcessInfo.processInfo.environment["ISLE_UPDATE_GOLDEN"] != nil {
            try Data((text + "\n").utf8).write(to: URL(fileURLWithPath: golden))
        }
        #expect(text + "\n" == (try String(contentsOfFile: golden, encoding: .utf8)))
    }

    @Test func systemHasWhatAnInitNeeds() throws {
        var plan = try plan(.system)
        plan.security.noNewPrivileges = true
        let spec = try SpecGenerator.spec(plan, facts())
        #expect(!spec.process.noNewPrivileges)
        #expect(spec.process.env.contains("container=lxc"))
        let cgroup = try #require(spec.mounts.first { $0.destination == "/sys/fs/cgroup" })
        #expect(cgroup.type == "cgroup2")
        #expect(cgroup.options.contains("rw"))
        #expect(spec.mounts.first { $0.destination == "/sys" }?.options.contains("ro") == true)
        #expect(spec.mounts.contains { $0.destination == "/run" && $0.type == "tmpfs" })
        #expect(spec.mounts.contains { $0.destination == "/dev/fuse" && $0.type == "bind" })
        #expect(spec.linux.readonlyPaths == nil)
        #expect(spec.linux.maskedPaths?.contains("/proc/kcore") == true)
    }

    @Test func applicationSeesItsGroupsOnlyOnAUnifiedHost() throws {
        #expect(try !SpecGenerator.spec(plan(), facts()).mounts.contains { $0.destination == "/sys/fs/cgroup" })
        var facts = facts()
        facts.isUnified = true
        let mount = try SpecGenerator.spec(plan(), facts).mounts.first { $0.destination == "/sys/fs/cgroup" }
        #expect(mount?.options.contains("ro") == true)
    }

    @Test func hostNetworkHasNoNamespaceAndTheHostsSysfs() throws {
        var facts = facts()
        facts.networkNamespace = nil
        var plan = try plan()
        plan.network = .host
        let spec = try SpecGenerator.spec(plan, facts)
        #expect(!spec.linux.namespaces.contains { $0.type == "network" })
        #expect(spec.linux.sysctl == nil)
        let sysfs = try #require(spec.mounts.first { $0.destination == "/sys" })
        #expect(sysfs.options.contains("rbind"))
        #expect(sysfs.options.contains("ro"))
    }

    @Test func privilegedHasNothingMasked() throws {
        var plan = try plan()
        plan.identity = nil
        plan.security.privileged = true
        var facts = facts()
        facts.userNamespace = nil
        facts.seccomp = .unconfined
        let spec = try SpecGenerator.spec(plan, facts)
        #expect(spec.linux.maskedPaths == nil)
        #expect(spec.linux.uidMappings == nil)
        #expect(spec.annotations == nil)
        #expect(!spec.process.noNewPrivileges)
    }

    @Test func mountsAreOrderedFromTheRoot() throws {
        var plan = try plan()
        plan.mounts = [
            MountSpec(source: "/c", target: "/data/b/c"), MountSpec(source: "/a", target: "//data/./", readOnly: true),
            MountSpec(source: "/h", target: "/etc/hosts"),
        ]
        var facts = facts()
        facts.mountSources = ["/m/0", "/m/1", "/m/2"]
        let mounts = try SpecGenerator.spec(plan, facts).mounts.suffix(3)
        #expect(mounts.map(\.destination) == ["/data", "/etc/hosts", "/data/b/c"])
        #expect(mounts.map(\.source) == ["/m/1", "/m/2", "/m/0"])
        #expect(mounts.first?.options.contains("ro") == true)
        #expect(try SpecGenerator.spec(plan, facts).mounts.filter { $0.destination == "/etc/hosts" }.count == 1)
    }

    @Test(arguments: [
        "relative", "/", "//.", "/a/../b", "/..", "/proc", "/proc/sys", "/sys/fs", "/dev", "", "/a\u{0}b", "/./proc/1",
    ])
    func refusesTargets(_ target: String) {
        #expect(throws: EngineError.self) { try SpecMounts.checkedTarget(target) }
    }

    @Test func refusesTwoMountsAtOnePlace() throws {
        var plan = try plan()
        plan.mounts = [MountSpec(source: "/a", target: "/x"), MountSpec(source: "/b", target: "/x/")]
        var facts = facts()
        facts.mountSources = ["/m/0", "/m/1"]
        #expect(throws: EngineError.self) { try SpecGenerator.spec(plan, facts) }
    }

    @Test func refusesWhatNoProgramCanBeGiven() throws {
        var plan = try plan()
        plan.process.arguments = []
        #expect(throws: EngineError.self) { try SpecGenerator.spec(plan, facts()) }
        plan.process.arguments = ["/bin/a\u{0}b"]
        #expect(throws: EngineError.self) { try SpecGenerator.spec(plan, facts()) }
        plan.process.arguments = ["/bin/a"]
        plan.process.workingDirectory = "tmp"
        #expect(throws: EngineError.self) { try SpecGenerator.spec(plan, facts()) }
        plan.process.workingDirectory = nil
        for entry in ["novalue", "=x", "A=\u{0}"] {
            plan.process.environment = [entry]
            #expect(throws: EngineError.self) { try SpecGenerator.spec(plan, facts()) }
        }
    }

    @Test func limitsAreWrittenForRuntimesThatApplyThem() throws {
        var plan = try plan()
        plan.limits = Limits(cpuCount: 2, memory: 1 << 20, processes: 5)
        var facts = facts()
        facts.cgroupsPath = "/isle/x"
        facts.seccomp = .profile(.system(machine: "x86_64"))
        let linux = try SpecGenerator.spec(plan, facts).linux
        #expect(linux.resources?.memory?.limit == 1 << 20)
        #expect(linux.resources?.cpu?.quota == 200_000)
        #expect(linux.resources?.pids?.limit == 5)
        #expect(linux.resources?.devices.first?.allow == false)
        #expect(linux.seccomp?.defaultAction == "SCMP_ACT_ALLOW")
    }

    @Test func environmentHasEachNameOnce() throws {
        let merged = try ProcessEnvironment.merged(["A=1", "B=2"], ["A=3", "C=", "HOME=/x"], home: "/root")
        #expect(merged == ["A=3", "B=2", "C=", "HOME=/x"])
        #expect(try ProcessEnvironment.merged(["A=1"], home: "/root").last == "HOME=/root")
    }
}

@Suite struct NetworkFilesTests {
    private func endpoint(guest: Bool = false) throws -> NetworkEndpoint {
        NetworkEndpoint(
            instance: try #require(InstanceID("0123456789abcdef")), hostname: "web", aliases: ["db"], network: "isle0",
            device: "eth0", mac: "00:16:3e:00:00:01", ipv4: "10.1.0.5", ipv6: "fd42::5", configuredByGuest: guest,
            gateway4: "10.1.0.1", dns: ["10.1.0.1"], searchDomains: ["isle"])
    }

    @Test func namesItself() throws {
        var plan = try plan()
        plan.network = .endpoints([try endpoint()])
        plan.hostname = "front"
        let files = NetworkFiles(plan: plan, hostResolvConf: "", hostHosts: "")
        #expect(files.hosts.contains("10.1.0.5\tfront web db\n"))
        #expect(files.hosts.contains("fd42::5\tfront web db\n"))
        #expect(!files.hosts.contains("127.0.1.1"))
        #expect(files.resolvConf == "search isle\nnameserver 10.1.0.1\n")
        #expect(files.hostname == "front\n")
    }

    @Test func fallsBackToTheGateway() throws {
        var plan = try plan()
        var first = try endpoint(guest: true)
        first.dns = []
        first.gateway6 = "fd42::1"
        first.searchDomains = []
        plan.network = .endpoints([first, first])
        let files = NetworkFiles(plan: plan, hostResolvConf: "", hostHosts: "")
        #expect(files.resolvConf == "nameserver 10.1.0.1\nnameserver fd42::1\n")
        #expect(files.hosts.contains("127.0.1.1\tweb"))
    }

    @Test func sharesTheHosts() throws {
        var plan = try plan()
        plan.network = .host
        let files = NetworkFiles(plan: plan, hostResolvConf: "nameserver 9.9.9.9\n", hostHosts: "127.0.0.1 h\n")
        #expect(files.resolvConf == "nameserver 9.9.9.9\n")
        #expect(files.hosts == "127.0.0.1 h\n")
    }
}

@Suite struct CapabilityTests {
    @Test func addsAndDrops() throws {
        #expect(try CapabilitySet.of(.application, adding: [], dropping: []).count == 14)
        #expect(
            try CapabilitySet.of(.application, adding: ["net_admin"], dropping: ["CAP_MKNOD"]).contains("CAP_NET_ADMIN")
        )
        #expect(try !CapabilitySet.of(.application, adding: [], dropping: ["CAP_MKNOD"]).contains("CAP_MKNOD"))
        #expect(try CapabilitySet.of(.application, adding: ["CHOWN"], dropping: ["ALL"]) == ["CAP_CHOWN"])
        #expect(try CapabilitySet.of(.application, adding: ["ALL"], dropping: []).count == CapabilitySet.all.count)
        #expect(try CapabilitySet.of(.system, adding: [], dropping: []).count == 31)
        #expect(throws: EngineError.self) { try CapabilitySet.of(.system, adding: ["CAP_EVERYTHING"], dropping: []) }
    }

    @Test func keepsToTheBoundingSet() {
        let status = "Name:\tx\nCapBnd:\t0000000000000003\n"
        #expect(CapabilitySet.available(["CAP_CHOWN", "CAP_KILL"], status: status) == ["CAP_CHOWN"])
        #expect(CapabilitySet.available(["CAP_KILL"], status: "") == ["CAP_KILL"])
    }
}
