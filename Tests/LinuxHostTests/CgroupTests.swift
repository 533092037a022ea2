import Glibc
import Model
import Testing

@testable import LinuxHost

@Suite struct CgroupLayoutTests {
    @Test func readsHybrid() {
        let layout = CgroupLayout(mountInfo: FakeCgroups.hybridMounts)
        #expect(layout.isHybrid)
        #expect(!layout.isUnified)
        #expect(layout.unified == "/cg/unified")
        #expect(
            layout.hierarchies.map(\.path) == [
                "/cg/cpu,cpuacct", "/cg/cpuset", "/cg/memory", "/cg/freezer", "/cg/pids",
            ])
        #expect(layout.hierarchy(of: "cpuacct")?.path == "/cg/cpu,cpuacct")
        #expect(layout.hierarchy(of: "rw") == nil)
        #expect(layout.named == ["/cg/systemd"])
    }

    @Test func readsUnified() {
        let layout = CgroupLayout(mountInfo: FakeCgroups.unifiedMounts)
        #expect(layout.isUnified)
        #expect(layout.unified == "/cg")
    }

    @Test func undoesEscapes() {
        let layout = CgroupLayout(mountInfo: "1 2 0:1 / /my\\040cg\\134x rw - cgroup2 none rw")
        #expect(layout.unified == "/my cg\\x")
    }

    @Test func ownPath() {
        #expect(
            CgroupHost.unifiedPath(in: "3:cpuset:/x\n0::/system.slice/isled.service\n") == "/system.slice/isled.service"
        )
        #expect(CgroupHost.unifiedPath(in: "3:cpuset:/x\n") == "/")
    }

    @Test(arguments: ["", ".", "..", "a/b", String(repeating: "x", count: 300)])
    func refusesNames(_ name: String) throws {
        #expect(throws: EngineError.self) {
            try CgroupHost(parent: name, layout: CgroupLayout(mountInfo: FakeCgroups.unifiedMounts))
        }
        let host = try CgroupHost(
            parent: "isle", layout: CgroupLayout(mountInfo: FakeCgroups.unifiedMounts), files: FakeCgroups.unified())
        #expect(throws: EngineError.self) { try host.create(name, limits: Limits()) }
    }
}

@Suite struct LegacyCgroupTests {
    private func host(_ files: FakeCgroups) throws -> CgroupHost {
        try CgroupHost(parent: "isle", layout: CgroupLayout(mountInfo: FakeCgroups.hybridMounts), files: files)
    }

    @Test func joinsOnlyWhatIsNeeded() throws {
        let files = FakeCgroups.hybrid()
        let group = try host(files).create("a", limits: Limits())
        #expect(group.joinFolders.sorted() == ["/cg/cpu,cpuacct/isle/a", "/cg/memory/isle/a", "/cg/unified/isle/a"])
        let limited = try host(files).create("b", limits: Limits(cpuSet: "1", processes: 9))
        #expect(limited.joinFolders.contains("/cg/pids/isle/b"))
        #expect(limited.joinFolders.contains("/cg/cpuset/isle/b"))
        #expect(files.read("/cg/cpuset/isle/cpuset.cpus") == "0-3")
        #expect(files.read("/cg/cpuset/isle/b/cpuset.cpus") == "1")
        #expect(files.read("/cg/cpuset/isle/b/cpuset.mems") == "0")
        #expect(files.read("/cg/pids/isle/b/pids.max") == "9")
    }

    @Test func usesTheFreezerWithoutAUnifiedTree() async throws {
        let files = FakeCgroups.hybrid()
        let mounts = FakeCgroups.hybridMounts.split(separator: "\n").filter { !$0.contains("cgroup2") }
        let host = try CgroupHost(
            parent: "isle", layout: CgroupLayout(mountInfo: mounts.joined(separator: "\n")), files: files)
        let group = try host.create("a", limits: Limits())
        try await group.freeze()
        #expect(files.read("/cg/freezer/isle/a/freezer.state") == "FROZEN\n")
        #expect(group.isFrozen)
        try group.thaw()
        #expect(!group.isFrozen)
    }

    @Test func writesMemoryInTheOrderTheKernelWants() throws {
        let files = FakeCgroups.hybrid()
        let group = try host(files).create("a", limits: Limits())
        files.clearWrites()
        files.set("/cg/memory/isle/a/memory.memsw.limit_in_bytes", "9223372036854771712\n")
        try group.apply(Limits(memory: 1000))
        let memory = { files.writes.filter { $0.contains("/memory.") }.map { $0.split(separator: "/").last ?? "" } }
        #expect(memory() == ["memory.limit_in_bytes 1000", "memory.memsw.limit_in_bytes 1000"])
        files.clearWrites()
        try group.apply(Limits(memory: 2000))
        #expect(memory() == ["memory.memsw.limit_in_bytes 2000", "memory.limit_in_bytes 2000"])
        files.clearWrites()
        try group.apply(Limits())
        #expect(memory() == ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1"])
    }

    @Test func missingSwapAccountingIsNoError() throws {
        let files = FakeCgroups.hybrid()
        let group = try host(files).create("a", limits: Limits())
        files.fail("/cg/memory/isle/a/memory.memsw.limit_in_bytes", [-ENOENT])
        try group.apply(Limits(memory: 1000))
        #expect(files.read("/cg/memory/isle/a/memory.limit_in_bytes") == "1000")
    }

    @Test func moreInUseThanTheNewLimitIsAConflict() throws {
        let files = FakeCgroups.hybrid()
        let group = try host(files).create("a", limits: Limits())
        files.fail("/cg/memory/isle/a/memory.limit_in_bytes", [-EBUSY])
        let error = #expect(throws: EngineError.self) { try group.apply(Limits(memory: 1)) }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("limits.memory=1") == true)
    }

    @Test func movesProcessesIntoATreeJoinedLate() throws {
        let files = FakeCgroups.hybrid()
        let host = try host(files)
        let group = try host.create("a", limits: Limits())
        files.set("/cg/cpu,cpuacct/isle/a/cgroup.procs", "10\n11\n")
        files.set("/cg/memory/isle/a/cgroup.procs", "10\n11\n")
        try group.apply(Limits(processes: 5))
        #expect(files.read("/cg/pids/isle/a/cgroup.procs") == "10\n11\n")
        #expect(files.read("/cg/pids/isle/a/pids.max") == "5")
        #expect(host.find("a")?.joinFolders.contains("/cg/pids/isle/a") == true)
    }

    @Test func tellsUsageAndKills() throws {
        let files = FakeCgroups.hybrid()
        let group = try host(files).create("a", limits: Limits(processes: 5))
        #expect(group.usage() == Usage(cpuNanoseconds: 77, memory: 4000, memoryPeak: 7000, processes: 3))
        #expect(group.outOfMemoryKills() == 2)
    }

    @Test func delegatesOnlyTheUnifiedTree() throws {
        let files = FakeCgroups.hybrid()
        _ = try host(files).create("a", limits: Limits(), delegatedTo: 1_000_000)
        let owners = files.owners
        #expect(
            Set(owners.keys)
                == Set(
                    ["", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"].map {
                        "/cg/unified/isle/a" + $0
                    }))
        #expect(Set(owners.values) == [1_000_000])
    }

    @Test func removesEverythingAndWaitsForProcesses() async throws {
        let files = FakeCgroups.hybrid()
        let before = files.folders
        let host = try host(files)
        let group = try host.create("a", limits: Limits(cpuSet: "0"))
        _ = files.makeDirectory("/cg/unified/isle/a/init.scope")
        _ = files.makeDirectory("/cg/unified/isle/a/init.scope/deep")
        files.fail("/cg/memory/isle/a", [-EBUSY, -EBUSY, -EBUSY])
        try await group.remove()
        #expect(files.folders == before)
        #expect(host.find("a") == nil)
        try await Cgroup.removeAll("a", of: host)
    }

    @Test func removalGivesUpWithTheProcessesThatStay() async throws {
        let files = FakeCgroups.hybrid()
        let group = try host(files).create("a", limits: Limits())
        files.set("/cg/memory/isle/a/cgroup.procs", "4242\n")
        let error = await #expect(throws: EngineError.self) { try await group.remove(timeout: .milliseconds(20)) }
        #expect(error?.code == .busy)
    }

    @Test func failureLeavesNothing() throws {
        let files = FakeCgroups.hybrid()
        let before = files.folders
        files.fail("/cg/pids/isle/a/pids.max", [-EINVAL])
        let error = #expect(throws: EngineError.self) { try host(files).create("a", limits: Limits(processes: -1)) }
        #expect(error?.code == .invalidArgument)
        #expect(files.folders == before)
    }
}

@Suite struct UnifiedCgroupTests {
    private func host(_ files: FakeCgroups, ownPath: String = "/") throws -> CgroupHost {
        try CgroupHost(
            parent: "isle", layout: CgroupLayout(mountInfo: FakeCgroups.unifiedMounts), ownPath: ownPath, files: files)
    }

    @Test func enablesControllersOnTheWay() throws {
        let files = FakeCgroups.unified()
        let group = try host(files).create(
            "a", limits: Limits(cpuCount: 2, cpuSet: "0-1", memory: 1 << 20, processes: 7))
        #expect(group.joinFolders == ["/cg/isle/a"])
        for folder in ["/cg", "/cg/isle"] {
            let enabled = files.read("\(folder)/cgroup.subtree_control") ?? ""
            for name in ["cpu", "memory", "pids", "cpuset", "hugetlb"] { #expect(enabled.contains(name)) }
        }
        #expect(files.read("/cg/isle/a/cpu.max") == "200000 100000")
        #expect(files.read("/cg/isle/a/cpuset.cpus") == "0-1")
        #expect(files.read("/cg/isle/a/memory.max") == "1048576")
        #expect(files.read("/cg/isle/a/memory.swap.max") == "0")
        #expect(files.read("/cg/isle/a/pids.max") == "7")
        try group.apply(Limits(cpuQuota: Limits.CPUQuota(quota: 25000, period: 50000), cpuSharePercent: 30))
        #expect(files.read("/cg/isle/a/cpu.max") == "25000 50000")
        #expect(files.read("/cg/isle/a/cpu.weight") == "30")
        #expect(files.read("/cg/isle/a/memory.max") == "max")
        #expect(files.read("/cg/isle/a/cpuset.cpus") == "\n")
    }

    @Test func tellsWhenAllProcessesAreInUse() throws {
        let files = FakeCgroups.unified()
        let group = try host(files).create("a", limits: Limits())
        #expect(group.reachedProcessLimit() == nil)
        files.set("/cg/isle/a/pids.max", "3\n")
        #expect(group.reachedProcessLimit() == nil)
        files.set("/cg/isle/a/pids.max", "2\n")
        #expect(group.reachedProcessLimit() == 2)
    }

    @Test func hugePagesAreLimitedWhereTheHostHasThem() throws {
        var limits = Limits()
        limits.hugepages = ["2MB": 4 << 20, "1GB": 0]
        let pages = [("hugetlb.1GB", "0"), ("hugetlb.2MB", "4194304")]
        for (settings, file) in [
            (limits.unifiedSettings, "max"),
            (limits.legacySettings(currentSwapLimit: nil, allCPUs: "0"), "limit_in_bytes"),
        ] {
            let own = settings.filter { $0.controller == "hugetlb" }
            #expect(own.map(\.file) == pages.map { "\($0.0).\(file)" } && own.map(\.value) == pages.map(\.1))
        }
        let files = FakeCgroups.hybrid()
        let host = try CgroupHost(
            parent: "isle", layout: CgroupLayout(mountInfo: FakeCgroups.hybridMounts), files: files)
        let error = #expect(throws: EngineError.self) { try host.create("a", limits: limits) }
        #expect(error?.code == .unsupported && error?.message.contains("'hugetlb'") == true)
    }

    @Test func theSmallerOfCountAndAllowanceCounts() {
        var limits = Limits(cpuCount: 1, cpuQuota: Limits.CPUQuota(quota: 300_000, period: 100_000))
        #expect(limits.cpuTime == Limits.CPUQuota(quota: 100_000, period: 100_000))
        limits.cpuCount = 4
        #expect(limits.cpuTime == Limits.CPUQuota(quota: 300_000, period: 100_000))
    }

    @Test func missingControllerOfALimitIsSaid() throws {
        let files = FakeCgroups.unified(controllers: "cpu memory")
        _ = try host(files).create("a", limits: Limits(memory: 4096))
        let error = #expect(throws: EngineError.self) { try host(files).create("b", limits: Limits(processes: 4)) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("'pids'") == true)
    }

    @Test func usesItsOwnGroupWhereTheRootIsNotOurs() throws {
        let files = FakeCgroups.unified()
        _ = files.makeDirectory("/cg/unit")
        files.set("/cg/unit/cgroup.procs", "55\n")
        // The root takes no new group: as in a delegated unit of an unprivileged manager.
        let readOnly = ReadOnlyRoot(files)
        let host = try CgroupHost(
            parent: "isle", layout: CgroupLayout(mountInfo: FakeCgroups.unifiedMounts), ownPath: "/unit",
            files: readOnly)
        files.fail("/cg/unit/cgroup.subtree_control", [-EBUSY])
        let group = try host.create("a", limits: Limits(memory: 4096))
        #expect(group.joinFolders == ["/cg/unit/isle/a"])
        #expect(files.read("/cg/unit/isle-daemon/cgroup.procs") == "55\n")
        #expect(host.find("a")?.joinFolders == ["/cg/unit/isle/a"])
        #expect(host.names() == ["a"])
    }

    @Test func tellsUsageAndKills() throws {
        let group = try host(FakeCgroups.unified()).create("a", limits: Limits())
        #expect(group.usage() == Usage(cpuNanoseconds: 12_000, memory: 4000, memoryPeak: 8192, processes: 2))
        #expect(group.outOfMemoryKills() == 1)
    }

    @Test func freezesAndKillsAsOneCommand() async throws {
        let files = FakeCgroups.unified()
        let group = try host(files).create("a", limits: Limits())
        try await group.freeze()
        #expect(group.isFrozen)
        try group.thaw()
        #expect(!group.isFrozen)
        group.killAll()
        #expect(files.read("/cg/isle/a/cgroup.kill") == "1")
    }

    @Test func freezingThatTakesTooLongIsUndone() async throws {
        let files = FakeCgroups.unified()
        let group = try host(StuckFreezer(files)).create("a", limits: Limits())
        let error = await #expect(throws: EngineError.self) { try await group.freeze(timeout: .milliseconds(10)) }
        #expect(error?.code == .timeout)
        #expect(files.read("/cg/isle/a/cgroup.freeze") == "0")
    }

    private func host(_ files: any CgroupFiles) throws -> CgroupHost {
        try CgroupHost(parent: "isle", layout: CgroupLayout(mountInfo: FakeCgroups.unifiedMounts), files: files)
    }

    @Test func furtherProcessesOfAnInitGetALeaf() throws {
        let files = FakeCgroups.unified()
        let group = try host(files).create("a", limits: Limits(), delegatedTo: 1_000_000)
        #expect(try group.leafFolders(owner: 1_000_000) == ["/cg/isle/a/isle.exec"])
        #expect(files.owners["/cg/isle/a/isle.exec"] == 1_000_000)
        #expect(try group.leafFolders(owner: 1_000_000) == ["/cg/isle/a/isle.exec"])
    }
}

/// Refuses groups at the root of the tree.
private struct ReadOnlyRoot: CgroupFiles {
    let files: FakeCgroups
    init(_ files: FakeCgroups) { self.files = files }
    func makeDirectory(_ path: String) -> Int32 { path == "/cg/isle" ? -EROFS : files.makeDirectory(path) }
    func removeDirectory(_ path: String) -> Int32 { files.removeDirectory(path) }
    func write(_ text: String, to path: String) -> Int32 { files.write(text, to: path) }
    func read(_ path: String) -> String? { files.read(path) }
    func directories(_ path: String) -> [String] { files.directories(path) }
    func exists(_ path: String) -> Bool { files.exists(path) }
    func changeOwner(_ path: String, user: UInt32, group: UInt32) -> Int32 { 0 }
}

/// Never reports that all processes are frozen.
private struct StuckFreezer: CgroupFiles {
    let files: FakeCgroups
    init(_ files: FakeCgroups) { self.files = files }
    func makeDirectory(_ path: String) -> Int32 { files.makeDirectory(path) }
    func removeDirectory(_ path: String) -> Int32 { files.removeDirectory(path) }
    func write(_ text: String, to path: String) -> Int32 { files.write(text, to: path) }
    func read(_ path: String) -> String? { path.hasSuffix("cgroup.events") ? "frozen 0\n" : files.read(path) }
    func directories(_ path: String) -> [String] { files.directories(path) }
    func exists(_ path: String) -> Bool { files.exists(path) }
    func changeOwner(_ path: String, user: UInt32, group: UInt32) -> Int32 { 0 }
}
